//! The handshake: committed vectors, and everything that must not lead to a session.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[macro_use]
#[path = "support/named.rs"]
mod named;
mod reference;

use cadastre_protocol::{
    AwaitM3, Certificate, CertificateError, ClientHandshake, ClientSession, CodecError, HandshakeError,
    KeyError, KeyRole, M1_BYTES, M2_BYTES, M3_BYTES, Millis, Padding, PublicKey, SecretKey, ServerHandshake,
    ServerIdentity, ServerIdentityError, ServerSession, Signature, SignedCertificate, Trust,
};
use ed25519_dalek::SigningKey;
use reference::{FixedRandom, Records, Server, WHOLE, assert_committed, name, ramp};
use serde::Serialize;

const AUTHORITY: &str = "play.example.org:7777";
const NOW: Millis = Millis::new(1_795_000_000_000);
const VALID_FROM: Millis = Millis::new(1_790_000_000_000);
const VALID_TO: Millis = Millis::new(1_800_000_000_000);

#[test]
fn the_committed_handshake_is_what_both_implementations_give() {
    let server = reference_server();
    let (m2, answered) = server.answer(AUTHORITY, &reference::m1(&client_random()));
    let (m3, finished) = answered.clone().finish(&SigningKey::from_bytes(&IDENTITY_SEED));
    let mut to_server = Records::new(finished.client_traffic);
    let mut to_client = Records::new(finished.server_traffic);
    let vector = HandshakeVector {
        authority: AUTHORITY,
        now_ms: NOW.get(),
        root_seed: hex::encode(ROOT_SEED),
        server_seed: hex::encode(SERVER_SEED),
        identity_seed: hex::encode(IDENTITY_SEED),
        root_key: root().public().to_string(),
        server_key: server_key().public().to_string(),
        identity_key: identity().public().to_string(),
        certificate_body: hex::encode(&server.certificate_body),
        certificate_signature: hex::encode(server.certificate_signature),
        client_random: hex::encode(client_random()),
        server_random: hex::encode(server_random()),
        shared_secret: hex::encode(answered.shared),
        transcript: finished.transcript.iter().map(hex::encode).collect(),
        server_handshake_key: hex::encode(answered.server_handshake),
        client_handshake_key: hex::encode(answered.client_handshake),
        server_finished_key: hex::encode(answered.server_finished),
        client_finished_key: hex::encode(answered.client_finished),
        master: hex::encode(finished.master),
        client_traffic_key: hex::encode(finished.client_traffic),
        server_traffic_key: hex::encode(finished.server_traffic),
        session: hex::encode(finished.session),
        m1: hex::encode(reference::m1(&client_random())),
        m2: hex::encode(&m2),
        m3: hex::encode(&m3),
        first_record_to_client: hex::encode(to_client.padded(WHOLE, b"welcome", 64)),
        first_record_to_server: hex::encode(to_server.padded(WHOLE, b"submission", 512)),
        key_update_to_server: hex::encode(to_server.key_update()),
        record_to_server_after_key_update: hex::encode(to_server.padded(WHOLE, b"and on", 64)),
        refused: refused().iter().map(RefusedVector::of).collect(),
    };
    assert_committed("handshake.json", include_str!("vectors/handshake.json"), &vector);

    let (client, m1) = start();
    assert_eq!(hex::encode(&m1), vector.m1);
    let (server, m2) = answer(&m1).unwrap();
    assert_eq!(hex::encode(&m2), vector.m2);
    let (m3, mut client) = client.receive(&m2, NOW).unwrap();
    assert_eq!(hex::encode(&m3), vector.m3);
    let mut server = server.receive(&m3).unwrap();
    assert_eq!(client.session.to_string(), vector.session);
    assert_eq!(server.session.to_string(), vector.session);
    assert_eq!(client.root, root().public());
    assert_eq!(server.identity.public(), identity().public());

    let mut to_client = Vec::new();
    server.sealer.seal(b"welcome", Padding::Block64, &mut to_client).unwrap();
    assert_eq!(hex_each(&to_client), [vector.first_record_to_client]);
    let mut to_server = Vec::new();
    client.sealer.seal(b"submission", Padding::Submission, &mut to_server).unwrap();
    to_server.push(client.sealer.update_key().unwrap());
    client.sealer.seal(b"and on", Padding::Block64, &mut to_server).unwrap();
    assert_eq!(
        hex_each(&to_server),
        [
            vector.first_record_to_server,
            vector.key_update_to_server,
            vector.record_to_server_after_key_update
        ]
    );
    let opened: Vec<_> = to_server.into_iter().map(|record| server.opener.open(record).unwrap()).collect();
    assert_eq!(opened, [Some(b"submission".to_vec()), None, Some(b"and on".to_vec())]);
}

