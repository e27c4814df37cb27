//! The handshake and the records a second time, written from `docs/protocol.md` over the bare primitives and
//! with nothing of the crate under test. Where the two differ, one of them is not the protocol.
//!
//! It also makes what an honest end never does: every message can be bent before it is sealed.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod objects;

use std::convert::Infallible;

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, aead::Aead, aead::Payload};
use ed25519_dalek::{Signer, SigningKey};
use rand_core::{TryCryptoRng, TryRng};
use x25519_dalek::{PublicKey, StaticSecret};

/// Gives out prepared bytes, and panics when there are no more.
pub(crate) struct FixedRandom(Vec<u8>);

impl FixedRandom {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// As many bytes as wanted, the same for the same seed.
    pub(crate) fn seeded(seed: u64) -> Self {
        let mut bytes = vec![0; 1024];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        Self(bytes)
    }
}

impl TryRng for FixedRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        to.copy_from_slice(&self.0[..to.len()]);
        self.0.drain(..to.len());
        Ok(())
    }
}

impl TryCryptoRng for FixedRandom {}

/// `count` bytes that are easy to write down: byte `i` is `first + i`.
pub(crate) fn ramp<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|i| first.wrapping_add(u8::try_from(i).unwrap()))
}

pub(crate) fn h(context: &str, parts: &[&[u8]]) -> [u8; 32] {
    blake3::derive_key(&format!("cadastre v1 2026-11 {context}"), &parts.concat())
}

pub(crate) fn sign(key: &SigningKey, context: &str, digest: &[u8; 32]) -> [u8; 64] {
    let context = format!("cadastre v1 2026-11 {context}");
    let signed = [[0x20; 64].as_slice(), context.as_bytes(), &[0], digest].concat();
    key.sign(&signed).to_bytes()
}

/// A certificate body of version 1.
pub(crate) fn certificate(role: u32, key: &[u8; 32], serial: u32, from_ms: u64, to_ms: u64) -> Vec<u8> {
    let (role, serial) = (role.to_le_bytes(), serial.to_le_bytes());
    [&[1], role.as_slice(), key, &serial, &from_ms.to_le_bytes(), &to_ms.to_le_bytes()].concat()
}

pub(crate) fn sign_certificate(root: &SigningKey, body: &[u8]) -> [u8; 64] {
    sign(root, "certificate", &h("certificate", &[body]))
}

/// Hash after each item absorbed.
#[derive(Clone)]
struct Transcript(Vec<[u8; 32]>);

impl Transcript {
    fn new(authority: &str) -> Self {
        let mut transcript = Self(Vec::new());
        transcript.absorb(b"cadastre.v1");
        transcript.absorb(authority.as_bytes());
        transcript
    }

    fn absorb(&mut self, item: &[u8]) -> [u8; 32] {
        let label = u8::try_from(self.0.len()).unwrap();
        let bytes = u32::try_from(item.len()).unwrap().to_le_bytes();
        let before = self.0.last().copied().unwrap_or([0; 32]);
        let after = h("transcript", &[&before, &[label], &bytes, item]);
        self.0.push(after);
        after
    }

    fn last(&self) -> &[u8; 32] {
        self.0.last().unwrap()
    }
}

pub(crate) fn m1(random: &[u8; 64]) -> Vec<u8> {
    let secret = StaticSecret::from(*random.first_chunk::<32>().unwrap());
    let mut m1 = vec![1, 1, 0, 0, 0, 1, 1, 0, 0, 0];
    m1.extend_from_slice(PublicKey::from(&secret).as_bytes());
    m1.extend_from_slice(&random[32..]);
    m1.resize(256, 0);
    m1
}

/// What a server, honest or not, answers with.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) root: [u8; 32],
    pub(crate) certificate_body: Vec<u8>,
    pub(crate) certificate_signature: [u8; 64],
    pub(crate) key: SigningKey,
    pub(crate) random: [u8; 64],
}

impl Server {
    pub(crate) fn answer(&self, authority: &str, m1: &[u8]) -> (Vec<u8>, Answered) {
        self.answer_bent(authority, m1, |_| {})
    }

    /// `bend` may change what M2 seals after everything was signed.
    pub(crate) fn answer_bent(
        &self,
        authority: &str,
        m1: &[u8],
        bend: impl FnOnce(&mut Vec<u8>),
    ) -> (Vec<u8>, Answered) {
        let secret = StaticSecret::from(*self.random.first_chunk::<32>().unwrap());
        let client = PublicKey::from(*m1[10..].first_chunk::<32>().unwrap());
        let shared = secret.diffie_hellman(&client).to_bytes();

        let mut transcript = Transcript::new(authority);
        transcript.absorb(m1);
        let clear = [&[1, 1], PublicKey::from(&secret).as_bytes().as_slice(), &self.random[32..]].concat();
        let th = transcript.absorb(&clear);
        let key = |context| h(context, &[&shared, &th]);
        let server_handshake = key("server handshake key");
        let client_handshake = key("client handshake key");
        let server_finished = key("server finished key");
        let client_finished = key("client finished key");

        let (body, body_signature) = (&self.certificate_body, &self.certificate_signature);
        let signed = transcript.absorb(&[self.root.as_slice(), body, body_signature].concat());
        let signature = sign(&self.key, "server auth", &signed);
        let mac = *blake3::keyed_hash(&server_finished, &transcript.absorb(&signature)).as_bytes();
        transcript.absorb(&mac);

        let length = u16::try_from(body.len()).unwrap().to_le_bytes();
        let mut plaintext = [self.root.as_slice(), &length, body, body_signature, &signature, &mac].concat();
        bend(&mut plaintext);
        let m2 = [clear, aead_seal(&server_handshake, [0; 12], &th, &plaintext)].concat();
        let answered = Answered {
            transcript,
            shared,
            server_handshake,
            client_handshake,
            server_finished,
            client_finished,
        };
        (m2, answered)
    }
}

