//! Who plays for which seat: whoever holds it, whoever takes one that is open, and whoever one is lent to.

use cadastre_protocol::{
    EnterAs, Failure, GoodbyeReason, Millis, Pass, PublicKey, Seat, ShownPass, Transaction, TransactionBody,
};

use super::{Phase, Room};
use crate::{
    input::{GuestId, Output},
    playing::Lent,
};

impl Room {
    /// The seat that `identity` holds.
    pub(super) fn seat_of(&self, identity: PublicKey) -> Option<Seat> {
        match &self.phase {
            Phase::Playing(playing) => playing.seat_of(identity),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => self.genesis()?.seat_of(identity),
        }
    }

    /// The seat that `identity` holds, or plays for at the moment.
    pub(super) fn seat_played_by(&self, identity: PublicKey) -> Option<Seat> {
        let lent = || match &self.phase {
            Phase::Playing(playing) => playing.lent_to(identity),
            Phase::Lobby(_) | Phase::Joining(_) | Phase::Broken => None,
        };
        self.seat_of(identity).or_else(lent)
    }

    pub(super) fn seat_of_guest(&self, guest: GuestId) -> Option<Seat> {
        self.seat_played_by(self.guests.player(guest)?)
    }

    /// Can `identity` hand in this transaction?
    pub(super) fn may_submit(&self, identity: PublicKey, tx: &Transaction) -> bool {
        if let TransactionBody::LateJoin { identity: newcomer, .. } = tx.body {
            let is_substitute =
                matches!(&self.phase, Phase::Playing(playing) if playing.is_substitute(identity));
            return newcomer == identity && !is_substitute;
        }
        let stands_in =
            matches!(&self.phase, Phase::Playing(playing) if playing.stands_in(identity, tx.seat));
        stands_in || self.seat_of(identity) == Some(tx.seat)
    }

    /// Does somebody have a seat of the match to play for, or is there one left for him?
    pub(super) fn may_play(&self, identity: PublicKey, lent: Option<Lent>) -> Result<(), Failure> {
        let Phase::Playing(playing) = &self.phase else {
            return self.seat_of(identity).map(|_| ()).ok_or(Failure::NotSeated);
        };
        let has_seat = |of| playing.seat_of(of).is_some() || playing.is_substitute(of);
        let coming = self.guests.players().filter(|(_, of)| *of != identity && !has_seat(*of)).count();
        let is_left = usize::try_from(playing.open_seats().len()).is_ok_and(|open| coming < open);
        let has_one = lent.is_some() || playing.seat_of(identity).is_some();
        if has_one || is_left { Ok(()) } else { Err(Failure::NotSeated) }
    }

    /// Parts with those who have come for an open seat and do not take it: others may want it.
    pub(super) fn part_with_idle(&mut self, now: Millis) {
        let Phase::Playing(playing) = &mut self.phase else { return };
        for identity in playing.idle(now) {
            self.send_away(identity, GoodbyeReason::Silent);
        }
    }

    /// The seat that somebody who comes shows the good loan of.
    pub(super) fn lent_by(
        &self,
        identity: PublicKey,
        enter_as: EnterAs,
        shown: Option<&ShownPass>,
    ) -> Option<Lent> {
        let pass = shown.map(|shown| &shown.pass).filter(|_| enter_as == EnterAs::Player);
        match (&self.phase, pass) {
            (Phase::Playing(playing), Some(Pass::Loan(loan))) => playing.lent_by(identity, loan),
            (_, _) => None,
        }
    }

    /// A player who was let in plays for this seat from now on, or for none that was lent. Another one whom its holder
    /// had lent it to has to go.
    pub(super) fn substitute(&mut self, lent: Option<Lent>, identity: PublicKey) {
        let Phase::Playing(playing) = &mut self.phase else { return };
        playing.end_loan(identity);
        let Some(before) = lent.and_then(|lent| playing.substitute(lent, identity)) else { return };
        self.send_away(before, GoodbyeReason::Replaced);
    }

    /// Parts with the substitutes of those who play again.
    pub(super) fn send_substitutes_home(&mut self) {
        while let Phase::Playing(playing) = &self.phase
            && let Some(identity) = playing.sent_home()
        {
            self.send_away(identity, GoodbyeReason::Replaced);
        }
    }

    /// Parts with a player who holds no seat.
    fn send_away(&mut self, identity: PublicKey, reason: GoodbyeReason) {
        if let Phase::Playing(playing) = &mut self.phase {
            playing.part_with(identity);
        }
        if let Some(guest) = self.guests.connection_of(identity) {
            self.dismiss(guest, reason);
        }
    }

    /// Parts with a connection.
    pub(super) fn dismiss(&mut self, guest: GuestId, reason: GoodbyeReason) {
        self.guests.remove(guest);
        if let Phase::Playing(playing) = &mut self.phase {
            playing.forget(guest);
        }
        self.outputs.push_back(Output::Dismiss { guest, reason });
    }
}