named! { refusals, super::refuse, super::names_of_refused:
    m1_one_byte_short
    no_version
    five_versions
    versions_not_ascending
    version_twice
    version_0
    version_in_an_unused_place
    no_suite
    suite_in_an_unused_place
    first_byte_of_the_padding_not_zero
    last_byte_of_the_padding_not_zero
    only_version_2
    only_suite_2
    the_server_s_own_ephemeral_key
    client_ephemeral_key_0
    m2_one_byte_longer
    version_2_chosen
    suite_2_chosen
    the_client_s_own_ephemeral_key
    server_ephemeral_key_0
    other_server_nonce
    m2_with_another_tag
    certificate_length_56
    another_service
    certificate_version_2
    certificate_of_another_root
    certified_key_of_small_order
    certificate_of_a_block_key
    certificate_of_a_log_key
    certificate_not_yet_valid
    certificate_expired
    other_server_signature
    signed_by_another_key_than_the_certified_one
    other_server_mac
    identity_key_of_small_order
    other_identity_key
    other_client_signature
    other_client_mac
}

#[test]
fn the_committed_certificates_are_judged_alike() {
    let vector = CertificateVector {
        root_key: root().public().to_string(),
        certificates: certificates().into_iter().map(|case| case.vector()).collect(),
    };
    assert_committed("certificate.json", include_str!("vectors/certificate.json"), &vector);
    for CertificateCase { name, body, signature, role, at, result } in certificates() {
        let signed = SignedCertificate { body, signature: Signature::new(signature) };
        let verified = signed.verify(&root().enrolled());
        assert_eq!(verified.and_then(|verified| verified.check(role, at)), result, "{name}");
    }
    let issued = SignedCertificate::issue(&root(), &server_certificate());
    assert_eq!(issued.body, certificates()[0].body);
    assert_eq!(issued.signature.as_bytes(), &certificates()[0].signature);
}

#[test]
fn two_honest_ends_agree_and_no_two_sessions_are_alike() {
    let mut sessions = Vec::new();
    for seed in 0..8 {
        let (client, server) = session(seed);
        assert_eq!(client.session, server.session);
        sessions.push(client.session);
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), 8);
}

#[test]
fn every_bit_of_m1_counts() {
    let (_, m1) = start();
    for_each_flip(&m1, |bit, m1| {
        // What the server does not notice itself, it shows to the client.
        if let Ok((_, m2)) = answer(m1) {
            assert_eq!(start().0.receive(&m2, NOW).unwrap_err(), HandshakeError::Unauthentic, "bit {bit}");
        }
    });
}

#[test]
fn every_bit_of_m2_counts() {
    let (_, m2) = answer(&start().1).unwrap();
    for_each_flip(&m2, |bit, m2| {
        let expected = if bit < 16 {
            HandshakeError::NotOffered { version: m2[0], suite: m2[1] }
        } else {
            HandshakeError::Unauthentic
        };
        assert_eq!(start().0.receive(m2, NOW).unwrap_err(), expected, "bit {bit}");
    });
}

#[test]
fn every_bit_of_m3_counts() {
    let (m3, _) = start().0.receive(&answer(&start().1).unwrap().1, NOW).unwrap();
    for_each_flip(&m3, |bit, m3| {
        let (server, _) = answer(&start().1).unwrap();
        assert_eq!(server.receive(m3).unwrap_err(), HandshakeError::Unauthentic, "bit {bit}");
    });
}

#[test]
fn every_message_has_one_length() {
    let (_, m1) = start();
    let (_, m2) = answer(&m1).unwrap();
    let (m3, _) = start().0.receive(&m2, NOW).unwrap();
    assert_eq!((m1.len(), m2.len(), m3.len()), (M1_BYTES, M2_BYTES, M3_BYTES));
    for_each_other_length(&m1, |got, m1| {
        assert_eq!(answer(m1).unwrap_err(), HandshakeError::Length { expected: M1_BYTES, got });
    });
    for_each_other_length(&m2, |got, m2| {
        let error = start().0.receive(m2, NOW).unwrap_err();
        assert_eq!(error, HandshakeError::Length { expected: M2_BYTES, got });
    });
    for_each_other_length(&m3, |got, m3| {
        let error = answer(&m1).unwrap().0.receive(m3).unwrap_err();
        assert_eq!(error, HandshakeError::Length { expected: M3_BYTES, got });
    });
}

