//! What a chain has come to, as a value that can be stored.

use bincode::{Decode, Encode};

use crate::{
    block::{BlockKind, Header, ReopenReason, SealReason},
    certificate::SignedCertificate,
    chain::{Head, NextTransaction, chain_leaf},
    codec::Wire,
    genesis::{Genesis, Randomness},
    hash::{Context, Digest},
    hash_chain::ChainTip,
    ids::{Attempt, BlockHash, Epoch, Height, Millis, SeatSet, Seq, StateRoot, Turn, TxHash},
    keys::EnrolledKey,
    merkle::Frontier,
    setup::Setup,
};

/// All that follows from the blocks of a match so far, but for the state of the game.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ChainState {
    pub(super) head: Head,
    /// The block that opened the turn or its second half, and the Reopens and KeyChanges after it: what a transaction of this
    /// turn may name as seen.
    pub(super) seen: Vec<Seen>,
    /// Height of the first of `seen`.
    pub(super) seen_from: Height,
    pub(super) peaks: Vec<Digest>,
    pub(super) seats: Vec<SeatState>,
    /// Turns in a row in which nobody acted; those that only asked open seats are left out.
    pub(super) silent_turns: u16,
    pub(super) sealed: Option<SealReason>,
    pub(super) signer: SignedCertificate,
    /// By which the game began, or would begin if it had to do without what is still to be revealed.
    pub(super) seed: Digest,
    /// How far the server has revealed its hash chain; none in a match without.
    pub(super) server: Option<ChainTip>,
    /// Is the second half of a turn with sealed commands open?
    pub(super) revealing: bool,
    /// The last turn that was ever executed, taken back or not.
    pub(super) furthest: Turn,
    /// Height of the last pause; that of the genesis if there was none.
    pub(super) paused: Height,
    /// Was the open turn, or its open half, given grace?
    pub(super) graced: bool,
}

/// A block that was the head in the open turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Seen {
    pub(super) block: BlockHash,
    pub(super) server_time: Millis,
}

/// How far a seat's transactions have come.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct SeatState {
    pub(super) session: Option<Session>,
    pub(super) next_seq: Seq,
    pub(super) prev_tx: TxHash,
    pub(super) resigned: bool,
    /// How far the seat has revealed its hash chain; none in a match without.
    pub(super) revealed: Option<ChainTip>,
    /// The sealed commands of the open turn.
    pub(super) commitment: Option<Digest>,
    /// What the bank had when the open turn, or its open half, began; none in a match without banks.
    pub(super) bank_ms: Option<u64>,
    /// Turns in a row that waited for the seat, and in which it did not act.
    pub(super) absent_turns: u16,
    /// Who has taken the seat, if it was open at the start.
    pub(super) taken_by: Option<EnrolledKey>,
}

/// The session key in force.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(super) struct Session {
    pub(super) epoch: Epoch,
    pub(super) key: EnrolledKey,
    pub(super) valid_to: Option<Millis>,
}

impl SeatState {
    pub(super) fn next(&self) -> NextTransaction {
        NextTransaction {
            epoch: self.session.as_ref().map(|session| session.epoch),
            session: self.session.as_ref().map(|session| session.key.public()),
            seq: self.next_seq,
            prev_tx: self.prev_tx,
            revealed: self.revealed.map_or(0, |tip| tip.revealed),
        }
    }
}

