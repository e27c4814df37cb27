//! A turn while it is open: which transactions can still come, and what has come.

use crate::{
    block::ReadEntry,
    chain::{
        Chain,
        error::TransactionError,
        is_move,
        state::{SeatState, Session},
    },
    delegation::{SignedDelegation, VerifiedDelegation},
    genesis::{AgreementPolicy, STANCES_PER_TURN_MAX, Visibility},
    hash_chain::ChainTip,
    ids::{Epoch, Height, Millis, Seat, SeatSet, Turn},
    keys::{EnrolledKey, PublicKey},
    randomness::sealed_commands,
    transaction::{Motion, ReadTransaction, Transaction, TransactionBody},
};

/// The open turn of a chain, or its Joins before the Start. The room fills it as transactions come in; the
/// verifier fills one from a block. Both by the same [`OpenTurn::check`].
#[derive(Clone, Debug)]
pub struct OpenTurn {
    /// The seats as they stand once the entries so far are in a block.
    seats: Vec<SeatState>,
    acted: SeatSet,
    delegated: SeatSet,
    desynced: SeatSet,
    stances: Vec<Stance>,
    entries: Vec<ReadEntry>,
}

/// What all seats together can want. The server must carry it out then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// To go back to the state after an earlier turn.
    Takeback {
        /// That turn.
        to_turn: Turn,
    },
    /// That the open turn stands still.
    Pause {
        /// For how long, in milliseconds.
        ms: u32,
    },
    /// That the match ends as it stands.
    End,
}

/// What a seat has said in the open turn that it wants.
#[derive(Clone, Copy, Debug, Default)]
struct Stance {
    /// What it wants all to consent to.
    wants: Option<Agreement>,
    /// The seats that it wants to skip.
    skips: SeatSet,
    /// Which head it had seen when it said so.
    seen: Height,
    said: usize,
}

impl Stance {
    /// Once the seat has done this too.
    fn after(self, tx: &Transaction) -> Self {
        let nothing = Self { said: self.said, ..Self::default() };
        let said = Self { seen: tx.seen_height, said: self.said + 1, ..Self::default() };
        match tx.body {
            TransactionBody::Takeback { to_turn } => {
                let declines = to_turn.next() == Some(tx.turn);
                Self { wants: (!declines).then_some(Agreement::Takeback { to_turn }), ..said }
            }
            TransactionBody::Motion(Motion::Nothing) => said,
            TransactionBody::Motion(Motion::Pause { ms }) => {
                Self { wants: Some(Agreement::Pause { ms }), ..said }
            }
            TransactionBody::Motion(Motion::End) => Self { wants: Some(Agreement::End), ..said },
            TransactionBody::Motion(Motion::Skip { seats }) => Self { skips: seats, ..said },
            TransactionBody::Turn(_) | TransactionBody::Commit(_) => {
                let plays_on = matches!(self.wants, Some(Agreement::Takeback { .. }));
                if plays_on { nothing } else { self }
            }
            TransactionBody::Resign => nothing,
            TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::LateJoin { .. } => self,
        }
    }
}

/// A transaction that can be accepted.
#[derive(Debug)]
pub struct Admission {
    after: SeatState,
    desynced: bool,
    entry: ReadEntry,
}

impl Admission {
    /// The transaction.
    pub const fn transaction(&self) -> &ReadTransaction {
        &self.entry.transaction
    }
}

impl OpenTurn {
    pub(super) fn new(chain: &Chain) -> Self {
        Self {
            seats: chain.state.seats.clone(),
            acted: SeatSet::EMPTY,
            delegated: SeatSet::EMPTY,
            desynced: SeatSet::EMPTY,
            stances: vec![Stance::default(); chain.state.seats.len()],
            entries: Vec::new(),
        }
    }

    /// Can a transaction that was received at `received` stand in the block that closes this turn?
    /// Nothing is taken up before [`OpenTurn::accept`].
    ///
    /// # Errors
    ///
    /// In the order of [`TransactionError`]'s variants; the first that applies.
    pub fn check(
        &self,
        chain: &Chain,
        transaction: ReadTransaction,
        received: Millis,
    ) -> Result<Admission, TransactionError> {
        self.admit(chain, transaction, received, check_link)
    }