#[test]
fn no_key_of_small_order_makes_a_session() {
    for key in small_order_keys() {
        let (client, mut m1) = start();
        let (_, mut m2) = answer(&m1).unwrap();
        m1[10..42].copy_from_slice(&key);
        assert_eq!(answer(&m1).unwrap_err(), HandshakeError::SmallOrder, "{}", hex::encode(key));
        m2[2..34].copy_from_slice(&key);
        assert_eq!(client.receive(&m2, NOW).unwrap_err(), HandshakeError::SmallOrder, "{}", hex::encode(key));
    }
}

#[test]
fn messages_sent_back_to_their_sender_make_no_session() {
    let (client, m1) = start();
    let (server, m2) = answer(&m1).unwrap();
    let mut reflected = m2.clone();
    reflected[2..34].copy_from_slice(&m1[10..42]);
    assert_eq!(client.receive(&reflected, NOW).unwrap_err(), HandshakeError::Reflected);
    // What M2 seals is no M3, even cut to its length.
    assert_eq!(server.receive(&m2[66..66 + M3_BYTES]).unwrap_err(), HandshakeError::Unauthentic);

    let mut own_key = m1;
    own_key[10..42].copy_from_slice(&m2[2..34]);
    assert_eq!(answer(&own_key).unwrap_err(), HandshakeError::Reflected);
}

#[test]
fn m3_is_good_for_one_session_only() {
    let (client, m1) = start();
    let (first, m2) = answer(&m1).unwrap();
    let (m3, _) = client.receive(&m2, NOW).unwrap();
    // The same M1 again, answered with fresh randomness: a replay of both client messages.
    let replayed = ServerHandshake::new(&server_identity(), AUTHORITY)
        .receive_m1(&m1, &mut FixedRandom::seeded(1))
        .unwrap();
    assert_eq!(replayed.0.receive(&m3).unwrap_err(), HandshakeError::Unauthentic);
    assert!(first.receive(&m3).is_ok());
}

#[test]
fn a_client_that_dialled_another_authority_is_not_passed_on() {
    for dialled in ["play.example.org:7778", "play.example.org", "PLAY.EXAMPLE.ORG:7777", ""] {
        let (client, m1) = start_with(dialled, Trust::FirstUse);
        let (_, m2) = answer(&m1).unwrap();
        assert_eq!(client.receive(&m2, NOW).unwrap_err(), HandshakeError::Unauthentic, "{dialled}");
    }
}

#[test]
fn a_server_in_between_cannot_use_the_client_s_m3() {
    // The client trusts on first use and talks to the wrong server, which opens a session of its own with
    // the right one and passes M3 on, unchanged or sealed anew.
    let between = Server { random: ramp(0x33), ..other_service() };
    let (client, m1) = start_with(AUTHORITY, Trust::FirstUse);
    let (m2, answered) = between.answer(AUTHORITY, &m1);
    let (m3, session) = client.receive(&m2, NOW).unwrap();
    assert_eq!(session.root, PublicKey::new(between.root));

    let own_m1 = reference::m1(&ramp(0x44));
    let (right, _) = answer(&own_m1).unwrap();
    assert_eq!(right.receive(&m3).unwrap_err(), HandshakeError::Unauthentic);

    // M3's content, opened by the one in between and sealed under the keys of its own session.
    let (_, with_right) = reference_server().answer(AUTHORITY, &own_m1);
    let (right, _) = answer(&own_m1).unwrap();
    let (theirs, _) = answered.finish(&SigningKey::from_bytes(&IDENTITY_SEED));
    assert_eq!(theirs, m3);
    let signed_elsewhere = signature_and_identity_for(&between, &m1);
    let (moved, _) = with_right.finish_bent(&SigningKey::from_bytes(&[9; 32]), |content| {
        content[..96].copy_from_slice(&signed_elsewhere);
    });
    assert_eq!(right.receive(&moved).unwrap_err(), HandshakeError::BadSignature);
}

#[test]
fn who_has_the_client_s_key_cannot_pose_as_the_server_to_it() {
    let identity = SigningKey::from_bytes(&IDENTITY_SEED);
    let public = identity.verifying_key().to_bytes();
    let stolen = body(0, &public);
    // As the root; as a key that the root certified; and under the server's own certificate.
    let as_root = Server {
        root: public,
        certificate_signature: reference::sign_certificate(&identity, &stolen),
        certificate_body: stolen.clone(),
        key: identity.clone(),
        ..reference_server()
    };
    let as_certified = Server { root: *root().public().as_bytes(), ..as_root.clone() };
    let under_the_certificate = Server { key: identity, ..reference_server() };
    for (server, expected) in [
        (as_root, HandshakeError::RootNotPinned { pinned: root().public(), got: PublicKey::new(public) }),
        (as_certified, HandshakeError::Certificate(CertificateError::BadSignature)),
        (under_the_certificate, HandshakeError::BadSignature),
    ] {
        let (client, m1) = start();
        let (m2, _) = server.answer(AUTHORITY, &m1);
        assert_eq!(client.receive(&m2, NOW).unwrap_err(), expected);
    }
}

