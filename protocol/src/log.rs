//! The transparency log of a service: which heads it has shown, in a tree that can only grow.
//! `docs/protocol.md`, "Transparency log"; the forms are those of C2SP (tlog-tiles, tlog-checkpoint,
//! signed-note, tlog-cosignature, tlog-witness, tlog-proof).
//!
//! # Requires
//!
//! - A log key that signs the checkpoints of one origin only, and is never put back with an older state.
//!
//! # Provides
//!
//! - What a [`LogProof`] shows is in the log that a checkpoint stands for, and two checkpoints of one log either
//!   have a consistency proof or contradict each other.
//! - [`log_fork`]: of two statements under one log key, that they cannot both be true.
//!
//! # Does not provide
//!
//! - That everybody saw the same log: that is what witnesses are for, and whoever compares checkpoints.
//! - Cosignatures by ML-DSA-44. Like all unknown signature lines they are carried along and ignored.

mod checkpoint;
mod entry;
mod fork;
mod keys;
mod note;
mod proof;
mod tile;
mod tree;
mod witness;

pub use checkpoint::{Checkpoint, CheckpointError, Origin, SignedCheckpoint, VerifiedCheckpoint};
pub use entry::{LogClaim, LogEntry};
pub use fork::{Contradiction, LogForkError, contradiction, log_fork};
pub use keys::{LogKey, LogSigner, VerifierKeyError, WitnessKey, WitnessSigner};
pub use note::{NOTE_BYTES_MAX, Note, NoteError, NoteSignature, SIGNATURES_MAX};
pub use proof::{LogProof, LogProofError, LoggedHead};
pub use tile::{TILE_WIDTH, Tile, TileLevel};
pub use tree::{
    LogTree, consistency_proof, growth_is_proved, inclusion_proof, leaf_hash, subtree_root, tree_root,
};
pub use witness::{AddCheckpoint, AddCheckpointError, PROOF_LINES_MAX, WitnessRefusal};
