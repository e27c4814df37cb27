//! The one rule for keys and signatures, against a second implementation: over the public sets of Wycheproof
//! and CCTV, over every pair of edge cases of key and *R*, and over random torsion.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "reference/ed25519.rs"]
mod rule;

use std::collections::BTreeMap;

use cadastre_protocol::{Context, Digest, PublicKey, SecretKey, Signature};
use ed25519_dalek::VerifyingKey;
use num_bigint::BigUint;
use proptest::prelude::*;
use rule::{ORDER, Point};
use wycheproof::{TestResult, eddsa};

#[test]
fn wycheproof_s_set_is_judged_as_it_says() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut judged = BTreeMap::new();
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        for test in group.tests {
            let expected = test.result == TestResult::Valid;
            // A signature of another length cannot be written down in any of our types.
            let holds =
                <[u8; 64]>::try_from(test.sig.as_slice()).is_ok_and(|sig| both(&key, &test.msg, &sig));
            assert_eq!(holds, expected, "test {}: {}", test.tc_id, test.comment);
            *judged.entry(expected).or_insert(0) += 1;
        }
    }
    assert!(judged[&true] >= 80 && judged[&false] >= 60, "{judged:?}");
}

#[test]
fn cctv_s_set_is_refused_but_for_what_has_no_flag() {
    let mut flags_seen = 0;
    let mut accepted = Vec::new();
    for (number, line) in include_str!("vectors/cctv/ed25519.txt").lines().enumerate() {
        let [key, signature, message, flags] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let key = hex::decode(key).unwrap().try_into().unwrap();
        let signature = hex::decode(signature).unwrap().try_into().unwrap();
        let message = match message {
            "-" => "ed25519vectors".to_owned(),
            number => format!("ed25519vectors {number}"),
        };
        let flags = u8::from_str_radix(flags, 16).unwrap();
        let holds = both(&key, message.as_bytes(), &signature);
        assert_eq!(holds, flags == 0, "vector {number}");
        flags_seen |= flags;
        accepted.extend(holds.then_some(number));
    }
    assert_eq!((flags_seen, accepted.len()), (0xff, 1), "{accepted:?}");
}

#[test]
fn every_edge_case_of_a_key_meets_every_one_of_r() {
    let points = edge_cases();
    assert_eq!(points.iter().filter(|case| case.scalar.is_none()).count(), 14, "small order");
    let mut accepted = Vec::new();
    for a in &points {
        for r in &points {
            for (message, reencoded) in
                MESSAGES.iter().flat_map(|message| [(message, false), (message, true)])
            {
                let signature = signed(a, r, message, reencoded);
                if both(&a.bytes, message, &signature) {
                    accepted.push((a.name.as_str(), r.name.as_str()));
                }
            }
        }
    }
    accepted.dedup();
    assert_eq!(accepted, [("prime", "prime")]);
}

#[test]
fn keys_are_enrolled_alike() {
    let mut found = BTreeMap::new();
    for case in edge_cases() {
        *found.entry(enrolled(&case.bytes)).or_insert(0) += 1;
    }
    // Every y that is not below p, with both signs.
    for low in 0xed..=0xff {
        for high in [0x7f, 0xff] {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            *found.entry(enrolled(&bytes)).or_insert(0) += 1;
        }
    }
    let kinds: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["MixedOrder", "NotAPoint", "NotCanonical", "Ok", "SmallOrder"], "{found:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_keys_are_enrolled_alike(bytes in any::<[u8; 32]>()) {
        enrolled(&bytes);
    }

    #[test]
    fn random_torsion_is_noticed(
        seed in any::<[u8; 32]>(),
        digest in any::<[u8; 32]>(),
        change in change(),
    ) {
        let (secret, digest) = (SecretKey::from_seed(&seed), Digest::new(digest));
        let signature = secret.sign(Context::Transaction, digest);
        let (key, changed) = change.apply(secret.public().as_bytes(), signature.as_bytes());
        let message = [
            [0x20; 64].as_slice(),
            Context::Transaction.as_str().as_bytes(),
            &[0],
            digest.as_bytes(),
        ].concat();
        let holds = both(&key, &message, &changed);
        prop_assert_eq!(holds, matches!(change, Change::Nothing));
        let by_us = PublicKey::new(key).enroll().is_ok_and(|key| {
            key.verify(Context::Transaction, digest, &Signature::new(changed)).is_ok()
        });
        prop_assert_eq!(by_us, holds);
    }
}

/// What is done to an honest key or signature.
#[derive(Clone, Debug)]
enum Change {
    Nothing,
    Flip(usize),
    TorsionOfKey(usize),
    TorsionOfR(usize),
    OrderAdded(u8),
}