/// Everything that both ends know after M2.
#[derive(Clone)]
pub(crate) struct Answered {
    transcript: Transcript,
    pub(crate) shared: [u8; 32],
    pub(crate) server_handshake: [u8; 32],
    pub(crate) client_handshake: [u8; 32],
    pub(crate) server_finished: [u8; 32],
    pub(crate) client_finished: [u8; 32],
}

impl Answered {
    /// Does `m2` open for an end that has this view of the handshake?
    pub(crate) fn opens(&self, m2: &[u8]) -> bool {
        aead_open(&self.server_handshake, [0; 12], &self.transcript.0[3], &m2[66..]).is_some()
    }

    pub(crate) fn finish(self, identity: &SigningKey) -> (Vec<u8>, Finished) {
        self.finish_bent(identity, |_| {})
    }

    /// `bend` may change what M3 seals after everything was signed.
    pub(crate) fn finish_bent(
        self,
        identity: &SigningKey,
        bend: impl FnOnce(&mut Vec<u8>),
    ) -> (Vec<u8>, Finished) {
        let mut transcript = self.transcript.clone();
        let associated_data = *transcript.last();
        let public = identity.verifying_key().to_bytes();
        let signature = sign(identity, "client auth", &transcript.absorb(&public));
        let mac = *blake3::keyed_hash(&self.client_finished, &transcript.absorb(&signature)).as_bytes();
        let th = transcript.absorb(&mac);

        let mut plaintext = [public.as_slice(), &signature, &mac].concat();
        bend(&mut plaintext);
        let m3 = aead_seal(&self.client_handshake, [0; 12], &associated_data, &plaintext);
        let master = h("master", &[&self.shared, &th]);
        let finished = Finished {
            transcript: transcript.0,
            master,
            client_traffic: h("client traffic", &[&master]),
            server_traffic: h("server traffic", &[&master]),
            session: h("exporter", &[&master]),
        };
        (m3, finished)
    }
}

/// Everything that both ends know after M3.
pub(crate) struct Finished {
    pub(crate) transcript: Vec<[u8; 32]>,
    pub(crate) master: [u8; 32],
    pub(crate) client_traffic: [u8; 32],
    pub(crate) server_traffic: [u8; 32],
    pub(crate) session: [u8; 32],
}

pub(crate) const WHOLE: u8 = 1;
pub(crate) const PART: u8 = 2;
pub(crate) const KEY_UPDATE: u8 = 3;

/// One direction of records, sealed from plaintexts that need not be well-formed.
#[derive(Clone)]
pub(crate) struct Records {
    key: [u8; 32],
    epoch: u32,
    sequence: u64,
}

impl Records {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, epoch: 0, sequence: 0 }
    }

    pub(crate) fn seal(&mut self, kind: u8, plaintext: &[u8]) -> Vec<u8> {
        let nonce = [self.epoch.to_le_bytes().as_slice(), &self.sequence.to_le_bytes()].concat();
        let bytes = u32::try_from(plaintext.len() + 16).unwrap().to_le_bytes();
        let associated_data = [&[kind], bytes.as_slice()].concat();
        self.sequence += 1;
        let ciphertext = aead_seal(&self.key, nonce.try_into().unwrap(), &associated_data, plaintext);
        [vec![kind], ciphertext].concat()
    }

    /// Seals a well-formed plaintext padded to `size`.
    pub(crate) fn padded(&mut self, kind: u8, content: &[u8], size: usize) -> Vec<u8> {
        self.seal(kind, &plaintext(content, size))
    }

    pub(crate) fn part(&mut self, total: u32, offset: u32, bytes: &[u8], size: usize) -> Vec<u8> {
        let content = [total.to_le_bytes().as_slice(), &offset.to_le_bytes(), bytes].concat();
        self.padded(PART, &content, size)
    }

    pub(crate) fn key_update(&mut self) -> Vec<u8> {
        let record = self.padded(KEY_UPDATE, &[], 64);
        self.rekey();
        record
    }

    pub(crate) fn rekey(&mut self) {
        self.key = h("rekey", &[&self.key]);
        self.epoch += 1;
        self.sequence = 0;
    }
}

pub(crate) fn plaintext(content: &[u8], size: usize) -> Vec<u8> {
    let mut plaintext = u32::try_from(content.len()).unwrap().to_le_bytes().to_vec();
    plaintext.extend_from_slice(content);
    plaintext.resize(size, 0);
    plaintext
}

fn aead_seal(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], msg: &[u8]) -> Vec<u8> {
    ChaCha20Poly1305::new(key.into()).encrypt(&nonce.into(), Payload { msg, aad }).unwrap()
}

fn aead_open(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
    ChaCha20Poly1305::new(key.into()).decrypt(&nonce.into(), Payload { msg, aad }).ok()
}

/// The name of an error's variant as the vectors have it: `Certificate.Expired`.
pub(crate) fn name(error: &impl std::fmt::Debug) -> String {
    let debug = format!("{error:?}");
    let end = debug.find([' ', ')', '"']).unwrap_or(debug.len());
    debug[..end].trim_end_matches('(').replace('(', ".")
}

/// Fails with the file as it would have to be, which never happens to a file that is the protocol.
pub(crate) fn assert_committed<T: serde::Serialize>(file: &str, committed: &str, actual: &T) {
    let actual = serde_json::to_string_pretty(actual).unwrap() + "\n";
    assert!(committed == actual, "tests/vectors/{file} does not hold; it would have to be:\n{actual}");
}
