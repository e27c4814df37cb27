//! The chunks of a state, as they come one after the other.

use std::collections::VecDeque;

use cadastre_protocol::ChunkId;
use cadastre_simulations::{Game, Snapshot};

/// A state of which chunks are still to come.
#[derive(Debug)]
pub(crate) struct Chunks {
    /// Numbers of those that are still to come.
    missing: VecDeque<ChunkId>,
    come: Snapshot,
}

impl Chunks {
    /// None has come yet. `game` is of the match, in any state: its chunks have the same numbers in all of them.
    pub(crate) fn of(game: &Game) -> Self {
        Self { missing: game.simulation().chunk_ids().into(), come: Snapshot::new() }
    }

    /// Takes the next ones: those that the game has and no others, so that they are bounded. `false` when they do not
    /// belong there.
    pub(crate) fn take(&mut self, chunks: Snapshot) -> bool {
        chunks.into_iter().all(|(id, chunk)| {
            let is_next = self.missing.pop_front() == Some(id);
            if is_next {
                self.come.push((id, chunk));
            }
            is_next
        })
    }

    /// Have all come?
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Those that have come.
    pub(crate) const fn come(&self) -> &Snapshot {
        &self.come
    }
}
