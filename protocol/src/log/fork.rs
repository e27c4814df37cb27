//! What two statements of one log prove against the service that runs it.

use super::{
    checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, VerifiedCheckpoint},
    keys::LogKey,
    proof::{HEADING, LogProof, LogProofError, LoggedHead},
};
use crate::{
    certificate::{CertificateError, KeyRole, SignedCertificate, VerifiedCertificate},
    ids::Height,
    keys::EnrolledKey,
};

/// How two statements under one log key contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// The key signed checkpoints of two origins: a second log, for other eyes.
    OtherOrigin,
    /// Two checkpoints of this many leaves have different roots.
    OtherRoot {
        /// How many leaves both have.
        size: u64,
    },
    /// Two logged heads of one match are different blocks at one height.
    OtherBlock {
        /// The height.
        height: Height,
    },
    /// Two checkpoints have different entries at this index.
    OtherEntry {
        /// Where.
        index: u64,
    },
}

/// Do two checkpoints under one log key contradict each other? Of two sizes they need not, even of a forked log:
/// then the tiles, or bundles from either side, have to be compared.
pub fn contradiction(a: &VerifiedCheckpoint, b: &VerifiedCheckpoint) -> Option<Contradiction> {
    let (Checkpoint { origin, size, root }, other) = (a.get(), b.get());
    if a.key().public() != b.key().public() {
        None
    } else if *origin != other.origin {
        Some(Contradiction::OtherOrigin)
    } else if *size == other.size && *root != other.root {
        Some(Contradiction::OtherRoot { size: *size })
    } else {
        None
    }
}

impl LoggedHead {
    /// Do two bundles contradict each other?
    pub fn contradicts(&self, other: &Self) -> Option<Contradiction> {
        let (a, b) = (self.checkpoint(), other.checkpoint());
        let same_place = a.key() == b.key() && self.index() == other.index();
        let (mine, theirs) = (self.entry(), other.entry());
        let same_head = a.key() == b.key()
            && (mine.match_id, mine.height) == (theirs.match_id, theirs.height)
            && mine.block != theirs.block;
        let other_block = same_head.then_some(Contradiction::OtherBlock { height: mine.height });
        let other_entry = (same_place && self.entry() != other.entry())
            .then_some(Contradiction::OtherEntry { index: self.index() });
        contradiction(a, b).or(other_block).or(other_entry)
    }
}

/// Checks that two statements, each a checkpoint or a bundle, prove that the log of the service with that root
/// key contradicts itself.
///
/// When the certificate was valid is of no account: whoever had the key has signed both.
///
/// # Errors
///
/// In the order of [`LogForkError`]'s variants; the first that applies.
pub fn log_fork(
    root: &EnrolledKey,
    certificate: &SignedCertificate,
    first: &[u8],
    second: &[u8],
) -> Result<Contradiction, LogForkError> {
    let certificate = certificate.verify(root).map_err(LogForkError::Certificate)?;
    // Valid when it begins to be, if at all: what is left to check is the role.
    certificate.check(KeyRole::Log, certificate.valid_from()).map_err(LogForkError::Certificate)?;
    let (first, second) = (Statement::read(first, &certificate)?, Statement::read(second, &certificate)?);
    let found = match (&first, &second) {
        (Statement::Bundle(first), Statement::Bundle(second)) => first.contradicts(second),
        (first, second) => contradiction(first.checkpoint(), second.checkpoint()),
    };
    found.ok_or(LogForkError::NoContradiction)
}

/// What a log has signed.
enum Statement {
    Checkpoint(VerifiedCheckpoint),
    Bundle(LoggedHead),
}

impl Statement {
    fn read(bytes: &[u8], certificate: &VerifiedCertificate) -> Result<Self, LogForkError> {
        if bytes.starts_with(HEADING.as_bytes()) {
            let proof = LogProof::parse(bytes).and_then(|proof| proof.verify_under(certificate));
            return proof.map(Self::Bundle).map_err(LogForkError::Bundle);
        }
        let checkpoint = SignedCheckpoint::parse(bytes).and_then(|checkpoint| {
            let key = LogKey::new(&checkpoint.claims().origin, certificate.key().clone());
            checkpoint.verify(&key)
        });
        checkpoint.map(Self::Checkpoint).map_err(LogForkError::Checkpoint)
    }

    const fn checkpoint(&self) -> &VerifiedCheckpoint {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint,
            Self::Bundle(head) => head.checkpoint(),
        }
    }
}

/// Why two statements do not prove that a log forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogForkError {
    /// The log's key is not certified.
    #[error("the log's key is not certified")]
    Certificate(#[source] CertificateError),
    /// A checkpoint is not the log's.
    #[error("a checkpoint is not the log's")]
    Checkpoint(#[source] CheckpointError),
    /// A bundle proves nothing.
    #[error("a bundle proves nothing")]
    Bundle(#[source] LogProofError),
    /// Both can be true.
    #[error("the two statements do not contradict each other")]
    NoContradiction,
}
