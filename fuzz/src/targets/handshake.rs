//! Both ends of the handshake and the reader of records: bytes as they come from anybody, and plaintexts of a
//! peer that has the right keys and breaks the rules.

use std::sync::LazyLock;

use cadastre_protocol::{
    AwaitM3, Certificate, ClientHandshake, KeyRole, Millis, Opener, SecretKey, ServerHandshake,
    ServerIdentity, SignedCertificate, Trust, encode,
};
use ed25519_dalek::SigningKey;

use super::edits::Numbers;
use crate::reference::{self, FixedRandom, Records};

pub(super) fn m1(data: &[u8]) {
    let _ = ServerHandshake::new(&server_identity(), AUTHORITY).receive_m1(data, &mut server_random());
}

pub(super) fn m2(data: &[u8]) {
    let _ = client().0.receive(data, NOW);
}

/// The plaintext of M2, by a server that seals whatever it likes.
pub(super) fn m2_opened(data: &[u8]) {
    let (client, m1) = client();
    let (m2, _) = reference_server().answer_bent(AUTHORITY, &m1, |plaintext| {
        overwrite(plaintext, data);
    });
    let answer = client.receive(&m2, NOW);
    assert_eq!(answer.is_ok(), data.is_empty(), "whatever was changed was accepted");
}

pub(super) fn m3(data: &[u8]) {
    let _ = server().receive(data);
}

/// The plaintext of M3, by a client that seals whatever it likes.
pub(super) fn m3_opened(data: &[u8]) {
    let (_, answered) = reference_server().answer(AUTHORITY, &client().1);
    let (m3, _) = answered.finish_bent(&SigningKey::from_bytes(&IDENTITY_SEED), |plaintext| {
        overwrite(plaintext, data);
    });
    let answer = server().receive(&m3);
    assert_eq!(answer.is_ok(), data.is_empty(), "whatever was changed was accepted");
}

pub(super) fn record(data: &[u8]) {
    let opened = session().0.open(data.to_vec());
    assert!(opened.is_err(), "a record that nobody sealed was opened");
}

/// Records of a peer that seals whatever it likes: for each a kind, and a plaintext.
pub(super) fn records_opened(data: &[u8]) {
    let (mut opener, mut records) = session();
    let mut numbers = Numbers::new(data);
    while !numbers.is_empty() {
        let kind = numbers.u8();
        let mut plaintext = numbers.bytes().to_vec();
        // Most sizes are refused for their size alone.
        if numbers.u8().is_multiple_of(2) {
            plaintext.resize(plaintext.len().next_multiple_of(64), 0);
        }
        if opener.open(records.seal(kind, &plaintext)).is_err() {
            return;
        }
        if kind == reference::KEY_UPDATE {
            records.rekey();
        }
    }
}

/// Changes bytes in place: for each a number of where, and a number that is added to it. Every change counts.
fn overwrite(plaintext: &mut [u8], data: &[u8]) {
    let before = plaintext.to_vec();
    let mut numbers = Numbers::new(data);
    while !numbers.is_empty() {
        let at = numbers.below(plaintext.len());
        plaintext[at] = plaintext[at].wrapping_add(numbers.u8());
    }
    if plaintext == before && !data.is_empty() {
        plaintext[0] ^= 1;
    }
}

/// The server's opener, and what the client seals with.
fn session() -> (Opener, Records) {
    let (m3, key) = &*SESSION;
    (server().receive(m3).unwrap().opener, Records::new(*key))
}

/// M3 of the client, and the key of its records.
static SESSION: LazyLock<(Vec<u8>, [u8; 32])> = LazyLock::new(|| {
    let (_, answered) = reference_server().answer(AUTHORITY, &client().1);
    let (m3, finished) = answered.finish(&SigningKey::from_bytes(&IDENTITY_SEED));
    (m3, finished.client_traffic)
});

fn client() -> (ClientHandshake, Vec<u8>) {
    let trust = Trust::Pinned(SecretKey::from_seed(&ROOT_SEED).public());
    let identity = SecretKey::from_seed(&IDENTITY_SEED);
    ClientHandshake::start(AUTHORITY, trust, &identity, &mut FixedRandom::new(&reference::ramp::<64>(0x40)))
}

/// A server that has sent M2.
fn server() -> AwaitM3 {
    static READY: LazyLock<(ServerIdentity, Vec<u8>)> = LazyLock::new(|| (server_identity(), client().1));
    let (identity, m1) = &*READY;
    ServerHandshake::new(identity, AUTHORITY).receive_m1(m1, &mut server_random()).unwrap().0
}

fn server_random() -> FixedRandom {
    FixedRandom::new(&SERVER_RANDOM)
}

fn server_identity() -> ServerIdentity {
    let (root, key) = (SecretKey::from_seed(&ROOT_SEED), SecretKey::from_seed(&SERVER_SEED));
    let signed = SignedCertificate::issue(&root, &certificate());
    ServerIdentity::new(root.public(), signed, key, NOW).unwrap()
}

fn certificate() -> Certificate {
    Certificate {
        version: Certificate::VERSION,
        role: KeyRole::Handshake,
        key: SecretKey::from_seed(&SERVER_SEED).public(),
        serial: 3,
        valid_from: Millis::new(0),
        valid_to: Millis::new(u64::MAX),
    }
}

/// The same server, written from the document.
fn reference_server() -> reference::Server {
    let root = SigningKey::from_bytes(&ROOT_SEED);
    let body = encode(&certificate());
    reference::Server {
        root: root.verifying_key().to_bytes(),
        certificate_signature: reference::sign_certificate(&root, &body),
        certificate_body: body,
        key: SigningKey::from_bytes(&SERVER_SEED),
        random: SERVER_RANDOM,
    }
}

const AUTHORITY: &str = "play.example.org:7777";
const NOW: Millis = Millis::new(1_795_000_000_000);
const ROOT_SEED: [u8; 32] = [0x11; 32];
const SERVER_SEED: [u8; 32] = [0x22; 32];
const IDENTITY_SEED: [u8; 32] = [0x55; 32];
const SERVER_RANDOM: [u8; 64] = [0x80; 64];