impl Change {
    fn apply(&self, key: &[u8; 32], signature: &[u8; 64]) -> ([u8; 32], [u8; 64]) {
        let (mut key, mut signature) = (*key, *signature);
        match self {
            Self::Nothing => {}
            Self::Flip(bit) => {
                let at = bit % 768;
                let byte = if at < 256 { &mut key[at / 8] } else { &mut signature[at / 8 - 32] };
                *byte ^= 1 << (at % 8);
            }
            Self::TorsionOfKey(power) => key = with_torsion(&key, *power),
            Self::TorsionOfR(power) => {
                let r = with_torsion(signature.first_chunk().unwrap(), *power);
                signature[..32].copy_from_slice(&r);
            }
            Self::OrderAdded(times) => {
                let s = BigUint::from_bytes_le(&signature[32..]) + &*ORDER * BigUint::from(*times);
                signature[32..].copy_from_slice(&bytes_of(&s));
            }
        }
        (key, signature)
    }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Nothing),
        any::<usize>().prop_map(Change::Flip),
        (1_usize..8).prop_map(Change::TorsionOfKey),
        (1_usize..8).prop_map(Change::TorsionOfR),
        (1_u8..15).prop_map(Change::OrderAdded),
    ]
}

/// Does it hold? Both implementations say the same.
fn both(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let by_hand = rule::holds(key, message, signature);
    // What `EnrolledKey::verify` does, over bytes that are not of our shape.
    let by_us = PublicKey::new(*key).enroll().is_ok_and(|_| {
        let key = VerifyingKey::from_bytes(key).unwrap();
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    });
    assert_eq!(by_hand, by_us, "key {}, signature {}", hex::encode(key), hex::encode(signature));
    by_hand
}

/// What comes of enrolling a key. Both implementations say the same.
fn enrolled(key: &[u8; 32]) -> String {
    let by_us = PublicKey::new(*key).enroll().map_or_else(|error| format!("{error:?}"), |_| "Ok".into());
    let by_hand = rule::enroll(key).map_or_else(str::to_owned, |_| "Ok".into());
    assert_eq!(by_us, by_hand, "{}", hex::encode(key));
    by_us
}

/// An encoding of a point, and what is known of it.
struct EdgeCase {
    name: String,
    bytes: [u8; 32],
    /// Of its prime-order part, unless it has none.
    scalar: Option<BigUint>,
}

/// The eight points of small order in all their encodings, and a point of prime order plus each of the eight.
fn edge_cases() -> Vec<EdgeCase> {
    let mut cases = Vec::new();
    for power in 0..8 {
        for bytes in encodings(&torsion(power).encode()) {
            let name = format!("order of {power}: {}", hex::encode(bytes));
            cases.push(EdgeCase { name, bytes, scalar: None });
        }
    }
    for power in 0..8 {
        let scalar = BigUint::from(0x1234_5678_u32 + 2 * u32::try_from(power).unwrap());
        let bytes = rule::base().times(&scalar).plus(&torsion(power)).encode();
        let name = if power == 0 { "prime".into() } else { format!("mixed with {power}") };
        cases.push(EdgeCase { name, bytes, scalar: Some(scalar) });
    }
    cases
}

/// The canonical encoding of a point, and those with *y* + p or a sign for *x* = 0.
fn encodings(canonical: &[u8; 32]) -> Vec<[u8; 32]> {
    let mut found = vec![*canonical];
    for low in 0..=0xff {
        for high in [0x00, 0x7f, 0x80, 0xff] {
            let mut bytes = if low >= 0xec { [0xff; 32] } else { [0; 32] };
            (bytes[0], bytes[31]) = (low, high);
            let same = Point::decode(&bytes).is_some_and(|point| &point.encode() == canonical);
            if same && !found.contains(&bytes) {
                found.push(bytes);
            }
        }
    }
    found
}

/// A signature for which the equation with the cofactor holds; the one without, if the torsion of both points
/// happens to cancel out. `reencoded` hashes canonical encodings in place of those that are sent.
fn signed(a: &EdgeCase, r: &EdgeCase, message: &[u8], reencoded: bool) -> [u8; 64] {
    let canonical = |bytes: &[u8; 32]| Point::decode(bytes).unwrap().encode();
    let hashed = |bytes| if reencoded { canonical(bytes) } else { *bytes };
    let k = rule::hash_to_scalar(&[&hashed(&r.bytes), &hashed(&a.bytes), message]);
    let scalar = |case: &EdgeCase| case.scalar.clone().unwrap_or_default();
    let s = (scalar(r) + k * scalar(a)) % &*ORDER;
    [r.bytes, bytes_of(&s)].concat().try_into().unwrap()
}

/// A multiple of a point of order eight.
fn torsion(power: usize) -> Point {
    let bytes = hex::decode("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05").unwrap();
    let eighth = Point::decode(&bytes.try_into().unwrap()).unwrap();
    eighth.times(&BigUint::from(power))
}

fn with_torsion(point: &[u8; 32], power: usize) -> [u8; 32] {
    Point::decode(point).unwrap().plus(&torsion(power)).encode()
}

fn bytes_of(scalar: &BigUint) -> [u8; 32] {
    let mut bytes = scalar.to_bytes_le();
    bytes.resize(32, 0);
    bytes.try_into().unwrap()
}

const MESSAGES: [&[u8]; 2] = [b"", b"message"];
