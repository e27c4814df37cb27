//! Follows a match: checks every block with the one chain verifier and executes it.

use cadastre_protocol::{
    BlockError, BlockKind, Chain, CodecError, DisplayName, Genesis, GenesisError, Head, ProvenBlock,
    ProvenReceipt, PublicKey, Receipt, ReceiptError, SealReason, SeatSet, Standing, VerifiedCertificate,
    decode_exact,
};
use cadastre_simulations::{Game, SetupError, Void};

/// A match as far as it was verified: nothing in it was taken on trust but the service's root key.
#[derive(Debug)]
pub struct Follower {
    chain: Chain,
    game: Game,
    names: Vec<DisplayName>,
    /// Signers that were replaced while the turn was open: receipts for it may be theirs.
    replaced: Vec<VerifiedCertificate>,
}

/// What a block brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The new head.
    pub head: Head,
    /// What the block did.
    pub kind: BlockKind,
    /// Commands that had no effect.
    pub voids: Vec<Void>,
    /// Seats that had computed another state before this block.
    pub desynced: SeatSet,
}

impl Follower {
    /// Begins to follow a match of the service `root`.
    ///
    /// # Errors
    ///
    /// In the order of [`FollowError`]'s variants; the first that applies.
    pub fn begin(genesis: &[u8], names: Vec<DisplayName>, root: PublicKey) -> Result<Self, FollowError> {
        let genesis: Genesis = decode_exact(genesis).map_err(FollowError::Encoding)?;
        if genesis.service != root {
            return Err(FollowError::OtherService);
        }
        if names.len() != genesis.seats.len() {
            return Err(FollowError::Names);
        }
        let game = Game::start(&genesis.setup()).map_err(FollowError::Setup)?;
        let chain = Chain::begin(genesis, game.executed()).map_err(FollowError::Genesis)?;
        Ok(Self { chain, game, names, replaced: Vec::new() })
    }

    /// Verifies the next block and executes it.
    ///
    /// # Errors
    ///
    /// [`FollowError::Encoding`] or [`FollowError::Block`]. After a block with another state root the game
    /// is that root's no more: follow from the genesis again, or give up.
    pub fn follow(&mut self, block: ProvenBlock) -> Result<Followed, FollowError> {
        let block = block.read().map_err(FollowError::Encoding)?;
        let checked = self.chain.check_proven(block).map_err(FollowError::Block)?;
        let kind = checked.block().header().kind.clone();
        let voids = self.game.execute(&checked.work()).voids;
        let signer = self.chain.signer().clone();
        let appended = self.chain.append(checked, self.game.executed()).map_err(FollowError::Block)?;
        if matches!(kind, BlockKind::KeyChange { .. }) {
            self.replaced.push(signer);
        } else if kind.closes_turn() {
            self.replaced.clear();
        }
        Ok(Followed { head: appended.head, kind, voids, desynced: appended.desynced })
    }

    /// The verified chain.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The signer of this serial, if a receipt for the open turn can be its own: the one in force, or one
    /// that was in force since the turn was opened.
    pub fn receipt_signer(&self, serial: u32) -> Option<&VerifiedCertificate> {
        let signers = std::iter::once(self.chain.signer()).chain(&self.replaced);
        signers.into_iter().find(|signer| signer.serial() == serial)
    }

    /// Verifies a receipt for the open turn.
    ///
    /// # Errors
    ///
    /// As [`ProvenReceipt::verify`].
    pub fn verify_receipt(&self, receipt: &ProvenReceipt) -> Result<Receipt, ReceiptError> {
        let signer = self.receipt_signer(receipt.proof.serial).unwrap_or(self.chain.signer());
        receipt.verify(signer.serial(), signer.key())
    }

    /// The verified state.
    pub const fn game(&self) -> &Game {
        &self.game
    }

    /// How the players are called, by seat. Nobody vouches for these.
    pub fn names(&self) -> &[DisplayName] {
        &self.names
    }

    /// How the match came out, once it has ended.
    pub fn result(&self) -> Option<(SealReason, Vec<Standing>)> {
        self.chain.sealed().map(|reason| (reason, self.chain.standings()))
    }
}

/// Why a match is not followed any further. The server's fault.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Genesis or block is malformed.
    #[error("malformed genesis or block")]
    Encoding(#[source] CodecError),
    /// The genesis is of another service than the one that is trusted.
    #[error("the match is of another service")]
    OtherService,
    /// Not one name for each seat.
    #[error("not one name for each seat")]
    Names,
    /// The game cannot be played with this build.
    #[error("the game cannot be played with this build")]
    Setup(#[source] SetupError),
    /// The genesis cannot begin a chain.
    #[error("the genesis cannot begin a chain")]
    Genesis(#[source] GenesisError),
    /// The block breaks a rule, or commits to another state.
    #[error("the block breaks a rule")]
    Block(#[source] BlockError),
}
