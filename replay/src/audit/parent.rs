//! Whether a fork goes on from where it says, judged by the file of its parent.

use cadastre_protocol::{Genesis, Parent, PublicKey, Revocations};

use super::{AuditError, audit_with};
use crate::{replay::Replay, scan::Scan};

/// Audits the file of the match that the one in `fork` goes on from, and looks whether it does.
///
/// # Errors
///
/// The parent's file cannot be judged, as [`audit_with`]; or the fork's cannot be read, which auditing that one says.
/// Inside, in the order of [`ParentError`]'s variants, the first that applies.
pub fn audit_parent(
    fork: &[u8],
    parent: &[u8],
    pinned: Option<PublicKey>,
    revocations: &Revocations,
) -> Result<Result<Parent, ParentError>, AuditError> {
    let unreadable = |damage| AuditError::Unreadable { damage, before: None };
    let fork = Scan::read(fork).map_err(unreadable)?.genesis;
    let report = audit_with(parent, pinned, revocations)?;
    if report.is_broken() {
        return Ok(Err(ParentError::Invalid));
    }
    let parent = Replay::open(parent).map_err(unreadable)?;
    Ok(descends(&fork, &parent))
}

fn descends(fork: &Genesis, file: &Replay<'_>) -> Result<Parent, ParentError> {
    let parent = fork.parent.ok_or(ParentError::NoFork)?;
    if parent.match_id != file.summary().match_id {
        return Err(ParentError::OtherMatch);
    }
    let block = file.blocks_from(parent.height).next().and_then(|block| block.ok()?.read().ok());
    let block = block.filter(|block| block.block().header().height == parent.height);
    let block = block.ok_or(ParentError::NoSuchBlock)?;
    let header = block.block().header();
    if block.block().hash() != parent.block {
        return Err(ParentError::OtherBlock);
    }
    if (header.turn, header.state_root) != (parent.turn, parent.state_root) {
        return Err(ParentError::OtherState);
    }
    let game = |genesis: &Genesis| (genesis.rules.clone(), genesis.options.clone(), genesis.seats.len());
    if game(fork) != game(file.genesis()) {
        return Err(ParentError::OtherGame);
    }
    Ok(parent)
}

/// Why a match is not the parent of another one, or not as its genesis says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParentError {
    /// The file of the parent breaks a rule itself, which no seat does that signed another state.
    #[error("the file of the parent is not valid itself")]
    Invalid,
    /// The match goes on from no other one.
    #[error("the match is no fork")]
    NoFork,
    /// The genesis names another match.
    #[error("the genesis names another match")]
    OtherMatch,
    /// The file does not reach so far.
    #[error("the file of the parent does not have the block that the genesis names")]
    NoSuchBlock,
    /// The parent has another block there.
    #[error("the parent has another block at the height that the genesis names")]
    OtherBlock,
    /// The block has not the turn or the state that the genesis names.
    #[error("the block of the parent has another turn or state than the genesis names")]
    OtherState,
    /// The parent was played by other rules or options, or by more or fewer seats.
    #[error("the parent is of another game")]
    OtherGame,
}
