//! Who plays for the seats of a running match: their holders, those who take an open one, and substitutes.

use std::collections::BTreeMap;

use cadastre_protocol::{DisplayName, Epoch, Millis, PublicKey, Seat, SeatSet, SignedDelegation, Turn};

use super::Playing;

/// Turns that somebody who has come for an open seat may let go by without taking it, if [`ARRIVAL_MS`] is over too.
/// As many as there are seats: of those who come together, perhaps only one gets a seat in each turn.
pub(crate) const ARRIVAL_TURNS: u32 = 8;

/// Time that somebody who has come for an open seat has at least to take it, in milliseconds.
pub(crate) const ARRIVAL_MS: u64 = 30_000;

/// Most of those who have come for an open seat whose names are kept.
const NAMES_MAX: usize = 64;

/// A seat that somebody else than its holder may play for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent {
    pub(crate) seat: Seat,
    /// The one that the loan opens.
    pub(crate) epoch: Epoch,
}

/// Those who have come for an open seat and hold none yet.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// How they are called, also those whose connection is lost.
    names: BTreeMap<PublicKey, DisplayName>,
    /// In which turn, and when, each of those who are there came.
    since: BTreeMap<PublicKey, (Turn, Millis)>,
}

impl Playing {
    /// The seat that `identity` holds, counting what was accepted for the open turn.
    pub(crate) fn seat_of(&self, identity: PublicKey) -> Option<Seat> {
        self.open.seat_of(&self.chain, identity)
    }

    /// The seats that are still to be taken.
    pub(crate) fn open_seats(&self) -> SeatSet {
        self.open.open_seats(&self.chain)
    }

    /// Those who have taken a seat are called by their names.
    pub(super) fn name_arrivals(&mut self) {
        let (chain, names) = (&self.chain, &mut self.arrivals.names);
        for (identity, name) in names.extract_if(.., |identity, _| chain.seat_of(*identity).is_some()) {
            if let Some(seat) = chain.seat_of(identity) {
                self.names[seat.index()] = name;
            }
        }
        if chain.open_seats().is_empty() {
            self.arrivals.names.clear();
        }
    }

    /// A player has come. One without a seat has some turns and some time to take an open one; another connection makes
    /// it no more.
    pub(crate) fn arrive(&mut self, identity: PublicKey, now: Millis) {
        if self.seat_of(identity).is_some() || self.is_substitute(identity) {
            self.arrivals.since.remove(&identity);
        } else {
            self.arrivals.since.entry(identity).or_insert((self.chain.head().turn, now));
        }
    }

    /// Somebody who may take an open seat is called so.
    pub(crate) fn welcome(&mut self, identity: PublicKey, name: DisplayName) {
        if self.chain.seat_of(identity).is_some() || self.is_substitute(identity) {
            return;
        }
        let Arrivals { names, since } = &mut self.arrivals;
        if names.len() == NAMES_MAX
            && let Some(gone) = names.keys().find(|identity| !since.contains_key(identity)).copied()
        {
            names.remove(&gone);
        }
        names.insert(identity, name);
    }

    /// Those who have come for an open seat, and have taken none in all the time that there was.
    pub(crate) fn idle(&self, now: Millis) -> Vec<PublicKey> {
        let head = self.chain.head().turn.get();
        let is_idle = |identity: &PublicKey, turn: Turn, since: Millis| {
            let had_time = head.saturating_sub(turn.get()) >= ARRIVAL_TURNS && now >= since.after(ARRIVAL_MS);
            had_time && self.seat_of(*identity).is_none()
        };
        let since = self.arrivals.since.iter().filter(|_| self.chain.sealed().is_none());
        since.filter(|(of, (turn, since))| is_idle(of, *turn, *since)).map(|(of, _)| *of).collect()
    }

    /// Is this the substitute of some seat?
    pub(crate) fn is_substitute(&self, identity: PublicKey) -> bool {
        self.substitutes.values().any(|(substitute, _)| *substitute == identity)
    }

    /// May `identity` hand in transactions for a seat that is another's? Whether they count, their signatures say.
    pub(crate) fn stands_in(&self, identity: PublicKey, seat: Seat) -> bool {
        self.substitutes.get(&seat).is_some_and(|(substitute, _)| *substitute == identity)
    }

    /// Whoever is gone has to show the loan of a seat again, and has come anew when he comes again.
    pub(crate) fn part_with(&mut self, identity: PublicKey) {
        self.arrivals.since.remove(&identity);
        self.end_loan(identity);
    }

    /// `identity` is the substitute of no seat any more.
    pub(crate) fn end_loan(&mut self, identity: PublicKey) {
        self.substitutes.retain(|_, (substitute, _)| *substitute != identity);
    }

    /// The seat that `identity` was lent, if the loan is not spent. Nobody plays for two.
    pub(crate) fn lent_by(&self, identity: PublicKey, loan: &SignedDelegation) -> Option<Lent> {
        let said = loan.read().ok()?;
        let is_other = |(of, (by, _)): (&Seat, &(PublicKey, Epoch))| *by == identity && *of != said.seat;
        let has_other = self.seat_of(identity).is_some() || self.substitutes.iter().any(is_other);
        let is_good = !has_other && self.open.is_lent(&self.chain, said.seat, identity, loan);
        is_good.then_some(Lent { seat: said.seat, epoch: said.epoch })
    }

    /// Makes `identity` the substitute of a seat that it was lent. Gives the one that the seat had before.
    pub(crate) fn substitute(&mut self, lent: Lent, identity: PublicKey) -> Option<PublicKey> {
        let before = self.substitutes.insert(lent.seat, (identity, lent.epoch));
        before.map(|(before, _)| before).filter(|before| *before != identity)
    }

    /// A substitute whose loan is spent, and who was told so: the holder has played again.
    pub(crate) fn sent_home(&self) -> Option<PublicKey> {
        let is_spent = |(seat, (identity, epoch)): (&Seat, &(PublicKey, Epoch))| {
            let Some(next) = self.chain.next_of(*seat) else { return true };
            next.epoch >= Some(*epoch) && (next.epoch, next.session) != (Some(*epoch), Some(*identity))
        };
        let is_told = self.committed == self.chain.head().height;
        let spent = self.substitutes.iter().find(|it| is_spent(*it)).filter(|_| is_told);
        spent.map(|(_, (identity, _))| *identity)
    }

    /// The seat that this key, lent to, plays for now.
    pub(crate) fn lent_to(&self, key: PublicKey) -> Option<Seat> {
        Seat::first(self.chain.genesis().seat_count()).find(|seat| self.open.session_of(*seat) == Some(key))
    }
}