    /// As [`OpenTurn::check`], for a block that shows only what seats want: what else they did in the open turn is
    /// not in it, and so their transactions need not follow one on the other.
    pub(super) fn check_shown(
        &self,
        chain: &Chain,
        transaction: ReadTransaction,
        received: Millis,
    ) -> Result<Admission, TransactionError> {
        let body = &transaction.get().body;
        if !body.is_stance() && !matches!(body, TransactionBody::Delegate(_)) {
            return Err(TransactionError::WrongKind);
        }
        self.admit(chain, transaction, received, check_order)
    }

    fn admit(
        &self,
        chain: &Chain,
        mut transaction: ReadTransaction,
        received: Millis,
        check_place: fn(&SeatState, &Transaction) -> Result<(), TransactionError>,
    ) -> Result<Admission, TransactionError> {
        let tx = transaction.get();
        let seat = tx.seat;
        if tx.match_id != chain.match_id {
            return Err(TransactionError::WrongMatch);
        }
        let Some(state) = self.seats.get(seat.index()) else { return Err(TransactionError::NoSuchSeat) };
        self.check_turn(chain, tx)?;
        check_place(state, tx)?;
        let seen =
            chain.state.seen(tx.seen_height, tx.seen_block).ok_or(TransactionError::UnknownSeenBlock)?;
        let revealed = check_element(state, tx)?;
        check_reveal(state, tx)?;
        // Nobody has seen a block before it was made, nor sent what goes on from a transaction before that one.
        if received < self.last_received(seat).unwrap_or(seen).max(seen) {
            return Err(TransactionError::Early);
        }
        let deadline = if is_move(&tx.body) { chain.deadline_of(seat) } else { chain.state.head.deadline };
        if deadline.is_some_and(|deadline| received > deadline) {
            return Err(TransactionError::Late);
        }
        let mut taken_by = state.taken_by.clone();
        let session = match (&tx.body, &state.session) {
            (TransactionBody::Join(delegation) | TransactionBody::Delegate(delegation), _) => {
                let holder = chain.holder(seat, state).ok_or(TransactionError::WrongKind)?;
                accept_delegation(holder, tx, delegation)?
            }
            (TransactionBody::LateJoin { identity, delegation }, _) => {
                let holder = identity.enroll().map_err(|_| TransactionError::BadDelegation)?;
                accept_delegation(taken_by.insert(holder), tx, delegation)?
            }
            (_, Some(session)) => session.clone(),
            (_, None) => return Err(TransactionError::WrongKind),
        };
        if session.valid_to.is_some_and(|valid_to| received > valid_to) {
            return Err(TransactionError::DelegationExpired);
        }
        let desynced = tx.seen_state_root != chain.state.head.state_root;
        let next_seq = tx.seq.next().ok_or(TransactionError::Exhausted)?;
        let resigned = tx.body == TransactionBody::Resign;
        let commitment = match tx.body {
            TransactionBody::Commit(commitment) => Some(commitment),
            TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Takeback { .. }
            | TransactionBody::Resign
            | TransactionBody::Motion(_)
            | TransactionBody::LateJoin { .. } => state.commitment,
        };
        transaction.verify(&session.key).map_err(|_| TransactionError::BadSignature)?;
        let prev_tx = transaction.hash();
        let session = Some(session);
        let after = SeatState {
            session,
            next_seq,
            prev_tx,
            resigned,
            revealed,
            commitment,
            taken_by,
            ..state.clone()
        };
        Ok(Admission { after, desynced, entry: ReadEntry { received, transaction } })
    }

    /// Did a seat sign both under its session key, that before this turn or the one that the turn brought, and
    /// can its match have only one of them, in this turn or the one before? Whoever gets them sees that it cheats.
    pub fn is_double(&self, chain: &Chain, first: &ReadTransaction, second: &ReadTransaction) -> bool {
        let (tx, closed) = (first.get(), chain.head().turn);
        let is_recent = tx.turn == closed || Some(tx.turn) == closed.next();
        if tx.match_id != chain.match_id || !is_recent || !tx.excludes(second.get()) {
            return false;
        }
        let seats = [&self.seats, &chain.state.seats];
        let mut sessions = seats.iter().filter_map(|seats| seats.get(tx.seat.index())?.session.as_ref());
        let Some(session) = sessions.find(|session| session.epoch == tx.epoch) else { return false };
        let signed = |read: &ReadTransaction| read.clone().verify(&session.key).is_ok();
        signed(first) && signed(second)
    }

