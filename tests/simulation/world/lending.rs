//! Seats for which somebody else plays for a while.

use cadastre_client::{Config, Credential};
use cadastre_protocol::{DisplayName, EnterAs, Failure};

use super::{Fate, World, client::process_key};

impl World {
    /// A player lends its seat to somebody who was never there, and goes: for good, or until it wants to play again.
    pub(super) fn lend(&mut self, client: usize) -> bool {
        let Config { room, enter_as, .. } = &self.clients[client].config;
        let (room, is_player) = (room.clone(), *enter_as == EnterAs::Player);
        let may_lend = self.clients[client].fate == Fate::Playing && !self.is_substitute(client);
        // Whoever only stood in is no player of a rematch.
        if !is_player || !may_lend || self.rooms[&room] > 1 {
            return false;
        }
        let identity = process_key(self.number());
        let Ok(loan) = self.clients[client].session.lend(identity.public()) else { return false };
        self.witness.disturb(self.now);
        self.witness.has_died = true;
        self.witness.lent.insert(*identity.public().as_bytes());
        self.clients[client].isolated_until = self.now.after(self.random.within(0..30_000));
        self.begin_anew(client);
        if self.random.once_in(2) {
            self.clients[client].fate = Fate::Replaced;
        }
        let name = DisplayName::new("substitute").unwrap();
        let (process, credential) = (process_key(0), Some(Credential::Loan(loan)));
        self.add(Config { identity, process, room, enter_as: EnterAs::Player, name, open: None, credential });
        true
    }

    /// Does it play for a seat that is another's?
    pub(super) fn is_substitute(&self, client: usize) -> bool {
        matches!(self.clients[client].config.credential, Some(Credential::Loan(_)))
    }

    /// Whoever lent the seat plays again, so that the loan is good for nothing.
    pub(super) fn is_sent_home(&self, client: usize, failure: &Failure) -> bool {
        let is_out = matches!(failure, Failure::NotSeated | Failure::NotInvited | Failure::WrongPassword);
        let Some(Credential::Loan(loan)) = &self.clients[client].config.credential else { return false };
        assert!(!is_out || self.witness.may_be_spent(&loan.read().unwrap()), "a good loan lets in");
        is_out
    }

    pub(super) fn send_home(&mut self, client: usize) {
        self.clients[client].fate = Fate::TurnedAway;
        if let Some(link) = self.clients[client].link.take() {
            self.sever(link);
        }
    }
}
