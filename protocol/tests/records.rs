//! Records: committed vectors, and everything that must end a session instead of giving a message.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[macro_use]
#[path = "support/named.rs"]
mod named;
mod reference;

use cadastre_protocol::{
    Certificate, ClientHandshake, ClientSession, KeyRole, MESSAGE_BYTES_MAX, Millis, Opener, Padding,
    RECORD_BYTES_MAX, RecordError, SealError, Sealer, SecretKey, ServerHandshake, ServerIdentity,
    ServerSession, SignedCertificate, Trust,
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use reference::{FixedRandom, KEY_UPDATE, PART, Records, Server, WHOLE, assert_committed, name, ramp};
use serde::Serialize;

const CONTENT_BYTES_MAX: usize = 8188;
const PART_BYTES_MAX: usize = 8180;

#[test]
fn the_committed_records_are_what_both_implementations_give() {
    let steps = [
        Step::Message(0, Padding::Block64),
        Step::Message(60, Padding::Block64),
        Step::Message(61, Padding::Block64),
        Step::Message(1, Padding::Submission),
        Step::Message(508, Padding::Submission),
        Step::Message(509, Padding::Submission),
        Step::KeyUpdate,
        Step::Message(CONTENT_BYTES_MAX + 1, Padding::Block64),
        Step::KeyUpdate,
        Step::Message(7, Padding::Block64),
    ];
    let key = keys().0;
    let first = |after: After| hex::encode(after.seal(&mut Records::new(key)).unwrap());
    let vector = RecordVector {
        key: hex::encode(key),
        sealed: steps
            .iter()
            .zip(reference_records(key))
            .map(|(step, records)| step.vector(&records))
            .collect(),
        first_part: first(After::FirstPart),
        key_update: first(After::KeyUpdate),
        refused: refused().iter().map(RefusedVector::of).collect(),
    };
    assert_committed("record.json", include_str!("vectors/record.json"), &vector);

    let (mut sealer, mut opener) = to_server();
    for (step, expected) in steps.iter().zip(reference_records(key)) {
        let records = match step {
            Step::Message(bytes, padding) => seal(&mut sealer, &message(*bytes), *padding),
            Step::KeyUpdate => vec![sealer.update_key().unwrap()],
        };
        assert_eq!(records, expected);
        let opened: Vec<_> = records.into_iter().filter_map(|record| opener.open(record).unwrap()).collect();
        match step {
            Step::Message(bytes, _) => assert_eq!(opened, [message(*bytes)]),
            Step::KeyUpdate => assert!(opened.is_empty()),
        }
    }
}

named! { refusals, super::refuse, super::names_of_refused:
    kind_0
    kind_4
    empty
    no_plaintext
    plaintext_not_of_whole_blocks
    plaintext_of_8256_bytes
    other_kind_than_sealed
    sequence_number_1_first
    next_key_without_a_key_update
    old_key_after_a_key_update
    sequence_goes_on_after_a_key_update
    content_one_byte_longer_than_its_record
    content_of_4_gib
    first_byte_of_the_padding_not_zero
    last_byte_of_the_padding_not_zero
    one_block_more_than_needed
    one_doubling_more_than_needed
    whole_message_between_parts
    total_over_the_limit
    total_of_4_gib
    part_without_its_header
    part_of_a_message_that_fits_one_record
    part_of_an_empty_message
    last_part_first
    short_first_part
    empty_first_part
    first_part_again
    empty_last_part
    last_part_too_short
    last_part_too_long
    byte_left_out
    byte_repeated
    offset_beyond_the_total
    total_grows
    key_update_with_content
    key_update_of_512_bytes
}

#[test]
fn every_bit_of_a_record_counts() {
    let record = seal(&mut to_server().0, b"a turn", Padding::Block64).remove(0);
    for bit in 0..record.len() * 8 {
        let mut flipped = record.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let expected = match flipped[0] {
            1..=3 => RecordError::Unauthentic,
            got => RecordError::Kind { got },
        };
        assert_eq!(to_server().1.open(flipped), Err(expected), "bit {bit}");
    }
}

#[test]
fn every_other_length_is_refused() {
    let record = seal(&mut to_server().0, b"a turn", Padding::Submission).remove(0);
    for bytes in (0..RECORD_BYTES_MAX + 200).filter(|bytes| *bytes != record.len()) {
        // A handshake for each length would take longer than all other tests together.
        if bytes > 700 && (bytes - 17) % 64 > 1 {
            continue;
        }
        let mut other = record.clone();
        other.resize(bytes, 0);
        let a_class_gives_it = bytes > 17 && bytes <= RECORD_BYTES_MAX && (bytes - 17) % 64 == 0;
        let expected =
            if a_class_gives_it { RecordError::Unauthentic } else { RecordError::Length { got: bytes } };
        assert_eq!(to_server().1.open(other), Err(expected), "{bytes} bytes");
    }
}

#[test]
fn replayed_reordered_and_missing_records_are_refused() {
    let records: Vec<_> = {
        let mut sealer = to_server().0;
        (0..3).map(|_| seal(&mut sealer, b"the same", Padding::Block64).remove(0)).collect()
    };
    assert_eq!(verdicts(&records), [true, true, true]);
    for order in [[0, 0, 1], [0, 1, 1], [1, 0, 2], [0, 2, 1], [1, 2, 0]] {
        let sent: Vec<_> = order.iter().map(|index| records[*index].clone()).collect();
        let good = order.iter().zip(0..).take_while(|(index, expected)| **index == *expected).count();
        assert_eq!(verdicts(&sent), (0..3).map(|i| i < good).collect::<Vec<_>>(), "{order:?}");
    }
}

#[test]
fn a_send_that_was_cancelled_and_repeated_uses_no_number_twice() {
    let (mut sealer, mut opener) = to_server();
    // Nobody knows whether the first one left: the second one has the next number, and comes alone or after it.
    let [cancelled, repeated] = [(); 2].map(|()| seal(&mut sealer, b"a turn", Padding::Submission).remove(0));
    assert_ne!(cancelled, repeated);
    assert_eq!(to_server().1.open(repeated.clone()), Err(RecordError::Unauthentic));
    assert_eq!(opener.open(cancelled), Ok(Some(b"a turn".to_vec())));
    assert_eq!(opener.open(repeated), Ok(Some(b"a turn".to_vec())));
}

#[test]
fn a_record_is_good_for_its_direction_and_session_only() {
    let (mut client, mut server) = session(0);
    let record = seal(&mut client.sealer, b"hello", Padding::Block64).remove(0);
    assert_eq!(client.opener.open(record.clone()), Err(RecordError::Unauthentic));
    assert_eq!(session(1).1.opener.open(record.clone()), Err(RecordError::Unauthentic));
    assert_eq!(server.opener.open(record), Ok(Some(b"hello".to_vec())));
}

#[test]
fn after_a_key_update_the_old_key_opens_and_seals_nothing() {
    let mut old = Records::new(keys().0);
    let (_, mut opener) = to_server();
    let update = old.clone().key_update();
    assert_eq!(opener.open(update), Ok(None));
    old.padded(KEY_UPDATE, &[], 64);
    assert_eq!(opener.open(old.padded(WHOLE, b"old", 64)), Err(RecordError::Unauthentic));

    let (mut sealer, mut opener) = to_server();
    sealer.update_key().unwrap();
    let new = seal(&mut sealer, b"new", Padding::Block64).remove(0);
    assert_eq!(opener.open(new), Err(RecordError::Unauthentic));
}

#[test]
fn a_key_update_may_come_between_parts() {
    let mut records = Records::new(keys().0);
    let bytes = message(CONTENT_BYTES_MAX + 1);
    let (first, last) = bytes.split_at(PART_BYTES_MAX);
    let (_, mut opener) = to_server();
    assert_eq!(opener.open(records.part(8189, 0, first, 8192)), Ok(None));
    assert_eq!(opener.open(records.key_update()), Ok(None));
    assert_eq!(opener.open(records.part(8189, 8180, last, 64)), Ok(Some(bytes)));
}

#[test]
fn the_length_of_a_record_tells_its_class_only() {
    let length = |bytes, padding| {
        let records = seal(&mut to_server().0, &message(bytes), padding);
        assert_eq!(records.len(), 1);
        records[0].len() - 17
    };
    for bytes in [0, 1, 17, 60, 61, 124, 125, 507, 508, 509, 1020, 1021, 4092, 4093, 8188] {
        assert_eq!(length(bytes, Padding::Block64), (bytes + 4).div_ceil(64) * 64);
        let classes = [512, 1024, 2048, 4096, 8192];
        let class = classes.into_iter().find(|class| bytes + 4 <= *class).unwrap();
        assert_eq!(length(bytes, Padding::Submission), class);
    }
}

#[test]
fn the_limit_of_a_message_holds_at_the_limit_and_one_over() {
    let (mut sealer, mut opener) = to_server();
    let longest = message(MESSAGE_BYTES_MAX);
    let opened = through(&mut sealer, &mut opener, &longest, Padding::Block64);
    assert_eq!(opened, Ok(Some(longest)));
    let mut records = vec![b"kept".to_vec()];
    assert_eq!(
        sealer.seal(&message(MESSAGE_BYTES_MAX + 1), Padding::Block64, &mut records),
        Err(SealError::TooLong { got: MESSAGE_BYTES_MAX + 1 })
    );
    assert_eq!(records, [b"kept"]);
    // The refused message cost no number.
    assert_eq!(through(&mut sealer, &mut opener, b"on", Padding::Block64), Ok(Some(b"on".to_vec())));
}

#[test]
fn a_lower_limit_of_the_opener_holds_at_the_limit_and_one_over() {
    for (max, padding) in [(100, Padding::Block64), (0, Padding::Submission), (20_000, Padding::Block64)] {
        let (mut sealer, opener) = to_server();
        // Raising it again has no effect.
        let mut opener = opener.limited_to(max).limited_to(usize::MAX);
        let fits = message(max);
        assert_eq!(through(&mut sealer, &mut opener, &fits, padding), Ok(Some(fits)));
        let over = through(&mut sealer, &mut opener, &message(max + 1), padding);
        assert_eq!(over, Err(RecordError::MessageLength { got: max + 1, max }));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_messages_arrive_as_they_were_sent(
        steps in proptest::collection::vec((0..20_000_usize, any::<u8>(), any::<bool>(), any::<bool>()), 1..12)
    ) {
        let (mut sealer, mut opener) = to_server();
        for (bytes, fill, submission, rekey) in steps {
            let padding = if submission { Padding::Submission } else { Padding::Block64 };
            let mut sent = message(bytes);
            sent.iter_mut().for_each(|byte| *byte ^= fill);
            if rekey {
                prop_assert_eq!(opener.open(sealer.update_key().unwrap()), Ok(None));
            }
            prop_assert_eq!(through(&mut sealer, &mut opener, &sent, padding), Ok(Some(sent)));
        }
    }

    #[test]
    fn no_bytes_make_the_opener_panic_or_open(record in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(to_server().1.open(record).is_err());
    }

    #[test]
    fn no_plaintext_under_the_right_key_makes_the_opener_panic(
        kind in 1..=3_u8,
        start in proptest::collection::vec(0..20_u8, 0..24),
        blocks in 1..128_usize,
    ) {
        let mut plaintext = start;
        plaintext.resize(blocks * 64, 0);
        let _ = to_server().1.open(Records::new(keys().0).seal(kind, &plaintext));
    }
}

// What the tests are made of.

const NOW: Millis = Millis::new(1_795_000_000_000);
const AUTHORITY: &str = "127.0.0.1:7777";
const SEEDS: [[u8; 32]; 3] = [[0x11; 32], [0x22; 32], [0x55; 32]];

fn session(seed: u64) -> (ClientSession, ServerSession) {
    let [root, server, identity] = SEEDS.map(|seed| SecretKey::from_seed(&seed));
    let certificate = Certificate {
        version: 1,
        role: KeyRole::Handshake,
        key: server.public(),
        serial: 0,
        valid_from: Millis::new(0),
        valid_to: NOW.after(1),
    };
    let signed = SignedCertificate::issue(&root, &certificate);
    let server = ServerIdentity::new(root.public(), signed, server, NOW).unwrap();
    let (client_random, server_random) = random(seed);
    let (client, m1) = ClientHandshake::start(
        AUTHORITY,
        Trust::Pinned(root.public()),
        &identity,
        &mut FixedRandom::new(&client_random),
    );
    let (server, m2) = ServerHandshake::new(&server, AUTHORITY)
        .receive_m1(&m1, &mut FixedRandom::new(&server_random))
        .unwrap();
    let (m3, client) = client.receive(&m2, NOW).unwrap();
    (client, server.receive(&m3).unwrap())
}

fn random(seed: u64) -> ([u8; 64], [u8; 64]) {
    let shift = u8::try_from(seed).unwrap();
    (ramp(0x40 + shift), ramp(0x80 + shift))
}

/// The direction to the server of session 0.
fn to_server() -> (Sealer, Opener) {
    let (client, server) = session(0);
    (client.sealer, server.opener)
}

/// The traffic keys of session 0, to the server and to the client, from the reference.
fn keys() -> ([u8; 32], [u8; 32]) {
    let [root, key, identity] = SEEDS.map(|seed| SigningKey::from_bytes(&seed));
    let body = reference::certificate(0, key.verifying_key().as_bytes(), 0, 0, NOW.get() + 1);
    let (client_random, server_random) = random(0);
    let server = Server {
        root: root.verifying_key().to_bytes(),
        certificate_signature: reference::sign_certificate(&root, &body),
        certificate_body: body,
        key,
        random: server_random,
    };
    let (_, answered) = server.answer(AUTHORITY, &reference::m1(&client_random));
    let (_, finished) = answered.finish(&identity);
    (finished.client_traffic, finished.server_traffic)
}

/// Byte `i` is `i` modulo 251.
fn message(bytes: usize) -> Vec<u8> {
    (0..251).cycle().take(bytes).collect()
}

fn seal(sealer: &mut Sealer, message: &[u8], padding: Padding) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    sealer.seal(message, padding, &mut records).unwrap();
    records
}

/// What the last of the records gives that carry `message`.
fn through(
    sealer: &mut Sealer,
    opener: &mut Opener,
    message: &[u8],
    padding: Padding,
) -> Result<Option<Vec<u8>>, RecordError> {
    let mut opened = Ok(None);
    for record in seal(sealer, message, padding) {
        assert_eq!(opened, Ok(None));
        opened = opener.open(record);
        if opened.is_err() {
            break;
        }
    }
    opened
}

/// Which of `records`, in this order, a fresh opener takes.
fn verdicts(records: &[Vec<u8>]) -> Vec<bool> {
    let mut opener = to_server().1;
    records.iter().map(|record| opener.open(record.clone()).is_ok()).collect()
}

enum Step {
    Message(usize, Padding),
    KeyUpdate,
}

/// The records of the steps above, sizes written out by hand.
fn reference_records(key: [u8; 32]) -> Vec<Vec<Vec<u8>>> {
    let mut records = Records::new(key);
    let long = message(8189);
    let mut one = |bytes, size| vec![records.padded(WHOLE, &message(bytes), size)];
    let mut all = vec![one(0, 64), one(60, 64), one(61, 128), one(1, 512), one(508, 512), one(509, 1024)];
    all.push(vec![records.key_update()]);
    all.push(vec![records.part(8189, 0, &long[..8180], 8192), records.part(8189, 8180, &long[8180..], 64)]);
    all.push(vec![records.key_update()]);
    all.push(vec![records.padded(WHOLE, &message(7), 64)]);
    all
}

/// What the opener took before the record that it refuses.
#[derive(Clone, Copy, Debug)]
enum After {
    Nothing,
    /// The first of two parts of a message of 8189 bytes.
    FirstPart,
    KeyUpdate,
}

impl After {
    fn seal(self, to: &mut Records) -> Option<Vec<u8>> {
        match self {
            Self::Nothing => None,
            Self::FirstPart => Some(to.part(8189, 0, &[7; 8180], 8192)),
            Self::KeyUpdate => Some(to.key_update()),
        }
    }
}

fn names_of_refused() -> Vec<String> {
    refused().iter().map(|refused| named::of(refused.name)).collect()
}

/// The record is refused, and so is every other one after it.
fn refuse(test: &str) {
    let Refused { after, record, error, .. } =
        refused().into_iter().find(|refused| named::of(refused.name) == test).unwrap();
    let mut opener = to_server().1;
    if let Some(before) = after.seal(&mut Records::new(keys().0)) {
        assert_eq!(opener.open(before), Ok(None));
    }
    assert_eq!(opener.open(record), Err(error));
    let good = Records::new(keys().0).padded(WHOLE, b"", 64);
    assert_eq!(opener.open(good), Err(RecordError::Ended));
}

struct Refused {
    name: &'static str,
    after: After,
    record: Vec<u8>,
    error: RecordError,
}

/// Records under the key of the vector, in the order of the errors.
fn refused() -> Vec<Refused> {
    use RecordError as E;

    let after = |after: After, name, error, make: fn(&mut Records) -> Vec<u8>| {
        let mut to = Records::new(keys().0);
        after.seal(&mut to);
        Refused { name, after, record: make(&mut to), error }
    };
    let first = |name, error, make| after(After::Nothing, name, error, make);
    let second_part = |name, make| after(After::FirstPart, name, E::Part, make);
    let max = MESSAGE_BYTES_MAX;
    vec![
        first("kind 0", E::Kind { got: 0 }, |to| to.padded(0, b"", 64)),
        first("kind 4", E::Kind { got: 4 }, |to| to.padded(4, b"", 64)),
        first("empty", E::Length { got: 0 }, |_| vec![]),
        first("no plaintext", E::Length { got: 17 }, |to| to.seal(WHOLE, &[])),
        first("plaintext not of whole blocks", E::Length { got: 82 }, |to| to.padded(WHOLE, b"", 65)),
        first("plaintext of 8256 bytes", E::Length { got: 8273 }, |to| to.padded(WHOLE, b"", 8256)),
        first("other kind than sealed", E::Unauthentic, |to| {
            let mut record = to.padded(WHOLE, b"", 64);
            record[0] = KEY_UPDATE;
            record
        }),
        first("sequence number 1 first", E::Unauthentic, |to| {
            to.padded(WHOLE, b"", 64);
            to.padded(WHOLE, b"", 64)
        }),
        first("next key without a key update", E::Unauthentic, |to| {
            to.rekey();
            to.padded(WHOLE, b"", 64)
        }),
        after(After::KeyUpdate, "old key after a key update", E::Unauthentic, |_| {
            let mut old = Records::new(keys().0);
            old.padded(KEY_UPDATE, b"", 64);
            old.padded(WHOLE, b"", 64)
        }),
        after(After::KeyUpdate, "sequence goes on after a key update", E::Unauthentic, |to| {
            to.padded(WHOLE, b"", 64);
            to.padded(WHOLE, b"", 64)
        }),
        first("content one byte longer than its record", E::ContentLength, |to| {
            let mut plaintext = reference::plaintext(b"", 64);
            plaintext[0] = 61;
            to.seal(WHOLE, &plaintext)
        }),
        first("content of 4 GiB", E::ContentLength, |to| {
            let mut plaintext = reference::plaintext(b"", 64);
            plaintext[..4].fill(0xff);
            to.seal(WHOLE, &plaintext)
        }),
        first("first byte of the padding not zero", E::Padding, |to| {
            let mut plaintext = reference::plaintext(b"ab", 64);
            plaintext[6] = 1;
            to.seal(WHOLE, &plaintext)
        }),
        first("last byte of the padding not zero", E::Padding, |to| {
            let mut plaintext = reference::plaintext(b"ab", 64);
            plaintext[63] = 0x80;
            to.seal(WHOLE, &plaintext)
        }),
        first("one block more than needed", E::Padding, |to| to.padded(WHOLE, &[7; 60], 128)),
        first("one doubling more than needed", E::Padding, |to| to.padded(WHOLE, &[7; 508], 1024)),
        after(After::FirstPart, "whole message between parts", E::Interleaved, |to| {
            to.padded(WHOLE, b"", 64)
        }),
        first("total over the limit", E::MessageLength { got: max + 1, max }, |to| {
            to.part(131_073, 0, &[7; 8], 64)
        }),
        first("total of 4 GiB", E::MessageLength { got: 0xffff_ffff, max }, |to| {
            to.part(u32::MAX, 0, &[7; 8], 64)
        }),
        first("part without its header", E::Part, |to| to.padded(PART, &[7; 7], 64)),
        first("part of a message that fits one record", E::Part, |to| to.part(48, 0, &[7; 48], 64)),
        first("part of an empty message", E::Part, |to| to.part(0, 0, &[], 64)),
        first("last part first", E::Part, |to| to.part(8189, 8180, &[7; 9], 64)),
        first("short first part", E::Part, |to| to.part(8189, 0, &[7; 8], 64)),
        first("empty first part", E::Part, |to| to.part(8189, 0, &[], 64)),
        second_part("first part again", |to| to.part(8189, 0, &[7; 8180], 8192)),
        second_part("empty last part", |to| to.part(8189, 8180, &[], 64)),
        second_part("last part too short", |to| to.part(8189, 8180, &[7; 8], 64)),
        second_part("last part too long", |to| to.part(8189, 8180, &[7; 10], 64)),
        second_part("byte left out", |to| to.part(8189, 8181, &[7; 8], 64)),
        second_part("byte repeated", |to| to.part(8189, 8179, &[7; 10], 64)),
        second_part("offset beyond the total", |to| to.part(8189, u32::MAX, &[7; 9], 64)),
        second_part("total grows", |to| to.part(8190, 8180, &[7; 10], 64)),
        first("key update with content", E::KeyUpdate, |to| to.padded(KEY_UPDATE, b"a", 64)),
        first("key update of 512 bytes", E::KeyUpdate, |to| to.padded(KEY_UPDATE, b"", 512)),
    ]
}

#[derive(Serialize)]
struct RecordVector {
    key: String,
    sealed: Vec<StepVector>,
    first_part: String,
    key_update: String,
    refused: Vec<RefusedVector>,
}

/// The message's byte `i` is `i` modulo 251. No message: the record is a key update.
#[derive(Serialize)]
struct StepVector {
    message_bytes: Option<usize>,
    padding: Option<String>,
    records: Vec<String>,
}

impl Step {
    fn vector(&self, records: &[Vec<u8>]) -> StepVector {
        let records = records.iter().map(hex::encode).collect();
        match self {
            Self::Message(bytes, padding) => {
                StepVector { message_bytes: Some(*bytes), padding: Some(name(padding)), records }
            }
            Self::KeyUpdate => StepVector { message_bytes: None, padding: None, records },
        }
    }
}

#[derive(Serialize)]
struct RefusedVector {
    name: &'static str,
    after: String,
    record: String,
    error: String,
}

impl RefusedVector {
    fn of(refused: &Refused) -> Self {
        Self {
            name: refused.name,
            after: name(&refused.after),
            record: hex::encode(&refused.record),
            error: name(&refused.error),
        }
    }
}
