//! A match is taken up at a later block: the chunks of its state come one after the other.

use cadastre_protocol::{Chain, ProvenHeader, VerifiedJoinPoint};
use cadastre_simulations::{Game, Snapshot};

use crate::{chunks::Chunks, follower::FollowError};

/// A join point whose chunks have not all come yet.
#[derive(Debug)]
pub(crate) struct Joining {
    point: VerifiedJoinPoint,
    chunks: Chunks,
}

impl Joining {
    /// `game` is of the match, in any state.
    pub(crate) fn new(point: VerifiedJoinPoint, game: &Game) -> Self {
        Self { point, chunks: Chunks::of(game) }
    }

    /// Takes the next chunks.
    pub(crate) fn take(&mut self, chunks: Snapshot) -> Result<(), FollowError> {
        if self.chunks.take(chunks) { Ok(()) } else { Err(FollowError::Snapshot) }
    }

    /// Have all chunks come?
    pub(crate) fn is_complete(&self) -> bool {
        self.chunks.is_complete()
    }

    /// The block.
    pub(crate) const fn block(&self) -> &ProvenHeader {
        self.point.block()
    }

    /// Chain and game as they are after the block, if the chunks are the state that it commits to.
    pub(crate) fn take_up(self, chain: &Chain) -> Result<(Chain, Game), FollowError> {
        let genesis = chain.genesis().clone();
        let game = Game::restore(&self.point.setup(&genesis), self.chunks.come());
        let mut game = game.map_err(|_| FollowError::Snapshot)?;
        if genesis.has_takebacks() {
            game.keep_past(self.point.head().turn);
        }
        let chain = self.point.take_up(genesis, game.executed()).map_err(FollowError::Genesis)?;
        Ok((chain, game))
    }
}