#[test]
fn m2_of_another_session_is_not_taken() {
    let (_, m2) = answer(&reference::m1(&ramp(0x44))).unwrap();
    assert_eq!(start().0.receive(&m2, NOW).unwrap_err(), HandshakeError::Unauthentic);
}

#[test]
fn a_changed_list_of_versions_is_noticed() {
    // Added to: the server still chooses version 1.
    let (client, m1) = start();
    let mut widened = m1;
    (widened[0], widened[2]) = (2, 9);
    let (_, m2) = answer(&widened).unwrap();
    assert_eq!(client.receive(&m2, NOW).unwrap_err(), HandshakeError::Unauthentic);

    // Taken from: a later client offers 1 and 9, and somebody removes the 9.
    let (_, as_the_client_sees_it) = reference_server().answer(AUTHORITY, &widened);
    let (_, m2) = answer(&start().1).unwrap();
    assert!(!as_the_client_sees_it.opens(&m2));
}

#[test]
fn only_the_pinned_root_is_trusted() {
    let pinned = SecretKey::from_seed(&[9; 32]).public();
    let (client, m1) = start_with(AUTHORITY, Trust::Pinned(pinned));
    let (_, m2) = answer(&m1).unwrap();
    let got = root().public();
    assert_eq!(client.receive(&m2, NOW).unwrap_err(), HandshakeError::RootNotPinned { pinned, got });

    let (client, m1) = start_with(AUTHORITY, Trust::FirstUse);
    let (_, m2) = answer(&m1).unwrap();
    assert_eq!(client.receive(&m2, NOW).unwrap().1.root, got);
}

#[test]
fn the_certificate_is_checked_at_the_client_s_time() {
    let error = |now| {
        let (client, m1) = start();
        client.receive(&answer(&m1).unwrap().1, now).err()
    };
    let expired = |at| HandshakeError::Certificate(CertificateError::Expired { valid_to: VALID_TO, at });
    let early = Millis::new(VALID_FROM.get() - 1);
    let not_yet = CertificateError::NotYetValid { valid_from: VALID_FROM, at: early };
    assert_eq!(error(early), Some(HandshakeError::Certificate(not_yet)));
    assert_eq!(error(VALID_FROM), None);
    assert_eq!(error(Millis::new(VALID_TO.get() - 1)), None);
    assert_eq!(error(VALID_TO), Some(expired(VALID_TO)));
}

#[test]
fn a_server_does_not_start_with_what_no_client_accepts() {
    let new = |certificate: &Certificate, key| {
        let signed = SignedCertificate::issue(&root(), certificate);
        ServerIdentity::new(root().public(), signed, key, NOW).err()
    };
    assert_eq!(new(&server_certificate(), server_key()), None);
    assert_eq!(new(&server_certificate(), identity()), Some(ServerIdentityError::OtherKey));
    let block = Certificate { role: KeyRole::Block, ..server_certificate() };
    let wrong = CertificateError::WrongRole { expected: KeyRole::Handshake, got: KeyRole::Block };
    assert_eq!(new(&block, server_key()), Some(ServerIdentityError::Certificate(wrong)));
    let signed = SignedCertificate::issue(&root(), &server_certificate());
    let other = ServerIdentity::new(identity().public(), signed.clone(), server_key(), NOW);
    assert_eq!(other.err(), Some(ServerIdentityError::Certificate(CertificateError::BadSignature)));
    let weak = ServerIdentity::new(PublicKey::new(small_order_point()), signed, server_key(), NOW);
    assert_eq!(weak.err(), Some(ServerIdentityError::Root(KeyError::SmallOrder)));
}

#[test]
fn nothing_secret_is_printed() {
    let (client, server) = session(0);
    let half = "Traffic { key: Secret, epoch: 0, records: 0, bytes: 0 }";
    assert_eq!(format!("{:?}", client.sealer), format!("Sealer({half})"));
    assert!(format!("{:?}", server.opener).contains(half));
    assert!(format!("{:?}", server_identity()).contains("key: SecretKey(of "));
    let (await_m3, _) = answer(&start().1).unwrap();
    assert!(format!("{await_m3:?}").ends_with("shared: Secret, client: Secret, client_finished: Secret }"));
}

