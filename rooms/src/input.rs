//! What a room is told, and what it wants done.

use std::sync::Arc;

use cadastre_protocol::{
    Access, BlockError, BlockHash, ChainStart, ChainState, ChunkId, CompareRequest, Digest, DisplayName,
    EnterAs, Failure, GoodbyeReason, Height, Line, MatchId, Millis, ProvenHeader, PublicKey, RoomName,
    SealReason, Seat, SeatSet, Seq, ServerMessage, ServerProof, ShownPass, SignedCertificate, SignedTalk,
    SignedTransaction, Since, StateTree, Turn, View,
};
use cadastre_simulations::{Incident, Snapshot, State};

/// Somebody in a room: one connection, named by the shell and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(u64);

impl GuestId {
    /// Takes a number that no other guest of the room ever had.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// What a room is told.
#[derive(Debug)]
pub enum Input {
    /// A connection enters, as new to the match.
    Enter {
        /// The connection.
        guest: GuestId,
        /// Who it is, as the handshake proved.
        identity: PublicKey,
        /// As what it enters.
        enter_as: EnterAs,
        /// How it is called.
        name: DisplayName,
        /// What it shows at the door.
        shown: Option<Box<ShownPass>>,
    },
    /// A connection comes back to the match with blocks in hand.
    Resume {
        /// The connection.
        guest: GuestId,
        /// Who it is, as the handshake proved.
        identity: PublicKey,
        /// As what it comes back.
        enter_as: EnterAs,
        /// Height of its head.
        height: Height,
        /// Is its head the block that the store has at this height?
        known: bool,
        /// What it shows at the door.
        shown: Option<Box<ShownPass>>,
    },
    /// A guest says whether the match may begin.
    Ready {
        /// Who.
        guest: GuestId,
        /// May it?
        ready: bool,
        /// The hash chain of its seat.
        chain: Option<ChainStart>,
    },
    /// A guest hands in a transaction.
    Submit {
        /// Who.
        guest: GuestId,
        /// As it came.
        transaction: SignedTransaction,
    },
    /// A guest came to another state than a block's, and compares.
    Compare {
        /// Who.
        guest: GuestId,
        /// What it says or asks.
        request: CompareRequest,
    },
    /// A guest says something to the others.
    Say {
        /// Who.
        guest: GuestId,
        /// As it came.
        talk: SignedTalk,
    },
    /// A spectator that was too slow to be told everything asks for what comes after a block.
    GoOn {
        /// Who.
        guest: GuestId,
        /// The last block that it was told.
        after: Height,
    },
    /// A guest wants another match, when one is over.
    Rematch {
        /// Who.
        guest: GuestId,
    },
    /// A guest is gone, for whatever reason.
    Leave {
        /// Who.
        guest: GuestId,
    },
    /// The oldest [`Output::Commit`] not yet answered is on disk.
    Committed {
        /// A proof for each provable record, in their order.
        proofs: Vec<ServerProof>,
    },
    /// The time of the last [`Output::WakeAt`] has come.
    Timeout,
    /// The operator ends the match.
    End,
}

/// What a room wants done. To be carried out in order.
#[derive(Debug)]
pub enum Output {
    /// Remember this, then answer with [`Input::Committed`]. Commits are answered in their order; when one
    /// cannot be written, the room must be fed no more.
    Commit(Records),
    /// Tell one guest.
    Send {
        /// Whom.
        to: GuestId,
        /// What.
        message: ServerMessage,
    },
    /// Tell everybody who is in the room.
    Broadcast {
        /// Everybody.
        to: Vec<GuestId>,
        /// What.
        message: ServerMessage,
    },
    /// Send guests the state that a fork begins with, in [`ServerMessage::Chunks`], all before anything that comes
    /// later.
    FirstState {
        /// Whom.
        to: Vec<GuestId>,
        /// The state.
        state: Arc<Snapshot>,
    },
    /// Send a guest the stored blocks after `after` up to and with `to`, then [`ServerMessage::CaughtUp`],
    /// all before anything that comes later.
    CatchUp {
        /// Whom.
        guest: GuestId,
        /// The block it has.
        after: Height,
        /// The last that is on disk.
        to: Height,
    },
    /// From now on show a light spectator what [`Output::Show`] says, beginning with the newest of it.
    Watch {
        /// Whom.
        guest: GuestId,
        /// The block that it has.
        after: Height,
    },
    /// Light spectators may see this; it comes after what they were shown before.
    Show(Arc<Shown>),
    /// Tell a connection that it was not admitted. It will not be mentioned again.
    Refuse {
        /// Whom.
        guest: GuestId,
        /// Why.
        failure: Failure,
    },
    /// Part with a guest. It will not be mentioned again.
    Dismiss {
        /// Whom.
        guest: GuestId,
        /// Why.
        reason: GoodbyeReason,
    },
    /// Feed [`Input::Timeout`] at this time; forget the time asked for before.
    WakeAt(Millis),
    /// Something the operator may want to see. No part of the game.
    Observed(Event),
}

/// A block on disk and the state after it, as light spectators are shown it: each the part that it watches.
#[derive(Debug)]
pub struct Shown {
    /// The block.
    pub block: ProvenHeader,
    /// Its height.
    pub height: Height,
    /// Certificate of its signer.
    pub signer: SignedCertificate,
    /// Of the state.
    pub tree: StateTree,
    /// The state.
    pub state: State,
    /// The chunks that are not as they were after the block before, ascending.
    pub dirty: Vec<ChunkId>,
}

impl Shown {
    /// The messages that show all that somebody watches; `place` proves that what it has seen before stands in the
    /// chain of this block.
    pub fn whole(&self, viewport: Option<&[ChunkId]>, place: Vec<Digest>) -> Vec<ServerMessage> {
        let since = Since::Nothing { signer: self.signer.clone(), place };
        let watched = watched(&self.state.ids(), viewport);
        self.messages(&watched, since, &watched)
    }

