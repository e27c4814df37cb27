//! The handshake: SIGMA-I over X25519, ChaCha20-Poly1305, BLAKE3 and Ed25519.
//!
//! `docs/protocol.md`, "Handshake". Both ends are values that are fed messages and a random number generator;
//! each step consumes the one before, so after an error there is nothing left to go on with.
//!
//! ```text
//! ClientHandshake::start ── M1 ─▶ ServerHandshake::receive_m1
//! ClientHandshake::receive ◀─ M2 ── AwaitM3
//! ClientSession          ── M3 ─▶ AwaitM3::receive, ServerSession
//! ```
//!
//! # Requires
//!
//! - A cryptographic random number generator at both ends.
//! - At the client, the service root key ([`Trust::Pinned`]), and a clock that is right to within the
//!   validity of certificates. At the server, a check that the authority is one of its own.
//!
//! # Provides
//!
//! - Both ends agree on every byte of the handshake, on the authority, on each other's keys and on fresh
//!   traffic keys, or at least one of them ends with an error.
//! - Forward secrecy: keys that leak later open no recorded session.
//! - The player's identity key is shown only to an end that proved to be the service.
//!
//! # Does not provide
//!
//! - A logged-in client: that the server accepted M3 is known from the first sealed record, not before.
//! - Secrecy of the service's root key and certificate: whoever connects learns them.
//! - Deniability, early data, resumption, or protection from quantum computers.
//! - With [`Trust::FirstUse`], protection from someone who sits in between on the first connection.

use crate::{
    certificate::{CERTIFICATE_BYTES, CertificateError},
    hash::Digest,
    keys::{EnrolledKey, KeyError, PublicKey},
    record::{Opener, Sealer, TAG_BYTES},
};

pub use self::{
    client::{ClientHandshake, Trust},
    server::{AwaitM3, ServerHandshake, ServerIdentity, ServerIdentityError},
};

mod client;
mod server;
mod transcript;

/// Length of the client's first message.
pub const M1_BYTES: usize = 256;

/// Length of the server's message.
pub const M2_BYTES: usize = M2_CLEAR_BYTES + 32 + 2 + CERTIFICATE_BYTES as usize + 64 + 64 + 32 + TAG_BYTES;

/// Length of the client's second message.
pub const M3_BYTES: usize = 32 + 64 + 32 + TAG_BYTES;

/// The client's end of a session.
#[derive(Debug)]
pub struct ClientSession {
    /// Seals what goes to the server.
    pub sealer: Sealer,
    /// Opens what comes from the server.
    pub opener: Opener,
    /// The service root key that the server showed. With [`Trust::FirstUse`], the one to pin from now on.
    pub root: PublicKey,
    /// The session's name, known to its two ends only.
    pub session: Digest,
}

/// The server's end of a session.
#[derive(Debug)]
pub struct ServerSession {
    /// Seals what goes to the client.
    pub sealer: Sealer,
    /// Opens what comes from the client.
    pub opener: Opener,
    /// The key that the player proved to have.
    pub identity: EnrolledKey,
    /// The session's name, known to its two ends only.
    pub session: Digest,
}

/// Why a handshake failed. The other end's fault, or that of whoever sits between.
///
/// For our own log only: to the other end every one of them looks the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The message has not the one length of its kind.
    #[error("message of {got} bytes, {expected} were expected")]
    Length {
        /// The length of this kind.
        expected: usize,
        /// The length that came.
        got: usize,
    },
    /// A list of M1 is empty, unsorted or too long, or unused bytes are not zero.
    #[error("malformed offer")]
    Offer,
    /// The client offers no version that the server speaks.
    #[error("no common version")]
    NoCommonVersion,
    /// The client offers no suite that the server speaks.
    #[error("no common suite")]
    NoCommonSuite,
    /// The server chose what the client did not offer.
    #[error("server chose version {version} and suite {suite}, which were not offered")]
    NotOffered {
        /// The version in M2.
        version: u8,
        /// The suite in M2.
        suite: u8,
    },
    /// Both ends show the same ephemeral key.
    #[error("own ephemeral key came back")]
    Reflected,
    /// The ephemeral key makes the shared secret predictable.
    #[error("ephemeral key of small order")]
    SmallOrder,
    /// Not sealed by the other end of this very handshake.
    #[error("message does not decrypt")]
    Unauthentic,
    /// The certificate in M2 is not as long as a certificate is.
    #[error("certificate of {got} bytes")]
    CertificateLength {
        /// The length field.
        got: u16,
    },
    /// The server belongs to another service than the pinned one, or its root key was replaced.
    #[error("server shows the root key {got}, {pinned} is pinned")]
    RootNotPinned {
        /// The key that the client trusts.
        pinned: PublicKey,
        /// The key in M2.
        got: PublicKey,
    },
    /// The server's root key cannot be enrolled.
    #[error("root key is not acceptable")]
    Root(#[source] KeyError),
    /// The server's certificate does not certify a handshake key at this time.
    #[error("server certificate is not acceptable")]
    Certificate(#[source] CertificateError),
    /// The player's identity key cannot be enrolled.
    #[error("identity key is not acceptable")]
    Identity(#[source] KeyError),
    /// The key that was shown did not sign this handshake.
    #[error("signature over the transcript does not match")]
    BadSignature,
    /// The signature was not made by someone who knows the shared secret.
    #[error("MAC over the transcript does not match")]
    BadMac,
}

/// Version, suite, ephemeral key, nonce.
const M2_CLEAR_BYTES: usize = 1 + 1 + 32 + 32;

const VERSION: u8 = 1;

/// X25519, ChaCha20-Poly1305, BLAKE3, Ed25519.
const SUITE: u8 = 1;

/// Each handshake key seals one message.
const NONCE: [u8; 12] = [0; 12];

fn length_error(expected: usize, message: &[u8]) -> HandshakeError {
    HandshakeError::Length { expected, got: message.len() }
}
