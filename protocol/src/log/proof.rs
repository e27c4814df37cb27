//! Bundles: an entry, its inclusion proof and the checkpoint, verified without asking anybody. C2SP tlog-proof.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint},
    entry::{LogClaim, LogEntry},
    keys::LogKey,
    note::{NOTE_BYTES_MAX, base64_of_hash, hash_of_base64, number},
    tree::inclusion_is_proved,
};
use crate::{
    certificate::{CertificateError, KeyRole, VerifiedCertificate},
    hash::Digest,
    ids::Millis,
    keys::EnrolledKey,
    merkle::PROOF_HASHES_MAX,
};

/// First line of every bundle.
pub(super) const HEADING: &str = "c2sp.org/tlog-proof@v1";

/// A bundle as it came. Says nothing before [`LogProof::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// Data that nobody signed; in ours the bytes of a [`LogClaim`]. Empty for none.
    pub extra: Vec<u8>,
    /// Which leaf.
    pub index: u64,
    /// From the leaf upwards.
    pub hashes: Vec<Digest>,
    /// Of the tree that has the leaf.
    pub checkpoint: SignedCheckpoint,
}

/// A head that stands in the log of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedHead {
    entry: LogEntry,
    index: u64,
    checkpoint: VerifiedCheckpoint,
    serial: u32,
}

impl LogProof {
    /// Longest bundle that is read, in bytes.
    pub const BYTES_MAX: usize = NOTE_BYTES_MAX;

    /// Reads a bundle.
    ///
    /// # Errors
    ///
    /// [`LogProofError::Malformed`], [`LogProofError::Checkpoint`]; the first that applies.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogProofError> {
        let malformed = LogProofError::Malformed;
        if bytes.len() > Self::BYTES_MAX {
            return Err(malformed);
        }
        let text = str::from_utf8(bytes).map_err(|_| malformed)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(malformed)?;
        let mut lines = head.split('\n');
        if lines.next() != Some(HEADING) {
            return Err(malformed);
        }
        let mut line = lines.next().ok_or(malformed)?;
        let mut extra = Vec::new();
        if let Some(base64) = line.strip_prefix("extra ") {
            extra = STANDARD.decode(base64).map_err(|_| malformed)?;
            line = lines.next().ok_or(malformed)?;
        }
        let index = line.strip_prefix("index ").and_then(number).ok_or(malformed)?;
        let hashes = lines.map(hash_of_base64).collect::<Option<Vec<_>>>().ok_or(malformed)?;
        if hashes.len() > PROOF_HASHES_MAX {
            return Err(malformed);
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes()).map_err(LogProofError::Checkpoint)?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// What a bundle of this service claims to prove.
    ///
    /// # Errors
    ///
    /// [`LogProofError::Claim`]: its extra data is no claim.
    pub fn claim(&self) -> Result<LogClaim, LogProofError> {
        LogClaim::from_bytes(&self.extra).ok_or(LogProofError::Claim)
    }

    /// Checks that what it claims stands in the log of the service with that root key. `made` is the server's
    /// time of the block that it claims.
    ///
    /// A checkpoint has no time of its own, and the log's key may have been certified anew after the block: the
    /// certificate counts if it was not over at `made`.
    ///
    /// # Errors
    ///
    /// In the order of [`LogProofError`]'s variants; the first that applies.
    pub fn verify(self, root: &EnrolledKey, made: Millis) -> Result<LoggedHead, LogProofError> {
        let certificate = self.claim()?.certificate.verify(root).map_err(LogProofError::Certificate)?;
        let at = made.max(certificate.valid_from());
        certificate.check(KeyRole::Log, at).map_err(LogProofError::Certificate)?;
        self.verify_under(&certificate)
    }

    /// Checks that what it claims stands in a log of which the certified key signs the checkpoints.
    pub(super) fn verify_under(self, certificate: &VerifiedCertificate) -> Result<LoggedHead, LogProofError> {
        let entry = self.claim()?.entry;
        let key = LogKey::new(&self.checkpoint.claims().origin, certificate.key().clone());
        let checkpoint = self.checkpoint.verify(&key).map_err(LogProofError::Checkpoint)?;
        let (size, root) = (checkpoint.get().size, checkpoint.get().root);
        if inclusion_is_proved(entry.leaf(), self.index, (size, root), &self.hashes) {
            Ok(LoggedHead { entry, index: self.index, checkpoint, serial: certificate.serial() })
        } else {
            Err(LogProofError::NotIncluded)
        }
    }
}

impl LoggedHead {
    /// What stands in the log.
    pub const fn entry(&self) -> &LogEntry {
        &self.entry
    }

    /// Where it stands.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Of the log that has it.
    pub const fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// Serial of the certificate of the log's key.
    pub const fn serial(&self) -> u32 {
        self.serial
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}")?;
        if !self.extra.is_empty() {
            writeln!(f, "extra {}", STANDARD.encode(&self.extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{}", base64_of_hash(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a bundle proves nothing. Always the fault of whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// Not a bundle.
    #[error("the bundle is malformed")]
    Malformed,
    /// What it claims cannot be read.
    #[error("the claim of the bundle is malformed")]
    Claim,
    /// The log's key is not certified.
    #[error("the log's key is not certified: {0}")]
    Certificate(CertificateError),
    /// The checkpoint is malformed, or not the log's.
    #[error("{0}")]
    Checkpoint(CheckpointError),
    /// The inclusion proof does not lead from the entry to the checkpoint's root.
    #[error("the inclusion proof does not hold")]
    NotIncluded,
}
