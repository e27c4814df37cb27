//! A match is taken up at a later block: the chunks of its state come one after the other.

use std::collections::VecDeque;

use cadastre_protocol::{Chain, ChunkId, ProvenHeader, VerifiedJoinPoint};
use cadastre_simulations::{Game, Snapshot};

use crate::follower::FollowError;

/// A join point whose chunks have not all come yet.
#[derive(Debug)]
pub(crate) struct Joining {
    point: VerifiedJoinPoint,
    /// Numbers of the chunks that are still to come.
    missing: VecDeque<ChunkId>,
    chunks: Snapshot,
}

impl Joining {
    /// `game` is of the match, in any state: its chunks have the same numbers in all of them.
    pub(crate) fn new(point: VerifiedJoinPoint, game: &Game) -> Self {
        Self { point, missing: game.simulation().chunk_ids().into(), chunks: Snapshot::new() }
    }

    /// Takes the next chunks: those that the game has and no others, so that they are bounded.
    pub(crate) fn take(&mut self, chunks: Snapshot) -> Result<(), FollowError> {
        for (id, chunk) in chunks {
            if self.missing.pop_front() != Some(id) {
                return Err(FollowError::Snapshot);
            }
            self.chunks.push((id, chunk));
        }
        Ok(())
    }

    /// Have all chunks come?
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The block.
    pub(crate) const fn block(&self) -> &ProvenHeader {
        self.point.block()
    }

    /// Chain and game as they are after the block, if the chunks are the state that it commits to.
    pub(crate) fn take_up(self, chain: &Chain) -> Result<(Chain, Game), FollowError> {
        let genesis = chain.genesis().clone();
        let game = Game::restore(&self.point.setup(&genesis), &self.chunks);
        let mut game = game.map_err(|_| FollowError::Snapshot)?;
        if genesis.has_takebacks() {
            game.keep_past(self.point.head().turn);
        }
        let chain = self.point.take_up(genesis, game.executed()).map_err(FollowError::Genesis)?;
        Ok((chain, game))
    }
}
