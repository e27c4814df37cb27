//! A match that is executed while its blocks are judged.

use cadastre_protocol::{
    BlockError, Chain, ChunkId, Genesis, GenesisError, ReadProvenBlock, SeatSet, Turn, Work,
};
use cadastre_simulations::{Game, SetupError, Snapshot};

/// Chain and game, always at the same block.
#[derive(Debug)]
pub(crate) struct Execution {
    chain: Chain,
    game: Game,
}

/// What a block did.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The turn that was executed, or gone back to, if any was.
    pub(crate) turn: Option<Turn>,
    /// Did the game begin again?
    pub(crate) begins: bool,
    /// Seats that had signed another state root than the chain has.
    pub(crate) desynced: SeatSet,
    /// Chunks that changed, ascending.
    pub(crate) dirty: Vec<ChunkId>,
}

/// Why no match can be begun with a genesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BeginError {
    Setup(SetupError),
    Genesis(GenesisError),
}

impl Execution {
    /// Begins at the genesis, a fork in its first state.
    pub(crate) fn begin(genesis: Genesis, first: Option<&Snapshot>) -> Result<Self, BeginError> {
        let game = Game::begin(&genesis, first).map_err(BeginError::Setup)?;
        let chain = Chain::begin(genesis, game.executed()).map_err(BeginError::Genesis)?;
        Ok(Self { chain, game })
    }

    pub(crate) const fn chain(&self) -> &Chain {
        &self.chain
    }

    pub(crate) const fn game(&self) -> &Game {
        &self.game
    }

    /// Judges the next block by everything there is: proof, signatures, order, times, state.
    ///
    /// # Errors
    ///
    /// What the chain says. After [`BlockError::StateRoot`] the game may have gone on without the chain, so
    /// no further block can be taken.
    pub(crate) fn take(&mut self, block: ReadProvenBlock) -> Result<Step, BlockError> {
        let checked = self.chain.check_proven(block)?;
        let header = checked.block().header();
        let work = checked.work(self.game.stand_in());
        let (turn, begins) = match work {
            Work::Nothing => (None, false),
            Work::Begin { .. } => (None, true),
            Work::Turn(_) | Work::Back { .. } => (Some(header.turn), false),
        };
        let dirty = self.game.execute(&work).dirty;
        let appended = self.chain.append(checked, self.game.executed())?;
        Ok(Step { turn, begins, desynced: appended.desynced, dirty })
    }
}