// What the tests are made of.

const ROOT_SEED: [u8; 32] = [0x11; 32];
const SERVER_SEED: [u8; 32] = [0x22; 32];
const IDENTITY_SEED: [u8; 32] = [0x55; 32];

fn root() -> SecretKey {
    SecretKey::from_seed(&ROOT_SEED)
}

fn server_key() -> SecretKey {
    SecretKey::from_seed(&SERVER_SEED)
}

fn identity() -> SecretKey {
    SecretKey::from_seed(&IDENTITY_SEED)
}

fn client_random() -> [u8; 64] {
    ramp(0x40)
}

fn server_random() -> [u8; 64] {
    ramp(0x80)
}

fn server_certificate() -> Certificate {
    Certificate {
        version: 1,
        role: KeyRole::Handshake,
        key: server_key().public(),
        serial: 3,
        valid_from: VALID_FROM,
        valid_to: VALID_TO,
    }
}

fn server_identity() -> ServerIdentity {
    let signed = SignedCertificate::issue(&root(), &server_certificate());
    ServerIdentity::new(root().public(), signed, server_key(), NOW).unwrap()
}

fn start() -> (ClientHandshake, Vec<u8>) {
    start_with(AUTHORITY, Trust::Pinned(root().public()))
}

fn start_with(authority: &str, trust: Trust) -> (ClientHandshake, Vec<u8>) {
    ClientHandshake::start(authority, trust, &identity(), &mut FixedRandom::new(&client_random()))
}

fn answer(m1: &[u8]) -> Result<(AwaitM3, Vec<u8>), HandshakeError> {
    let mut random = FixedRandom::new(&server_random());
    ServerHandshake::new(&server_identity(), AUTHORITY).receive_m1(m1, &mut random)
}

fn session(seed: u64) -> (ClientSession, ServerSession) {
    let mut random = FixedRandom::seeded(seed);
    let (client, m1) =
        ClientHandshake::start(AUTHORITY, Trust::Pinned(root().public()), &identity(), &mut random);
    let (server, m2) =
        ServerHandshake::new(&server_identity(), AUTHORITY).receive_m1(&m1, &mut random).unwrap();
    let (m3, client) = client.receive(&m2, NOW).unwrap();
    (client, server.receive(&m3).unwrap())
}

fn reference_server() -> Server {
    let key = SigningKey::from_bytes(&SERVER_SEED);
    let body = body(0, key.verifying_key().as_bytes());
    Server {
        root: *root().public().as_bytes(),
        certificate_signature: reference::sign_certificate(&SigningKey::from_bytes(&ROOT_SEED), &body),
        certificate_body: body,
        key,
        random: server_random(),
    }
}

/// A service that is in order, but another one.
fn other_service() -> Server {
    let root = SigningKey::from_bytes(&[0x77; 32]);
    let server = reference_server();
    Server {
        root: root.verifying_key().to_bytes(),
        certificate_signature: reference::sign_certificate(&root, &server.certificate_body),
        ..server
    }
}

/// The server with another certificate, signed by its root.
fn server_with(body: Vec<u8>) -> Server {
    Server {
        certificate_signature: reference::sign_certificate(&SigningKey::from_bytes(&ROOT_SEED), &body),
        certificate_body: body,
        ..reference_server()
    }
}

fn body(role: u32, key: &[u8; 32]) -> Vec<u8> {
    reference::certificate(role, key, 3, VALID_FROM.get(), VALID_TO.get())
}

/// Identity and signature as the player gave them to `server`.
fn signature_and_identity_for(server: &Server, m1: &[u8]) -> Vec<u8> {
    let mut given = Vec::new();
    let (_, answered) = server.answer(AUTHORITY, m1);
    answered.finish_bent(&SigningKey::from_bytes(&IDENTITY_SEED), |content| given = content[..96].to_vec());
    given
}

fn for_each_flip(message: &[u8], mut check: impl FnMut(usize, &[u8])) {
    let mut flipped = message.to_vec();
    for bit in 0..message.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        check(bit, &flipped);
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

fn for_each_other_length(message: &[u8], mut check: impl FnMut(usize, &[u8])) {
    for cut in 0..message.len() {
        check(cut, &message[..cut]);
    }
    for more in [1, 16, 1000] {
        let mut longer = message.to_vec();
        longer.resize(message.len() + more, 0);
        check(longer.len(), &longer);
    }
}

/// The neutral element, which anybody can sign for.
fn small_order_point() -> [u8; 32] {
    let mut point = [0; 32];
    point[0] = 1;
    point
}

/// Every encoding of a point of small order on the curve and its twist, with and without the ignored top bit.
fn small_order_keys() -> Vec<[u8; 32]> {
    let mut keys = Vec::new();
    for key in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ] {
        let mut bytes = [0; 32];
        hex::decode_to_slice(key, &mut bytes).unwrap();
        keys.push(bytes);
        bytes[31] |= 0x80;
        keys.push(bytes);
    }
    keys
}

