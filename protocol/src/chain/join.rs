//! A match is followed from a later block than the genesis. `docs/protocol.md`, "Joining by a snapshot".

use bincode::{Decode, Encode};

use crate::{
    block::{BlockKind, Header},
    certificate::{KeyRole, VerifiedCertificate},
    chain::{
        Chain, ChainState, GenesisError, Head, chain_leaf,
        state::{SeatState, Seen},
    },
    evidence::ProvenHeader,
    genesis::{Clock, Genesis, Randomness, SeatHolder},
    hash::{Context, Digest},
    hash_chain::ChainTip,
    ids::{BlockHash, Height},
    keys::PublicKey,
    merkle,
    proof::block_leaf,
    setup::{Executed, Setup},
};

/// A block to go on from, with the chain's state after it. The chunks of the game's state belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct JoinPoint {
    /// A Turn: it commits to the game's state.
    pub block: ProvenHeader,
    /// The state of the chain after it. What the block does not commit to is the server's word.
    pub state: ChainState,
    /// Proof that the receiver's head stands in the chain of the block; empty if that is the genesis.
    pub place: Vec<Digest>,
}

/// A join point of a block that the server signed, and that comes after the receiver's head.
#[derive(Clone, Debug)]
pub struct VerifiedJoinPoint {
    block: ProvenHeader,
    state: ChainState,
}

impl ChainState {
    /// Can the match be joined here: is the head a Turn, and does the match go on?
    pub fn is_joinable(&self) -> bool {
        let begun = self.head.turn > crate::ids::Turn::START;
        begun && self.is_opened_by_head() && self.head.deadline.is_some()
    }

    /// Has nothing come since the head that opened the turn?
    fn is_opened_by_head(&self) -> bool {
        let head = Seen { block: self.head.block, server_time: self.head.server_time };
        let uncommitted = self.seats.iter().all(|seat| seat.commitment.is_none());
        self.seen == [head]
            && self.seen_from == self.head.height
            && self.sealed.is_none()
            && !self.revealing
            && !self.graced
            && uncommitted
    }

    /// Has every seat that somebody holds a session key, and is nobody on two seats?
    fn is_seated(&self, genesis: &Genesis) -> bool {
        let mut holders = Vec::new();
        let fits = |(seat, holder): (&SeatState, &SeatHolder)| match (holder, &seat.taken_by) {
            (SeatHolder::Player(identity), None) => seat.session.is_some() && is_new(&mut holders, *identity),
            (SeatHolder::Player(_), Some(_)) => false,
            (SeatHolder::Open, None) => seat.session.is_none(),
            (SeatHolder::Open, Some(by)) => seat.session.is_some() && is_new(&mut holders, by.public()),
        };
        self.seats.iter().zip(&genesis.seats).all(fits)
    }

    /// Was it further only if turns can be taken back?
    fn has_been_further(&self, genesis: &Genesis) -> bool {
        let now = self.head.turn;
        self.furthest == now || self.furthest > now && genesis.has_takebacks()
    }

    /// Are the elements that were revealed last those of the hash chains in `genesis`?
    fn draws_from(&self, genesis: &Genesis, header: &Header) -> bool {
        match (&genesis.randomness, genesis.turns.turns_max) {
            (Randomness::CommitReveal { server, seats }, Some(turns)) => {
                let most = turns.saturating_add(1);
                let stems =
                    |tip: Option<ChainTip>, anchor| tip.is_some_and(|tip| tip.stems_from(anchor, most));
                let last = self.server.is_some_and(|tip| tip.is_at(header.randomness));
                let mut seats = self.seats.iter().zip(seats);
                last && stems(self.server, *server)
                    && seats.all(|(seat, start)| stems(seat.revealed, start.anchor))
            }
            (Randomness::None, _) | (Randomness::CommitReveal { .. }, None) => {
                let reveals = self.server.is_some() || self.seats.iter().any(|seat| seat.revealed.is_some());
                !reveals && self.seed == genesis.setup().seed
            }
        }
    }
}

impl JoinPoint {
    /// The proof that the block at `own` stands in a chain of these `blocks`, from the genesis on; empty for the
    /// genesis.
    ///
    /// # Panics
    ///
    /// When `own` is not the height of one of them.
    pub fn place_of(own: Height, blocks: impl IntoIterator<Item = BlockHash>) -> Vec<Digest> {
        if own == Height::GENESIS {
            return Vec::new();
        }
        let leaves: Vec<_> = blocks.into_iter().map(chain_leaf).collect();
        let index = usize::try_from(own.get()).unwrap_or(usize::MAX);
        merkle::prove(Context::ChainNode, &leaves, index)
    }

