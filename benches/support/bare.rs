use std::hint::black_box;

use chacha20poly1305::{AeadInOut, ChaCha20Poly1305, KeyInit};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::server::SEATS;

/// Plaintext of a record that carries a small submission, with its padding.
pub(crate) const SUBMISSION_BYTES: usize = 512;

/// The primitives alone, called as the libraries offer them, on objects of the sizes that we use. Hashes are
/// left out: the sum is signatures and sealing only.
pub(crate) struct Bare {
    signer: SigningKey,
    players: Vec<Player>,
    scratch: Vec<u8>,
}

struct Player {
    key: VerifyingKey,
    message: Vec<u8>,
    signature: Signature,
    traffic: [u8; 32],
    submission: Vec<u8>,
    tag: [u8; 16],
}

impl Bare {
    pub(crate) fn new() -> Self {
        let players = (0..SEATS).map(|seat| {
            let key = SigningKey::from_bytes(&[seat; 32]);
            let message = vec![seat; SIGNED_BYTES];
            let traffic = [seat ^ 0x55; 32];
            let mut submission = vec![0; SUBMISSION_BYTES];
            let tag = seal(&traffic, &mut submission);
            let signature = key.sign(&message);
            Player { key: key.verifying_key(), message, signature, traffic, submission, tag }
        });
        Self {
            signer: SigningKey::from_bytes(&[99; 32]),
            players: players.collect(),
            scratch: vec![0; 64 * 1024],
        }
    }

    /// Opens the submission of a seat.
    pub(crate) fn open(&mut self, seat: u8) {
        let player = &self.players[usize::from(seat)];
        let bytes = &mut self.scratch[..SUBMISSION_BYTES];
        bytes.copy_from_slice(&player.submission);
        let opened = ChaCha20Poly1305::new(&player.traffic.into()).decrypt_inout_detached(
            &NONCE.into(),
            &ASSOCIATED_DATA,
            bytes.into(),
            &player.tag.into(),
        );
        opened.expect("it was sealed under this key");
    }

    /// Verifies a signature of a seat.
    pub(crate) fn verify(&self, seat: u8) {
        let player = &self.players[usize::from(seat)];
        let verified = player.key.verify_strict(black_box(&player.message), &player.signature);
        verified.expect("it was signed with this key");
    }

    /// Signs as the server does.
    pub(crate) fn sign(&self) {
        black_box(self.signer.sign(black_box(&[7; SIGNED_BYTES])));
    }

    /// Seals a record with a plaintext of so many bytes for a seat.
    pub(crate) fn seal(&mut self, seat: u8, bytes: usize) {
        let traffic = self.players[usize::from(seat)].traffic;
        black_box(seal(&traffic, &mut self.scratch[..bytes]));
    }
}

fn seal(traffic: &[u8; 32], bytes: &mut [u8]) -> [u8; 16] {
    let cipher = ChaCha20Poly1305::new(traffic.into());
    let sealed = cipher.encrypt_inout_detached(&NONCE.into(), &ASSOCIATED_DATA, bytes.into());
    sealed.expect("only 256 GiB and more are refused").into()
}

/// What is signed: 64 spaces, a context, a digest.
const SIGNED_BYTES: usize = 128;
const NONCE: [u8; 12] = [0; 12];
const ASSOCIATED_DATA: [u8; 5] = [1; 5];