impl ChainState {
    pub(super) fn begin(genesis: &Genesis, state_root: StateRoot) -> Self {
        let match_id = genesis.match_id();
        let seat = |revealed| SeatState {
            session: None,
            next_seq: Seq::JOIN,
            prev_tx: match_id.as_tx(),
            resigned: false,
            revealed,
            commitment: None,
            bank_ms: genesis.turns.clock.initial_ms(),
            absent_turns: 0,
            taken_by: None,
        };
        let (server, seats) = match &genesis.randomness {
            Randomness::None => (None, vec![seat(None); genesis.seats.len()]),
            Randomness::CommitReveal { server, seats } => {
                let seats = seats.iter().map(|start| seat(Some(ChainTip::at(start.anchor))));
                (Some(ChainTip::at(*server)), seats.collect())
            }
        };
        let mut history = Frontier::new(Context::ChainNode);
        history.push(chain_leaf(match_id.as_block()));
        Self {
            head: Head {
                height: Height::GENESIS,
                block: match_id.as_block(),
                turn: Turn::START,
                attempt: Attempt::FIRST,
                server_time: genesis.created,
                deadline: None,
                state_root,
            },
            seen: vec![Seen { block: match_id.as_block(), server_time: genesis.created }],
            seen_from: Height::GENESIS,
            peaks: history.peaks().to_vec(),
            seats,
            silent_turns: 0,
            sealed: None,
            signer: genesis.signer.clone(),
            seed: genesis.setup().seed,
            server,
            revealing: false,
            furthest: Turn::START,
            paused: Height::GENESIS,
            graced: false,
        }
    }

    /// What the game of a match in this state was started from.
    pub fn setup(&self, genesis: &Genesis) -> Setup {
        Setup { seed: self.seed, ..genesis.setup() }
    }

    /// The newest block.
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// The tree over all blocks up to the head, the genesis among them.
    pub(super) fn history(&self) -> Option<Frontier> {
        let size = self.head.height.get().checked_add(1)?;
        Frontier::from_peaks(Context::ChainNode, self.peaks.clone(), size)
    }

    /// The block that opened the turn or its second half; before the Start, what stands for the genesis.
    pub(super) fn opened_by(&self) -> BlockHash {
        self.seen.first().map_or(self.head.block, |seen| seen.block)
    }

    /// When `block` was made, if a transaction of the open turn may name it as seen.
    pub(super) fn seen(&self, height: Height, block: BlockHash) -> Option<Millis> {
        let index = height.get().checked_sub(self.seen_from.get())?;
        let seen = self.seen.get(usize::try_from(index).ok()?)?;
        (seen.block == block).then_some(seen.server_time)
    }

    pub(super) fn advance(&mut self, header: &Header, block: BlockHash, acted: SeatSet, is_silent: bool) {
        self.head = Head {
            height: header.height,
            block,
            turn: header.turn,
            attempt: header.attempt,
            server_time: header.server_time,
            deadline: header.deadline,
            state_root: header.state_root,
        };
        match &header.kind {
            BlockKind::Start | BlockKind::Turn => {
                self.seen_from = header.height;
                self.seen.clear();
                if is_silent {
                    self.silent_turns = self.silent_turns.saturating_add(1);
                } else if !acted.is_empty() {
                    self.silent_turns = 0;
                }
            }
            BlockKind::Takeback { .. } => {
                self.seen_from = header.height;
                self.seen.clear();
                self.silent_turns = 0;
            }
            BlockKind::Commit => {
                self.seen_from = header.height;
                self.seen.clear();
            }
            BlockKind::Seal { reason, .. } => self.sealed = Some(*reason),
            BlockKind::Reopen { reason: ReopenReason::Pause { .. } } => self.paused = header.height,
            BlockKind::Reopen { reason: ReopenReason::Grace } => self.graced = true,
            BlockKind::Reopen { reason: ReopenReason::Restart } | BlockKind::KeyChange { .. } => {}
        }
        self.furthest = self.furthest.max(header.turn);
        self.seen.push(Seen { block, server_time: header.server_time });
        match &header.kind {
            BlockKind::Commit => (self.revealing, self.graced) = (true, false),
            BlockKind::Turn | BlockKind::Takeback { .. } => {
                (self.revealing, self.graced) = (false, false);
                self.seats.iter_mut().for_each(|seat| seat.commitment = None);
            }
            BlockKind::Start
            | BlockKind::Reopen { .. }
            | BlockKind::KeyChange { .. }
            | BlockKind::Seal { .. } => {}
        }
        if header.kind.reveals() {
            self.server = self.server.and_then(|tip| tip.reveal(header.randomness));
        }
    }
}

impl Wire for ChainState {
    const BYTES_MAX: usize = crate::codec::DECODE_BYTES_MAX;
}