fn hex_each(records: &[Vec<u8>]) -> Vec<String> {
    records.iter().map(hex::encode).collect()
}

enum Message {
    M1(Vec<u8>),
    M2(Vec<u8>),
    M3(Vec<u8>),
}

fn names_of_refused() -> Vec<String> {
    refused().iter().map(|refused| named::of(refused.name)).collect()
}

fn refuse(test: &str) {
    let Refused { message, error, .. } =
        refused().into_iter().find(|refused| named::of(refused.name) == test).unwrap();
    match message {
        Message::M1(m1) => assert_eq!(answer(&m1).unwrap_err(), error),
        Message::M2(m2) => assert_eq!(start().0.receive(&m2, NOW).unwrap_err(), error),
        Message::M3(m3) => {
            let (server, _) = answer(&start().1).unwrap();
            assert_eq!(server.receive(&m3).unwrap_err(), error);
        }
    }
}

struct Refused {
    name: &'static str,
    message: Message,
    error: HandshakeError,
}

/// Messages that are refused in the very handshake of the vector, in the order of the errors.
fn refused() -> Vec<Refused> {
    use HandshakeError as E;

    let m1 = |name, error, bend: fn(&mut Vec<u8>)| {
        let mut bytes = reference::m1(&client_random());
        bend(&mut bytes);
        Refused { name, message: Message::M1(bytes), error }
    };
    let clear = |name, error, bend: fn(&mut Vec<u8>)| {
        let (mut bytes, _) = reference_server().answer(AUTHORITY, &reference::m1(&client_random()));
        bend(&mut bytes);
        Refused { name, message: Message::M2(bytes), error }
    };
    let sealed = |name, error, server: Server, bend: fn(&mut Vec<u8>)| {
        let (bytes, _) = server.answer_bent(AUTHORITY, &reference::m1(&client_random()), bend);
        Refused { name, message: Message::M2(bytes), error }
    };
    let m3 = |name, error, bend: fn(&mut Vec<u8>)| {
        let (_, answered) = reference_server().answer(AUTHORITY, &reference::m1(&client_random()));
        let (bytes, _) = answered.finish_bent(&SigningKey::from_bytes(&IDENTITY_SEED), bend);
        Refused { name, message: Message::M3(bytes), error }
    };
    let certificate = |error| E::Certificate(error);
    let (own, key) = (reference_server(), *server_key().public().as_bytes());
    let from_other_root =
        Server { certificate_signature: other_service().certificate_signature, ..reference_server() };
    let expired = reference::certificate(0, &key, 3, VALID_FROM.get(), NOW.get());
    let early = reference::certificate(0, &key, 3, NOW.get() + 1, VALID_TO.get());
    let wrong_role = |got| certificate(CertificateError::WrongRole { expected: KeyRole::Handshake, got });

    vec![
        m1("M1 one byte short", E::Length { expected: M1_BYTES, got: 255 }, |m1| m1.truncate(255)),
        m1("no version", E::Offer, |m1| (m1[0], m1[1]) = (0, 0)),
        m1("five versions", E::Offer, |m1| m1[..5].copy_from_slice(&[5, 1, 2, 3, 4])),
        m1("versions not ascending", E::Offer, |m1| m1[..5].copy_from_slice(&[2, 2, 1, 0, 0])),
        m1("version twice", E::Offer, |m1| m1[..5].copy_from_slice(&[2, 1, 1, 0, 0])),
        m1("version 0", E::Offer, |m1| m1[..5].copy_from_slice(&[2, 0, 1, 0, 0])),
        m1("version in an unused place", E::Offer, |m1| m1[2] = 2),
        m1("no suite", E::Offer, |m1| (m1[5], m1[6]) = (0, 0)),
        m1("suite in an unused place", E::Offer, |m1| m1[9] = 2),
        m1("first byte of the padding not zero", E::Offer, |m1| m1[74] = 1),
        m1("last byte of the padding not zero", E::Offer, |m1| m1[255] = 1),
        m1("only version 2", E::NoCommonVersion, |m1| m1[1] = 2),
        m1("only suite 2", E::NoCommonSuite, |m1| m1[6] = 2),
        m1("the server's own ephemeral key", E::Reflected, |m1| {
            m1[10..42].copy_from_slice(&reference::m1(&server_random())[10..42]);
        }),
        m1("client ephemeral key 0", E::SmallOrder, |m1| m1[10..42].fill(0)),
        clear("M2 one byte longer", E::Length { expected: M2_BYTES, got: 334 }, |m2| m2.push(0)),
        clear("version 2 chosen", E::NotOffered { version: 2, suite: 1 }, |m2| m2[0] = 2),
        clear("suite 2 chosen", E::NotOffered { version: 1, suite: 2 }, |m2| m2[1] = 2),
        clear("the client's own ephemeral key", E::Reflected, |m2| {
            m2[2..34].copy_from_slice(&reference::m1(&client_random())[10..42]);
        }),
        clear("server ephemeral key 0", E::SmallOrder, |m2| m2[2..34].fill(0)),
        clear("other server nonce", E::Unauthentic, |m2| m2[34] ^= 1),
        clear("M2 with another tag", E::Unauthentic, |m2| m2[332] ^= 1),
        sealed("certificate length 56", E::CertificateLength { got: 56 }, own.clone(), |m2| m2[32] = 56),
        sealed(
            "another service",
            E::RootNotPinned { pinned: root().public(), got: PublicKey::new(other_service().root) },
            other_service(),
            |_| {},
        ),
        sealed(
            "certificate version 2",
            certificate(CertificateError::Malformed(CodecError::Invalid("certificate version"))),
            server_with([&[2], &own.certificate_body[1..]].concat()),
            |_| {},
        ),
        sealed(
            "certificate of another root",
            certificate(CertificateError::BadSignature),
            from_other_root,
            |_| {},
        ),
        sealed(
            "certified key of small order",
            certificate(CertificateError::Key(KeyError::SmallOrder)),
            server_with(body(0, &small_order_point())),
            |_| {},
        ),
        sealed("certificate of a block key", wrong_role(KeyRole::Block), server_with(body(1, &key)), |_| {}),
        sealed("certificate of a log key", wrong_role(KeyRole::Log), server_with(body(2, &key)), |_| {}),
        sealed(
            "certificate not yet valid",
            certificate(CertificateError::NotYetValid { valid_from: Millis::new(NOW.get() + 1), at: NOW }),
            server_with(early),
            |_| {},
        ),
        sealed(
            "certificate expired",
            certificate(CertificateError::Expired { valid_to: NOW, at: NOW }),
            server_with(expired),
            |_| {},
        ),
        sealed("other server signature", E::BadSignature, own.clone(), |m2| m2[155] ^= 1),
        sealed(
            "signed by another key than the certified one",
            E::BadSignature,
            Server { key: SigningKey::from_bytes(&[9; 32]), ..own.clone() },
            |_| {},
        ),
        sealed("other server MAC", E::BadMac, own, |m2| m2[219] ^= 1),
        m3("identity key of small order", E::Identity(KeyError::SmallOrder), |m3| {
            m3[..32].copy_from_slice(&small_order_point());
        }),
        m3("other identity key", E::BadSignature, |m3| {
            m3[..32].copy_from_slice(SecretKey::from_seed(&[9; 32]).public().as_bytes());
        }),
        m3("other client signature", E::BadSignature, |m3| m3[32] ^= 1),
        m3("other client MAC", E::BadMac, |m3| m3[96] ^= 1),
    ]
}

