//! Who plays for the seats of a running match: their holders, those who take an open one, and substitutes.

use cadastre_protocol::{DisplayName, PublicKey, Seat, SeatSet, SignedDelegation};

use super::Playing;

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
        let chain = &self.chain;
        for (identity, name) in self.arrivals.extract_if(.., |identity, _| chain.seat_of(*identity).is_some())
        {
            if let Some(seat) = chain.seat_of(identity) {
                self.names[seat.index()] = name;
            }
        }
    }

    /// Somebody without a seat has come, and is called so.
    pub(crate) fn welcome(&mut self, identity: PublicKey, name: DisplayName) {
        if self.seat_of(identity).is_none() && !self.is_substitute(identity) {
            self.arrivals.insert(identity, name);
        }
    }

    /// Is this the substitute of some seat?
    pub(crate) fn is_substitute(&self, identity: PublicKey) -> bool {
        self.substitutes.values().any(|substitute| *substitute == identity)
    }

    /// May `identity` hand in transactions for a seat that is another's? Whether they count, their signatures say.
    pub(crate) fn stands_in(&self, identity: PublicKey, seat: Seat) -> bool {
        self.substitutes.get(&seat) == Some(&identity)
    }

    /// Whoever is gone has to show the loan of a seat again, and to say his name.
    pub(crate) fn part_with(&mut self, identity: PublicKey) {
        self.arrivals.remove(&identity);
        self.substitutes.retain(|_, substitute| *substitute != identity);
    }

    /// The seat that `identity` was lent, if the loan is not spent. Nobody plays for two.
    pub(crate) fn lent_by(&self, identity: PublicKey, loan: &SignedDelegation) -> Option<Seat> {
        let seat = loan.read().ok()?.seat;
        let is_other = |(of, substitute): (&Seat, &PublicKey)| *substitute == identity && *of != seat;
        let has_other = self.seat_of(identity).is_some() || self.substitutes.iter().any(is_other);
        (!has_other && self.open.is_lent(&self.chain, seat, identity, loan)).then_some(seat)
    }

    /// Makes `identity` the substitute of a seat that it was lent. Gives the one that the seat had before.
    pub(crate) fn substitute(&mut self, seat: Seat, identity: PublicKey) -> Option<PublicKey> {
        self.substitutes.insert(seat, identity).filter(|before| *before != identity)
    }

    /// The seat that this key, lent to, plays for now.
    pub(crate) fn lent_to(&self, key: PublicKey) -> Option<Seat> {
        Seat::first(self.chain.genesis().seat_count()).find(|seat| self.open.session_of(*seat) == Some(key))
    }
}