    /// The messages that show what changed of that, for somebody who has seen the block before.
    pub fn changes(&self, viewport: Option<&[ChunkId]>) -> Vec<ServerMessage> {
        let changed = watched(&self.dirty, viewport);
        self.messages(&watched(&self.state.ids(), viewport), Since::Before, &changed)
    }

    fn messages(&self, watched: &[ChunkId], since: Since, chunks: &[ChunkId]) -> Vec<ServerMessage> {
        let beside = self.tree.beside(watched, &self.state.ids());
        View::messages(self.block.clone(), since, beside, self.state.chunks(chunks))
    }
}

/// Those of some chunks that somebody watches.
fn watched(chunks: &[ChunkId], viewport: Option<&[ChunkId]>) -> Vec<ChunkId> {
    let is_watched = |id: &&ChunkId| viewport.is_none_or(|viewport| viewport.binary_search(id).is_ok());
    chunks.iter().filter(is_watched).copied().collect()
}

/// Everything that has to be on disk together, or not at all.
#[derive(Clone, Debug)]
pub struct Records {
    /// Whose.
    pub match_id: MatchId,
    /// In the order in which they take effect.
    pub records: Vec<Record>,
}

/// One thing to remember.
#[derive(Clone, Debug)]
pub enum Record {
    /// A match begins.
    Begin {
        /// Encoding of the genesis.
        genesis: Vec<u8>,
        /// In which room.
        room: RoomName,
        /// How the players are called, by seat.
        names: Vec<DisplayName>,
        /// Who may come in, and who hears of it.
        access: Access,
        /// The state that a fork begins with.
        first: Option<Arc<Snapshot>>,
    },
    /// A transaction was accepted. Provable: its receipt.
    Accepted {
        /// Whose.
        seat: Seat,
        /// Its number.
        seq: Seq,
        /// When it came.
        received: Millis,
        /// As it came.
        transaction: SignedTransaction,
        /// Encoding of the receipt.
        receipt: Vec<u8>,
        /// What the server's proof contains for it.
        leaf: Digest,
    },
    /// A block was made. Provable. All accepted transactions that came before it in the match are forgotten
    /// when `closes_turn`.
    Block {
        /// Its height.
        height: Height,
        /// The turn whose state it has.
        turn: Turn,
        /// Its name.
        hash: BlockHash,
        /// Encoding of the block.
        block: Vec<u8>,
        /// What the server's proof contains for it.
        leaf: Digest,
        /// Serial of the certificate under which it is to be signed.
        signer: u32,
        /// Does it take up all accepted transactions, or come instead of the block that would?
        closes_turn: bool,
        /// Is it the last one?
        seals: bool,
    },
    /// A seat signed two transactions for one turn: evidence, kept beside the match. The first of a seat is
    /// kept, more of them prove nothing more.
    Double {
        /// Whose.
        seat: Seat,
        /// As they came; before them the one with the delegation, if the open turn brought it.
        transactions: Vec<SignedTransaction>,
    },
    /// The state after a block, to go on from; takes the place of the one before.
    Keyframe {
        /// Of the chain.
        state: Box<ChainState>,
        /// Of the game.
        snapshot: Snapshot,
    },
    /// Something was said. It takes the place of the line [`cadastre_protocol::LINES_KEPT`] before it.
    Said(Line),
}

impl Record {
    /// What the server's proof has to contain for this record.
    pub const fn leaf(&self) -> Option<Digest> {
        match self {
            Self::Accepted { leaf, .. } | Self::Block { leaf, .. } => Some(*leaf),
            Self::Begin { .. } | Self::Double { .. } | Self::Keyframe { .. } | Self::Said(_) => None,
        }
    }
}

/// What happened in a room, for logs and metrics.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A match began.
    Started {
        /// Which.
        match_id: MatchId,
    },
    /// A turn was closed.
    TurnClosed {
        /// Which.
        turn: Turn,
        /// Seats that let their time pass.
        late: SeatSet,
        /// Seats that had computed another state.
        desynced: SeatSet,
    },
    /// A guest came to another state than a block's, and it is known where they differ.
    Diverged {
        /// Whose connection.
        guest: GuestId,
        /// The seat; `None` for a spectator.
        seat: Option<Seat>,
        /// What differs.
        incident: Box<Incident>,
    },
    /// A transaction was refused.
    Refused {
        /// Whose connection.
        guest: GuestId,
        /// One word for the reason.
        kind: &'static str,
    },
    /// Something was said, and is passed on as soon as it may be.
    Said,
    /// Something that was said is not passed on.
    NotSaid {
        /// Whose connection.
        guest: GuestId,
        /// One word for the reason.
        kind: &'static str,
    },
    /// A seat signed two transactions for one turn.
    Double {
        /// Whose.
        seat: Seat,
        /// For which.
        turn: Turn,
    },
    /// All wanted to go back to an earlier turn.
    TakenBack {
        /// That turn.
        to_turn: Turn,
    },
    /// All wanted the open turn to stand still.
    Paused {
        /// For how long, in milliseconds.
        ms: u32,
    },
    /// A turn waits longer for seats that have no connection.
    Grace {
        /// For how much longer, in milliseconds.
        ms: u32,
        /// Which seats.
        missing: SeatSet,
    },
    /// The match is over.
    Ended {
        /// Why.
        reason: SealReason,
    },
    /// The lobby is there again: all players of a match that is over want another one.
    Rematch {
        /// The match that was over.
        match_id: MatchId,
    },
    /// The room made a block that it does not accept itself, and stands still rather than fork the chain. A
    /// defect of this program.
    Broken {
        /// What was wrong with the block.
        error: BlockError,
    },
}