struct CertificateCase {
    name: &'static str,
    body: Vec<u8>,
    signature: [u8; 64],
    role: KeyRole,
    at: Millis,
    result: Result<(), CertificateError>,
}

impl CertificateCase {
    fn vector(&self) -> CertificateCaseVector {
        CertificateCaseVector {
            name: self.name,
            body: hex::encode(&self.body),
            signature: hex::encode(self.signature),
            used_as: name(&self.role),
            at_ms: self.at.get(),
            error: self.result.err().map(|error| name(&error)),
        }
    }
}

/// Used as a handshake key at [`NOW`] unless the name says otherwise.
fn certificates() -> Vec<CertificateCase> {
    let signed = |name, body: Vec<u8>, result| {
        let signature = reference::sign_certificate(&SigningKey::from_bytes(&ROOT_SEED), &body);
        CertificateCase { name, body, signature, role: KeyRole::Handshake, at: NOW, result }
    };
    let malformed = |error| Err(CertificateError::Malformed(error));
    let good = reference_server().certificate_body;
    let bent = |bend: fn(&mut Vec<u8>)| {
        let mut body = good.clone();
        bend(&mut body);
        body
    };
    let key = *server_key().public().as_bytes();
    let at = |name, at, result| CertificateCase { at, ..signed(name, good.clone(), result) };
    let wrong_role = |expected, got| Err(CertificateError::WrongRole { expected, got });
    let early = Millis::new(VALID_FROM.get() - 1);
    let backwards = reference::certificate(0, &key, 3, VALID_TO.get(), VALID_FROM.get());
    let empty = reference::certificate(0, &key, 3, NOW.get(), NOW.get());
    vec![
        signed("valid", good.clone(), Ok(())),
        CertificateCase { role: KeyRole::Block, ..signed("block key used as such", body(1, &key), Ok(())) },
        CertificateCase { role: KeyRole::Log, ..signed("log key used as such", body(2, &key), Ok(())) },
        at("first millisecond", VALID_FROM, Ok(())),
        at("last millisecond", Millis::new(VALID_TO.get() - 1), Ok(())),
        signed("one byte short", bent(|body| body.truncate(56)), malformed(CodecError::Malformed)),
        signed(
            "one byte longer",
            bent(|body| body.push(0)),
            malformed(CodecError::TooLong { got: 58, max: 57 }),
        ),
        signed("role 3", bent(|body| body[1] = 3), malformed(CodecError::Malformed)),
        signed("version 0", bent(|body| body[0] = 0), malformed(CodecError::Invalid("certificate version"))),
        signed("version 2", bent(|body| body[0] = 2), malformed(CodecError::Invalid("certificate version"))),
        signed("never valid", empty, malformed(CodecError::Invalid("certificate validity"))),
        signed("valid backwards", backwards, malformed(CodecError::Invalid("certificate validity"))),
        CertificateCase {
            signature: other_service().certificate_signature,
            ..signed("signed by another root", good.clone(), Err(CertificateError::BadSignature))
        },
        CertificateCase {
            body: bent(|body| body[37] ^= 1),
            ..signed("other serial than signed", good.clone(), Err(CertificateError::BadSignature))
        },
        CertificateCase {
            signature: reference::sign(
                &SigningKey::from_bytes(&ROOT_SEED),
                "delegation",
                &reference::h("certificate", &[&good]),
            ),
            ..signed("signed as a delegation", good.clone(), Err(CertificateError::BadSignature))
        },
        signed(
            "key of small order",
            body(0, &small_order_point()),
            Err(CertificateError::Key(KeyError::SmallOrder)),
        ),
        signed("block key", body(1, &key), wrong_role(KeyRole::Handshake, KeyRole::Block)),
        CertificateCase {
            role: KeyRole::Block,
            ..signed("used as a block key", good.clone(), wrong_role(KeyRole::Block, KeyRole::Handshake))
        },
        at("too early", early, Err(CertificateError::NotYetValid { valid_from: VALID_FROM, at: early })),
        at("too late", VALID_TO, Err(CertificateError::Expired { valid_to: VALID_TO, at: VALID_TO })),
    ]
}

