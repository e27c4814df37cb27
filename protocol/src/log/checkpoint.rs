//! Checkpoints: the signed size and root of a log. C2SP tlog-checkpoint and tlog-cosignature.

use std::fmt;

use super::{
    keys::{LogKey, WitnessKey},
    note::{
        NAME_BYTES_MAX, Note, NoteError, NoteSignature, base64_of_hash, hash_of_base64, is_key_name, number,
    },
    tree::sha256,
};
use crate::{hash::Digest, keys::BadSignature};

/// Names a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin(String);

impl Origin {
    /// `None` when the text is no origin: 1 to 255 bytes without spaces, control characters and plus, so that
    /// the log's key can be called like it.
    pub fn new(text: &str) -> Option<Self> {
        is_key_name(text).then(|| Self(text.to_owned()))
    }

    /// SHA-256 of the text, under which witnesses show a log.
    pub fn hash(&self) -> Digest {
        sha256(&[self.0.as_bytes()])
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which log.
    pub origin: Origin,
    /// How many leaves.
    pub size: u64,
    /// Root over them.
    pub root: Digest,
}

impl Checkpoint {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        // Extension lines are signed and say nothing to us.
        if origin.len() > NAME_BYTES_MAX || lines.any(str::is_empty) {
            return None;
        }
        Some(Self { origin: Origin::new(origin)?, size: number(size)?, root: hash_of_base64(root)? })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, base64_of_hash(&self.root))
    }
}

/// A checkpoint as it came. Says nothing before [`SignedCheckpoint::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

impl SignedCheckpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::Note`], [`CheckpointError::Malformed`]; the first that applies.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes).map_err(CheckpointError::Note)?;
        let checkpoint = Checkpoint::parse(note.text()).ok_or(CheckpointError::Malformed)?;
        Ok(Self { note, checkpoint })
    }

    /// What is signed.
    pub fn text(&self) -> &str {
        self.note.text()
    }

    /// What it claims.
    pub const fn claims(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Checks that the log's key signed it. The only way to a [`VerifiedCheckpoint`] for whoever has not the
    /// secret key. Whether the origin is the expected one, the caller asks.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NotSigned`], [`CheckpointError::BadSignature`]; the first that applies.
    pub fn verify(self, key: &LogKey) -> Result<VerifiedCheckpoint, CheckpointError> {
        key.verify(&self.note)
            .ok_or(CheckpointError::NotSigned)?
            .map_err(|BadSignature| CheckpointError::BadSignature)?;
        Ok(VerifiedCheckpoint::signed(self.note, self.checkpoint, key.clone()))
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// A checkpoint that the key of its log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
    key: LogKey,
}

impl VerifiedCheckpoint {
    /// Of a note whose signature holds.
    pub(super) const fn signed(note: Note, checkpoint: Checkpoint, key: LogKey) -> Self {
        Self { note, checkpoint, key }
    }

    /// What it says.
    pub const fn get(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with all its signature lines.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// For sending on: whoever gets it verifies it again.
    pub fn into_signed(self) -> SignedCheckpoint {
        SignedCheckpoint { note: self.note, checkpoint: self.checkpoint }
    }

    /// With the signature of the log only: whoever sends a checkpoint can add any number of others to it.
    #[must_use]
    pub fn bare(&self) -> Self {
        let mut note = Note::unsigned(self.note.text().to_owned());
        self.note
            .signatures()
            .iter()
            .filter(|line| self.key.made(line))
            .take(1)
            .cloned()
            .for_each(|line| note.push(line));
        Self { note, checkpoint: self.checkpoint.clone(), key: self.key.clone() }
    }

    /// The key that signed it.
    pub const fn key(&self) -> &LogKey {
        &self.key
    }

    /// When a witness cosigned it, in seconds since 1970; `None` when no line claims so.
    ///
    /// # Errors
    ///
    /// A line claims so, and is not the witness's.
    pub fn cosigned_by(&self, witness: &WitnessKey) -> Result<Option<u64>, BadSignature> {
        witness.verify(&self.note).transpose()
    }

    /// Adds a witness's cosignature.
    ///
    /// # Errors
    ///
    /// It is not this witness's over this checkpoint. Nothing was added.
    pub fn add(&mut self, witness: &WitnessKey, line: NoteSignature) -> Result<(), BadSignature> {
        if !witness.made(&line) {
            return Err(BadSignature);
        }
        witness.verify_line(self.note.text(), &line)?;
        self.note.push(line);
        Ok(())
    }
}

impl fmt::Display for VerifiedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// Why something is no checkpoint of a log. The fault of whoever shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not even a note.
    #[error("the checkpoint is malformed: {0}")]
    Note(NoteError),
    /// Not origin, size and root, each on its line.
    #[error("the checkpoint is malformed")]
    Malformed,
    /// No line claims to be by the log's key.
    #[error("the checkpoint is not signed by the log's key")]
    NotSigned,
    /// A line claims so, and is not.
    #[error("the log's signature does not match")]
    BadSignature,
}