    fn last_received(&self, seat: Seat) -> Option<Millis> {
        let of_seat = self.entries.iter().rev().find(|entry| entry.transaction.get().seat == seat);
        of_seat.map(|entry| entry.received)
    }

    /// Takes up a transaction that passed [`OpenTurn::check`] of this same turn, with nothing accepted since.
    pub fn accept(&mut self, admission: Admission) {
        let Admission { after, desynced, entry } = admission;
        let tx = entry.transaction.get();
        self.seats[tx.seat.index()] = after;
        let stance = &mut self.stances[tx.seat.index()];
        *stance = stance.after(tx);
        match tx.body {
            TransactionBody::Delegate(_) => {
                self.delegated.insert(tx.seat);
            }
            TransactionBody::Takeback { .. } | TransactionBody::Motion(_) => {}
            TransactionBody::Join(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Resign
            | TransactionBody::LateJoin { .. } => {
                self.acted.insert(tx.seat);
            }
        }
        if desynced {
            self.desynced.insert(tx.seat);
        }
        self.entries.push(entry);
    }

    /// Is a transaction of this kind due from this seat, for this turn?
    fn check_turn(&self, chain: &Chain, tx: &Transaction) -> Result<(), TransactionError> {
        let begun = chain.state.head.height != Height::GENESIS;
        if chain.state.sealed.is_some() || chain.seal_due().is_some() {
            return Err(TransactionError::MatchOver);
        }
        let sealed = chain.genesis.visibility == Visibility::Sealed;
        let takebacks = chain.genesis.has_takebacks();
        let motions = chain.genesis.agreements != AgreementPolicy::NONE;
        let is_open = chain.open_seats().contains(tx.seat);
        let plays = begun && !is_open;
        match tx.body {
            TransactionBody::Join(_) if !begun && !is_open => {}
            TransactionBody::Delegate(_) | TransactionBody::Resign if plays => {}
            TransactionBody::Turn(_) if plays && !sealed => {}
            TransactionBody::Commit(_) if plays && sealed && !chain.state.revealing => {}
            TransactionBody::Reveal { .. } if plays && chain.state.revealing => {}
            TransactionBody::Takeback { .. } if plays && takebacks && !chain.state.revealing => {}
            TransactionBody::Motion(_) if plays && motions && !chain.state.revealing => {}
            TransactionBody::LateJoin { .. } if begun => {}
            TransactionBody::Join(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Resign
            | TransactionBody::Commit(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Takeback { .. }
            | TransactionBody::Motion(_)
            | TransactionBody::LateJoin { .. } => return Err(TransactionError::WrongKind),
        }
        let expected =
            if begun { chain.next_turn().ok_or(TransactionError::Exhausted)? } else { Turn::START };
        if tx.turn != expected {
            return Err(TransactionError::WrongTurn { expected, got: tx.turn });
        }
        if tx.attempt != chain.state.head.attempt {
            return Err(TransactionError::WrongAttempt);
        }
        if chain.resigned().contains(tx.seat) || tx.body.is_stance() && self.seats[tx.seat.index()].resigned {
            return Err(TransactionError::Resigned);
        }
        if let TransactionBody::LateJoin { identity, .. } = tx.body {
            if chain.holder(tx.seat, &self.seats[tx.seat.index()]).is_some() {
                return Err(TransactionError::SeatTaken);
            }
            if self.seat_of(chain, identity).is_some() {
                return Err(TransactionError::AlreadySeated);
            }
        }
        if self.is_said(tx) {
            return Err(TransactionError::AlreadySubmitted);
        }
        if is_move(&tx.body) && !chain.required().contains(tx.seat) {
            return Err(TransactionError::NotToMove);
        }
        match tx.body {
            TransactionBody::Takeback { to_turn } if !chain.can_be_asked_for(to_turn) => {
                Err(TransactionError::WrongTakeback)
            }
            TransactionBody::Motion(motion) if !chain.can_be_moved(tx.seat, motion) => {
                Err(TransactionError::WrongMotion)
            }
            TransactionBody::Takeback { .. }
            | TransactionBody::Motion(_)
            | TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Resign
            | TransactionBody::LateJoin { .. } => Ok(()),
        }
    }

    /// Has the seat said as much of this kind as it may in one turn?
    fn is_said(&self, tx: &Transaction) -> bool {
        match tx.body {
            TransactionBody::Takeback { .. } | TransactionBody::Motion(_) => {
                self.stances[tx.seat.index()].said == STANCES_PER_TURN_MAX
            }
            TransactionBody::Delegate(_) => self.acted.contains(tx.seat) || self.delegated.contains(tx.seat),
            TransactionBody::Join(_)
            | TransactionBody::Turn(_)
            | TransactionBody::Commit(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Resign
            | TransactionBody::LateJoin { .. } => self.acted.contains(tx.seat),
        }
    }

    /// What `seat` wants all to consent to. A pause that has been is wanted no more.
    pub fn wanted_by(&self, chain: &Chain, seat: Seat) -> Option<Agreement> {
        let stance = self.stances.get(seat.index())?;
        let is_over =
            |wants: &Agreement| matches!(wants, Agreement::Pause { .. }) && stance.seen < chain.state.paused;
        stance.wants.filter(|wants| !is_over(wants))
    }

    /// What all seats that have not resigned want, and the server must carry out.
    pub fn agreed(&self, chain: &Chain) -> Option<Agreement> {
        let asked = chain.players();
        let wanted = self.wanted_by(chain, asked.iter().next()?)?;
        let can_be = chain.may_reopen() || !matches!(wanted, Agreement::Pause { .. });
        let is_wanted = asked.iter().all(|seat| self.wanted_by(chain, seat) == Some(wanted));
        (can_be && is_wanted).then_some(wanted)
    }

    /// Do enough of the others want the turn to wait for `seat` no longer?
    pub(super) fn is_skipped(&self, chain: &Chain, seat: Seat) -> bool {
        let others = chain.players().without(SeatSet::from_iter([seat]));
        let votes: SeatSet =
            others.iter().filter(|other| self.stances[other.index()].skips.contains(seat)).collect();
        chain.genesis.agreements.skip.is_quorum(votes.len(), others.len())
    }

    /// What shows what the seats want: their last words, and the delegations that the turn brought.
    pub(super) fn shown(&self) -> Vec<ReadEntry> {
        let is_last_word = |at: usize, seat: Seat| {
            let mut since = self.entries[at + 1..].iter().map(|entry| entry.transaction.get());
            !since.any(|tx| tx.seat == seat && tx.body.is_stance())
        };
        let shown = self.entries.iter().enumerate().filter(|(at, entry)| {
            let tx = entry.transaction.get();
            matches!(tx.body, TransactionBody::Delegate(_))
                || tx.body.is_stance() && is_last_word(*at, tx.seat)
        });
        shown.map(|(_, entry)| entry.clone()).collect()
    }

    /// The session key that speaks for `seat` once the entries so far are in a block; none before its Join.
    pub fn session_of(&self, seat: Seat) -> Option<PublicKey> {
        self.seats.get(seat.index())?.next().session
    }

    /// Is a seat lent to `identity` by this delegation: did its holder sign it, and is it in force, or can it still
    /// come into force?
    pub fn is_lent(&self, chain: &Chain, seat: Seat, identity: PublicKey, loan: &SignedDelegation) -> bool {
        let Some(state) = self.seats.get(seat.index()) else { return false };
        let signed = chain.holder(seat, state).and_then(|holder| loan.verify(holder).ok());
        let Some(loan) = signed.as_ref().map(VerifiedDelegation::get) else { return false };
        let next = state.next();
        let is_due = next.epoch.and_then(Epoch::next) == Some(loan.epoch);
        let is_in_force = next.epoch == Some(loan.epoch) && next.session == Some(loan.session);
        (loan.match_id, loan.seat, loan.session) == (chain.match_id, seat, identity)
            && (is_due || is_in_force)
    }

    /// The seat that `identity` holds once the entries so far are in a block.
    pub fn seat_of(&self, chain: &Chain, identity: PublicKey) -> Option<Seat> {
        chain.seat_among(&self.seats, identity)
    }

    /// The seats that are still to be taken once the entries so far are in a block.
    pub fn open_seats(&self, chain: &Chain) -> SeatSet {
        chain.open_seats().without(self.acted)
    }

    /// The transactions so far, in the order in which they came.
    pub fn entries(&self) -> &[ReadEntry] {
        &self.entries
    }

    /// The seats that have acted.
    pub const fn acted(&self) -> SeatSet {
        self.acted
    }

    pub(super) fn into_entries(self) -> Vec<ReadEntry> {
        self.entries
    }

    pub(super) fn into_parts(self) -> (Vec<SeatState>, SeatSet, SeatSet) {
        (self.seats, self.acted, self.desynced)
    }
}

/// Do epoch, number and link go on where the seat stands?
fn check_link(state: &SeatState, tx: &Transaction) -> Result<(), TransactionError> {
    check_epoch(state, tx)?;
    let next = state.next();
    if tx.seq != next.seq {
        return Err(TransactionError::WrongSeq { expected: next.seq, got: tx.seq });
    }
    if tx.prev_tx != next.prev_tx {
        return Err(TransactionError::WrongLink);
    }
    Ok(())
}

/// Do epoch and number go on where the seat stands, or after something else that it did since?
fn check_order(state: &SeatState, tx: &Transaction) -> Result<(), TransactionError> {
    check_epoch(state, tx)?;
    let expected = state.next_seq;
    if tx.seq < expected { Err(TransactionError::WrongSeq { expected, got: tx.seq }) } else { Ok(()) }
}

fn check_epoch(state: &SeatState, tx: &Transaction) -> Result<(), TransactionError> {
    let next = state.next();
    let opens_epoch = matches!(
        tx.body,
        TransactionBody::Join(_) | TransactionBody::Delegate(_) | TransactionBody::LateJoin { .. }
    );
    let expected = match (next.epoch, opens_epoch) {
        (None, _) => Epoch::FIRST,
        (Some(epoch), false) => epoch,
        (Some(epoch), true) => epoch.next().ok_or(TransactionError::Exhausted)?,
    };
    if tx.epoch != expected {
        return Err(TransactionError::WrongEpoch { expected, got: tx.epoch });
    }
    Ok(())
}

/// Does the transaction reveal the next element of the seat's hash chain, if it has to? Gives the tip after it.
fn check_element(state: &SeatState, tx: &Transaction) -> Result<Option<ChainTip>, TransactionError> {
    let reveals = matches!(
        tx.body,
        TransactionBody::Join(_) | TransactionBody::Turn(_) | TransactionBody::Reveal { .. }
    );
    match (state.revealed.filter(|_| reveals), tx.chain_element) {
        (None, None) => Ok(state.revealed),
        (None, Some(_)) => Err(TransactionError::UnexpectedChainElement),
        (Some(_), None) => Err(TransactionError::MissingChainElement),
        (Some(tip), Some(element)) => {
            tip.reveal(element).map(Some).ok_or(TransactionError::WrongChainElement)
        }
    }
}

/// Does a Reveal show what the seat committed to?
fn check_reveal(state: &SeatState, tx: &Transaction) -> Result<(), TransactionError> {
    let TransactionBody::Reveal { salt, commands } = &tx.body else { return Ok(()) };
    let shown = sealed_commands(tx.match_id, tx.seat, tx.turn, tx.attempt, salt, commands);
    if state.commitment == Some(shown) { Ok(()) } else { Err(TransactionError::WrongReveal) }
}

/// Does the seat's holder let this session key speak for this seat in this match and epoch?
fn accept_delegation(
    holder: &EnrolledKey,
    tx: &Transaction,
    delegation: &SignedDelegation,
) -> Result<Session, TransactionError> {
    let verified = delegation.verify(holder).map_err(|_| TransactionError::BadDelegation)?;
    let said = verified.get();
    if (said.match_id, said.seat, said.epoch) != (tx.match_id, tx.seat, tx.epoch) {
        return Err(TransactionError::BadDelegation);
    }
    Ok(Session { epoch: said.epoch, key: verified.session().clone(), valid_to: said.valid_to })
}