#[derive(Serialize)]
struct HandshakeVector {
    authority: &'static str,
    now_ms: u64,
    root_seed: String,
    server_seed: String,
    identity_seed: String,
    root_key: String,
    server_key: String,
    identity_key: String,
    certificate_body: String,
    certificate_signature: String,
    client_random: String,
    server_random: String,
    shared_secret: String,
    transcript: Vec<String>,
    server_handshake_key: String,
    client_handshake_key: String,
    server_finished_key: String,
    client_finished_key: String,
    master: String,
    client_traffic_key: String,
    server_traffic_key: String,
    session: String,
    m1: String,
    m2: String,
    m3: String,
    first_record_to_client: String,
    first_record_to_server: String,
    key_update_to_server: String,
    record_to_server_after_key_update: String,
    refused: Vec<RefusedVector>,
}

#[derive(Serialize)]
struct RefusedVector {
    name: &'static str,
    message: &'static str,
    bytes: String,
    error: String,
}

impl RefusedVector {
    fn of(refused: &Refused) -> Self {
        let (message, bytes) = match &refused.message {
            Message::M1(bytes) => ("m1", bytes),
            Message::M2(bytes) => ("m2", bytes),
            Message::M3(bytes) => ("m3", bytes),
        };
        Self { name: refused.name, message, bytes: hex::encode(bytes), error: name(&refused.error) }
    }
}

#[derive(Serialize)]
struct CertificateVector {
    root_key: String,
    certificates: Vec<CertificateCaseVector>,
}

#[derive(Serialize)]
struct CertificateCaseVector {
    name: &'static str,
    body: String,
    signature: String,
    used_as: String,
    at_ms: u64,
    error: Option<String>,
}