    /// Checks everything that can be checked without the game's state. `chain` is what the receiver has.
    ///
    /// # Errors
    ///
    /// In the order of [`JoinError`]'s variants; the first that applies.
    pub fn verify(self, chain: &Chain) -> Result<VerifiedJoinPoint, JoinError> {
        let header = self.block.read().map_err(|_| JoinError::Malformed)?;
        if header.match_id != chain.match_id {
            return Err(JoinError::WrongMatch);
        }
        let signer = self.signer(chain, &header)?;
        let hash = self.block.hash();
        let proof = &self.block.proof;
        if proof.serial != signer.serial() || proof.verify(block_leaf(hash), signer.key()).is_err() {
            return Err(JoinError::BadProof);
        }
        if header.height <= chain.state.head.height || header.kind != BlockKind::Turn {
            return Err(JoinError::NotATurnAhead);
        }
        let has_banks = matches!(chain.genesis.turns.clock, Clock::Bank { .. });
        let fits = self.state.head == head_of(&header, hash)
            && self.state.is_joinable()
            && self.state.seats.len() == chain.genesis.seats.len()
            && self.state.seats.iter().all(|seat| seat.bank_ms.is_some() == has_banks)
            && self.state.is_seated(&chain.genesis)
            && self.state.history().is_some()
            && self.state.has_been_further(&chain.genesis)
            && self.state.paused < header.height
            && self.state.draws_from(&chain.genesis, &header);
        if !fits {
            return Err(JoinError::State);
        }
        if !self.comes_after(chain, &header) {
            return Err(JoinError::OtherHistory);
        }
        Ok(VerifiedJoinPoint { block: self.block, state: self.state })
    }

    fn signer(&self, chain: &Chain, header: &Header) -> Result<VerifiedCertificate, JoinError> {
        let signer = self.state.signer.verify(&chain.root).map_err(|_| JoinError::Signer)?;
        let in_force = signer.check(KeyRole::Block, header.server_time).is_ok()
            && signer.serial() == header.signer_serial
            && signer.serial() >= chain.signer.serial();
        if in_force { Ok(signer) } else { Err(JoinError::Signer) }
    }

    /// Does the chain root of the block contain the head of `chain`?
    fn comes_after(&self, chain: &Chain, header: &Header) -> bool {
        let own = &chain.state.head;
        if own.height == Height::GENESIS {
            // The match id in the header says that.
            return self.place.is_empty();
        }
        let (leaf, index, size) = (chain_leaf(own.block), own.height.get(), header.height.get());
        let root = merkle::root_of_proof(Context::ChainNode, leaf, index, size, &self.place);
        root == Some(header.chain_root)
    }

    pub(crate) fn validate(&self) -> Result<(), &'static str> {
        if self.place.len() <= merkle::PROOF_HASHES_MAX { Ok(()) } else { Err("place") }
    }
}

impl VerifiedJoinPoint {
    /// What the game was started from, whose state the chunks are.
    pub fn setup(&self, genesis: &Genesis) -> Setup {
        self.state.setup(genesis)
    }

    /// The block.
    pub const fn block(&self) -> &ProvenHeader {
        &self.block
    }

    /// What the block says.
    pub const fn head(&self) -> &Head {
        &self.state.head
    }

    /// Takes the chain up at the block. `executed` is of the game with the chunks that came with it.
    ///
    /// # Errors
    ///
    /// [`GenesisError::StateRoot`]: the chunks are not the state that the block commits to. No others, if
    /// `genesis` is that of the chain that the join point was verified with.
    pub fn take_up(self, genesis: Genesis, executed: Executed) -> Result<Chain, GenesisError> {
        Chain::with_state(genesis, self.state, executed)
    }
}

fn is_new(holders: &mut Vec<PublicKey>, holder: PublicKey) -> bool {
    let is_new = !holders.contains(&holder);
    holders.push(holder);
    is_new
}

fn head_of(header: &Header, block: BlockHash) -> Head {
    Head {
        height: header.height,
        block,
        turn: header.turn,
        attempt: header.attempt,
        server_time: header.server_time,
        deadline: header.deadline,
        state_root: header.state_root,
    }
}

/// Why a match is not joined at a block. The server's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// The header is not the encoding of one.
    #[error("the header is malformed")]
    Malformed,
    /// The block is of another match.
    #[error("the block is of another match")]
    WrongMatch,
    /// The certificate is not one of the service's block signers, or not the one that the block names.
    #[error("the block's signer is not certified")]
    Signer,
    /// The server did not sign the block.
    #[error("the server's proof does not hold")]
    BadProof,
    /// The block is no Turn, or not after the receiver's head.
    #[error("not a turn after the own head")]
    NotATurnAhead,
    /// The chain's state contradicts the block or the genesis.
    #[error("the chain's state is not one after this block")]
    State,
    /// The block's chain does not contain the receiver's head, as far as the proof shows.
    #[error("the own head is not shown to stand in the block's chain")]
    OtherHistory,
}
