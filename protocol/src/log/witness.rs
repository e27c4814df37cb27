//! What a log asks of a witness, and how the witness judges it. C2SP tlog-witness, `add-checkpoint`.

use std::fmt;

use super::{
    checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint, VerifiedCheckpoint},
    keys::LogKey,
    note::{NOTE_BYTES_MAX, base64_of_hash, hash_of_base64, number},
    tree::{LogTree, growth_is_proved},
};
use crate::{hash::Digest, merkle::NodeHash};

/// Longest text of a checkpoint that is cosigned: with the signatures of its log and of the witness it can be read again.
const TEXT_BYTES_MAX: usize = NOTE_BYTES_MAX / 2;

/// Most hashes of a consistency proof in a request.
pub const PROOF_LINES_MAX: usize = 63;

/// A request to cosign a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last; 0 if there is none.
    pub old: u64,
    /// Shows that the new checkpoint follows from that one.
    pub proof: Vec<Digest>,
    /// The new checkpoint.
    pub checkpoint: SignedCheckpoint,
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    ///
    /// In the order of [`AddCheckpointError`]'s variants; the first that applies.
    pub fn parse(bytes: &[u8]) -> Result<Self, AddCheckpointError> {
        let malformed = AddCheckpointError::Malformed;
        let end = bytes.windows(2).position(|two| two == b"\n\n").ok_or(malformed)?;
        let (head, checkpoint) = bytes.split_at(end + 2);
        let mut lines = str::from_utf8(&head[..end]).map_err(|_| malformed)?.split('\n');
        let old =
            lines.next().and_then(|line| line.strip_prefix("old ")).and_then(number).ok_or(malformed)?;
        let proof = lines.map(hash_of_base64).collect::<Option<Vec<_>>>().ok_or(malformed)?;
        if proof.len() > PROOF_LINES_MAX {
            return Err(AddCheckpointError::TooManyHashes);
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint).map_err(AddCheckpointError::Checkpoint)?;
        if checkpoint.text().len() > TEXT_BYTES_MAX {
            return Err(AddCheckpointError::TooLong);
        }
        Ok(Self { old, proof, checkpoint })
    }

    /// Judges the request as the witness of a log that it knows by `key`. `latest` is what it cosigned last of
    /// this log. Whoever cosigns what comes out remembers it first, and lets no other request in between.
    ///
    /// # Errors
    ///
    /// In the order of [`WitnessRefusal`]'s variants; the first that applies.
    pub fn judge(
        self,
        key: Option<&LogKey>,
        latest: Option<&Checkpoint>,
    ) -> Result<VerifiedCheckpoint, WitnessRefusal> {
        let key = key.ok_or(WitnessRefusal::UnknownLog)?;
        let checkpoint = self.checkpoint.verify(key).map_err(WitnessRefusal::Signature)?;
        let &Checkpoint { size, root, .. } = checkpoint.get();
        if self.old > size {
            return Err(WitnessRefusal::GoesBack);
        }
        let (known, known_root) = latest.map_or((0, LogTree.empty()), |latest| (latest.size, latest.root));
        if self.old != known {
            return Err(WitnessRefusal::Conflict { known });
        }
        if growth_is_proved((known, known_root), (size, root), &self.proof) {
            Ok(checkpoint)
        } else {
            Err(WitnessRefusal::Inconsistent)
        }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", base64_of_hash(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why bytes are no request. Always the fault of whoever sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddCheckpointError {
    /// Not `old N`, hashes, an empty line, and something after it.
    #[error("the request is malformed")]
    Malformed,
    /// Over [`PROOF_LINES_MAX`].
    #[error("the consistency proof is too long")]
    TooManyHashes,
    /// What follows the empty line is no checkpoint.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// The checkpoint is longer than any that a log needs.
    #[error("the checkpoint is too long")]
    TooLong,
}

/// Why a witness does not cosign a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// It is not the witness of this log.
    #[error("this log is not known here")]
    UnknownLog,
    /// The log did not sign it.
    #[error(transparent)]
    Signature(CheckpointError),
    /// The old size is above the new one.
    #[error("the old size is above that of the checkpoint")]
    GoesBack,
    /// The old size is not that of the checkpoint that was cosigned last.
    #[error("the checkpoint that was cosigned last has {known} leaves")]
    Conflict {
        /// How many leaves that one has.
        known: u64,
    },
    /// The new checkpoint is not proved to follow from the last one.
    #[error("the checkpoint is not proved to follow from the one that was cosigned last")]
    Inconsistent,
}
