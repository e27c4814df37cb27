//! Which seat a session plays for: its own, one that its holder has lent, or one that was open.

use cadastre_protocol::{
    Chain, ClientMessage, Delegation, EnterAs, Epoch, Failure, PublicKey, RandomnessMode, Seat,
    SignedDelegation, TransactionBody,
};

use super::{Credential, Event, Session};
use crate::draft::Draft;

/// A seat that its holder lets another identity play for.
#[derive(Debug)]
pub(super) struct Loan {
    delegation: Delegation,
    signed: SignedDelegation,
}

impl Session {
    /// Lends the seat of this identity, which the session may only watch: whoever has the key `to` for an identity can
    /// play for it with [`Credential::Loan`], until this identity acts again under a key of its own. What is signed
    /// for the seat meanwhile is charged to this identity.
    ///
    /// # Errors
    ///
    /// In the order of [`LendError`]'s variants; the first that applies.
    pub fn lend(&self, to: PublicKey) -> Result<SignedDelegation, LendError> {
        let follower = self.follower.as_ref().filter(|_| self.caught_up).ok_or(LendError::NoSeat)?;
        let chain = follower.chain();
        let seat = chain.seat_of(self.config.identity.public());
        let seat = seat.filter(|_| chain.next_turn().is_some()).ok_or(LendError::NoSeat)?;
        if chain.genesis().randomness.mode() == RandomnessMode::CommitReveal {
            return Err(LendError::HashChain);
        }
        let current = chain.next_of(seat).and_then(|next| next.epoch).ok_or(LendError::NoSeat)?;
        let mut pending = self.pending.iter().filter_map(|signed| signed.clone().read().ok());
        if pending.any(|read| read.get().epoch > current) {
            return Err(LendError::KeyPending);
        }
        let epoch = current.next().ok_or(LendError::NoSeat)?;
        Ok(self.delegate(chain, seat, epoch, to))
    }

    /// Does it play for a seat that is another's?
    pub const fn stands_in(&self) -> bool {
        self.loan.is_some()
    }

    /// Takes the first seat that is open in the running match, for a player who has none. Another one may be faster:
    /// then the next turn is another try.
    pub(super) fn take_open_seat(&mut self) {
        let is_player = self.config.enter_as == EnterAs::Player && self.caught_up && self.pending.is_empty();
        let has_none = self.seat.is_none() && self.loan.is_none();
        let Some(follower) = self.follower.as_ref().filter(|_| is_player && has_none) else { return };
        let chain = follower.chain();
        if chain.next_turn().is_none() || chain.seal_due().is_some() {
            return;
        }
        let Some(seat) = chain.open_seats().iter().next() else {
            if !std::mem::replace(&mut self.none_left, true) {
                self.events.push_back(Event::Failed(Failure::NotSeated));
            }
            return;
        };
        let session = self.session_key(chain.match_id(), Epoch::FIRST).public();
        let delegation = self.delegate(chain, seat, Epoch::FIRST, session);
        let identity = self.config.identity.public();
        let join = self.blank(seat, follower, TransactionBody::LateJoin { identity, delegation });
        let join = self.sign(&join);
        self.pending.push(join.clone());
        self.outbox.push_back(ClientMessage::Submit(join));
    }

    /// The delegation that puts the next key of this session in force.
    pub(super) fn delegation(&self, chain: &Chain, seat: Seat, epoch: Epoch) -> Option<SignedDelegation> {
        match &self.loan {
            None => {
                let session = self.session_key(chain.match_id(), epoch).public();
                Some(self.delegate(chain, seat, epoch, session))
            }
            Some(loan) => (loan.delegation.epoch == epoch).then(|| loan.signed.clone()),
        }
    }

    /// Sees which seat is the session's to play for: the one that was lent, as long as the loan is good, or the one
    /// that it has taken.
    pub(super) fn find_seat(&mut self) {
        let (Some(follower), true) = (&self.follower, self.caught_up) else { return };
        let chain = follower.chain();
        let seat = match (&self.loan, self.config.enter_as) {
            (Some(loan), _) => loan.is_good(chain).then_some(loan.delegation.seat),
            (None, EnterAs::Player) => chain.seat_of(self.config.identity.public()),
            (None, EnterAs::Spectator | EnterAs::Light) => None,
        };
        if self.seat != seat {
            self.seat = seat;
            self.pending.clear();
            self.refused = false;
            self.draft = Draft::default();
            self.events.push_back(Event::Seated { seat });
        }
    }
}

impl Loan {
    /// The one that is shown at the door.
    pub(super) fn of(credential: Option<&Credential>) -> Option<Self> {
        let Some(Credential::Loan(signed)) = credential else { return None };
        Some(Self { delegation: signed.read().ok()?, signed: signed.clone() })
    }

    /// Is it in force, or can it still come into force?
    fn is_good(&self, chain: &Chain) -> bool {
        let said = &self.delegation;
        let Some(next) = chain.next_of(said.seat) else { return false };
        let is_due = next.epoch.and_then(Epoch::next) == Some(said.epoch);
        said.match_id == chain.match_id() && (is_due || next.session == Some(said.session))
    }
}

/// Why a seat is not lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LendError {
    /// No match runs, or the session does not know yet how far it is, or the identity holds no seat in it.
    #[error("there is no seat to lend")]
    NoSeat,
    /// The seat has a hash chain, which is its holder's alone.
    #[error("a seat with a hash chain cannot be lent")]
    HashChain,
    /// This session has just put a key of its own in force, and no block says so yet: the loan would be void if that gets
    /// through, and the next one if it does not. It can lend when the turn is over.
    #[error("the key of this session is in no block yet")]
    KeyPending,
}
