//! The state that a fork begins with, as it comes.

use cadastre_protocol::{DisplayName, Genesis, PublicKey, decode_exact};
use cadastre_simulations::{Game, Snapshot};

use crate::{
    chunks::Chunks,
    follower::{FollowError, Follower},
};

/// The match of a fork whose state has not all come yet.
#[derive(Debug)]
pub(crate) struct FirstState {
    genesis: Vec<u8>,
    names: Vec<DisplayName>,
    pub(crate) begun: bool,
    chunks: Chunks,
}

impl FirstState {
    /// What has to come after a genesis; `None` if nothing has.
    pub(crate) fn of(
        genesis: &[u8],
        names: &[DisplayName],
        begun: bool,
    ) -> Result<Option<Self>, FollowError> {
        let decoded: Genesis = decode_exact(genesis).map_err(FollowError::Encoding)?;
        if decoded.parent.is_none() {
            return Ok(None);
        }
        let game = Game::start(&decoded.setup()).map_err(FollowError::Setup)?;
        let (genesis, names, chunks) = (genesis.to_vec(), names.to_vec(), Chunks::of(&game));
        Ok(Some(Self { genesis, names, begun, chunks }))
    }

    /// Takes the next chunks. `false` when they do not belong there.
    pub(crate) fn take(&mut self, chunks: Snapshot) -> bool {
        self.chunks.take(chunks)
    }

    /// Have all chunks come?
    pub(crate) fn is_complete(&self) -> bool {
        self.chunks.is_complete()
    }

    /// Begins to follow the match of the service `root`, if this is the state that its genesis names.
    pub(crate) fn begin(self, root: PublicKey) -> Result<Follower, FollowError> {
        Follower::begin_fork(&self.genesis, self.names, root, self.chunks.come())
    }
}
