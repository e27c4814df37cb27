//! Who holds the seats of a chain, which of them a turn waits for, and how they stand.

use crate::{
    block::{Absence, AbsenceReason, SealReason},
    chain::{Chain, NextTransaction, open_turn::OpenTurn, state::SeatState},
    genesis::{Randomness, TurnMode, Visibility},
    hash::{Context, hash},
    ids::{Millis, Seat, SeatSet},
    keys::{EnrolledKey, PublicKey},
    randomness::Drawn,
    setup::Standing,
};

impl Chain {
    /// The seats whose action the open turn waits for; in its second half, those that have committed.
    pub fn required(&self) -> SeatSet {
        let waited_for = if self.state.revealing { self.committed() } else { self.asked() };
        waited_for.without(self.resigned()).without(self.open_seats())
    }

    /// The seats that the turn asks for commands.
    pub(super) fn asked(&self) -> SeatSet {
        match self.genesis.turns.mode {
            TurnMode::Simultaneous => SeatSet::first(self.genesis.seat_count()),
            TurnMode::Alternating => self.executed.to_move,
        }
    }

    /// The seats that committed to commands of the open turn, up to the head.
    pub(super) fn committed(&self) -> SeatSet {
        self.seats().filter(|(_, state)| state.commitment.is_some()).map(|(seat, _)| seat).collect()
    }

    /// The seats that have given up.
    pub fn resigned(&self) -> SeatSet {
        self.seats().filter(|(_, state)| state.resigned).map(|(seat, _)| seat).collect()
    }

    /// The seats that nobody has taken yet.
    pub fn open_seats(&self) -> SeatSet {
        let free = |(seat, state): &(Seat, &SeatState)| self.holder(*seat, state).is_none();
        self.seats().filter(free).map(|(seat, _)| seat).collect()
    }

    /// The seats that somebody plays: neither open nor given up.
    pub fn players(&self) -> SeatSet {
        SeatSet::first(self.genesis.seat_count()).without(self.resigned()).without(self.open_seats())
    }

    /// The seat that `identity` holds.
    pub fn seat_of(&self, identity: PublicKey) -> Option<Seat> {
        self.seat_among(&self.state.seats, identity)
    }

    /// Who holds a seat; `None` while it is open.
    pub fn holder_of(&self, seat: Seat) -> Option<PublicKey> {
        Some(self.holder(seat, self.state.seats.get(seat.index())?)?.public())
    }

    pub(super) fn seat_among(&self, seats: &[SeatState], identity: PublicKey) -> Option<Seat> {
        let is_holder = |(seat, state): &(Seat, &SeatState)| {
            self.holder(*seat, state).is_some_and(|holder| holder.public() == identity)
        };
        Seat::first(self.genesis.seat_count()).zip(seats).find(is_holder).map(|(seat, _)| seat)
    }

    /// Who holds a seat that stands so.
    pub(super) fn holder<'a>(&'a self, seat: Seat, state: &'a SeatState) -> Option<&'a EnrolledKey> {
        self.identities.get(seat.index())?.as_ref().or(state.taken_by.as_ref())
    }

    /// Number and link of the next transaction of `seat`, and the epoch of its session key; `None` for a
    /// seat that the match does not have.
    pub fn next_of(&self, seat: Seat) -> Option<NextTransaction> {
        self.state.seats.get(seat.index()).map(SeatState::next)
    }

    /// How the match would come out now: by score; behind all others the seats that nobody has taken, those who
    /// resigned, and whoever signed two transactions for one turn and so ended it.
    pub fn standings(&self) -> Vec<Standing> {
        self.standings_after(self.state.sealed)
    }

    pub(super) fn standings_after(&self, sealed: Option<SealReason>) -> Vec<Standing> {
        let mut playing = self.players();
        if let Some(SealReason::DoubleTransaction { seat }) = sealed {
            playing.remove(seat);
        }
        let key = |s: &Standing| (playing.contains(s.seat), s.score);
        let all = &self.executed.standings;
        all.iter()
            .map(|s| {
                let better = all.iter().filter(|other| key(other) > key(s)).count();
                Standing { place: u8::try_from(better + 1).expect("at most eight seats"), ..*s }
            })
            .collect()
    }

    pub(super) fn seats(&self) -> impl Iterator<Item = (Seat, &SeatState)> {
        Seat::first(self.genesis.seat_count()).zip(&self.state.seats)
    }

    /// Why seats are absent that let pass the time of what is open now.
    pub(super) const fn reason_of_late(&self) -> AbsenceReason {
        if self.state.revealing { AbsenceReason::RevealMissing } else { AbsenceReason::Deadline }
    }

    /// The absent list of a turn, or of the half of one, that is closed at `now`: it follows from the chain, the
    /// server has no choice in it.
    pub(super) fn absences(&self, open: &OpenTurn, now: Millis) -> Vec<Absence> {
        let is_skipped = |seat| {
            let early = self.deadline_of(seat).is_some_and(|deadline| now < deadline);
            early && open.waits_for(self, seat).is_some_and(|until| until <= now)
        };
        let (asked, required, resigned) = (self.asked(), self.required(), self.resigned());
        let free = self.open_seats();
        SeatSet::first(self.genesis.seat_count())
            .without(open.acted())
            .iter()
            .map(|seat| Absence {
                seat,
                reason: if resigned.contains(seat) {
                    AbsenceReason::Resigned
                } else if free.contains(seat) {
                    AbsenceReason::OpenSeat
                } else if required.contains(seat) && is_skipped(seat) {
                    AbsenceReason::Skipped
                } else if required.contains(seat) && self.state.revealing {
                    AbsenceReason::RevealMissing
                } else if asked.contains(seat) && self.is_taken_over(seat) {
                    AbsenceReason::TakenOver
                } else if asked.contains(seat) {
                    AbsenceReason::Deadline
                } else {
                    AbsenceReason::NotToMove
                },
            })
            .collect()
    }

    /// Do the rules play for this seat when it lets the open turn pass? A first half has nothing to play.
    pub(super) fn is_taken_over(&self, seat: Seat) -> bool {
        let plays = self.genesis.visibility != Visibility::Sealed || self.state.revealing;
        let after = self.genesis.absence.take_over_after().filter(|_| plays);
        let absent = self.state.seats.get(seat.index()).map(|state| state.absent_turns);
        after.zip(absent).is_some_and(|(after, absent)| after <= absent)
    }

    /// The place of each seat in the block that closes the open turn; `None` where its roll mixes them.
    pub fn places(&self) -> Option<Vec<usize>> {
        match self.genesis.randomness {
            Randomness::None => Some(self.seat_order(Drawn::Nothing)),
            Randomness::CommitReveal { .. } => None,
        }
    }

    /// The place of each seat in the next block. It follows from the block that opened the turn, or its second half:
    /// of the blocks after that one the server could make as many as it likes.
    pub(super) fn seat_order(&self, drawn: Drawn) -> Vec<usize> {
        let (opened_by, randomness) = (self.state.opened_by(), drawn.order(&self.genesis.randomness));
        let rank =
            |seat: &Seat| hash(Context::Order, &[opened_by.as_bytes(), randomness.as_bytes(), &[seat.get()]]);
        let mut seats: Vec<Seat> = Seat::first(self.genesis.seat_count()).collect();
        seats.sort_by_cached_key(rank);
        let mut places = vec![0; seats.len()];
        for (place, seat) in seats.into_iter().enumerate() {
            places[seat.index()] = place;
        }
        places
    }
}
