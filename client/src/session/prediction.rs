//! The open turn as far as it is known, and commands for it that are not signed yet.

use cadastre_protocol::{Chain, OpenTurn, Seat, TransactionBody, TxHash};
use cadastre_simulations::Game;

use super::{Event, Session, SubmitError};
use crate::{
    draft::UndraftCause,
    follower::Follower,
    prediction::{Guess, Predicted},
};

impl Session {
    /// The state after the last block. `None` before the match is known, and while the own state, being another
    /// one than a block's, is put right.
    pub fn verified(&self) -> Option<&Game> {
        self.follower.as_ref().filter(|follower| !follower.is_diverged()).map(Follower::game)
    }

    /// The verified state with the orders of the open turn carried out that are known: the own ones, drafted or
    /// handed in, and in a match with open moves what others do. They stand in the order that the block will have;
    /// where its roll mixes that, the own ones come last. `None` when [`Session::verified`] is.
    ///
    /// Nothing is computed but when this is called, and then only what has changed since the last time. Where what
    /// it showed last does not come true, [`Event::Mispredicted`] says so.
    pub fn predicted(&mut self) -> Option<Predicted<'_>> {
        let guess = self.follower.as_ref().filter(|it| !it.is_diverged()).map(|it| self.guess(it))?;
        self.follower.as_mut().map(|follower| follower.predict(guess))
    }

    /// What is known to be ordered in the open turn.
    fn guess(&self, follower: &Follower) -> Guess {
        let chain = follower.chain();
        if chain.next_turn().is_none() {
            return Guess::default();
        }
        let mut orders = Vec::new();
        for entry in self.relayed.iter().flat_map(OpenTurn::entries) {
            let transaction = entry.transaction.get();
            if let TransactionBody::Turn(commands) = &transaction.body {
                orders.push((transaction.seat, commands.clone()));
            }
        }
        let own = self.seat.and_then(|seat| Some((seat, self.own_commands(chain, seat)?)));
        orders.extend(own);
        if let Some(places) = chain.places() {
            orders.sort_by_key(|(seat, _)| places[seat.index()]);
        }
        Guess { own: self.seat, orders }
    }

    /// The own commands for the open turn: handed in and not refused, else drafted.
    fn own_commands(&self, chain: &Chain, seat: Seat) -> Option<Vec<u8>> {
        let hidden = || self.commitments.hidden_commands(chain, seat).map(<[u8]>::to_vec);
        let Some(action) = self.action() else {
            let drafted = || self.open_turn().and_then(|_| self.draft.commands()).map(<[u8]>::to_vec);
            return if chain.is_revealing() { hidden() } else { drafted() };
        };
        match &action.get().body {
            _ if self.refused => None,
            TransactionBody::Turn(commands) => Some(commands.clone()),
            // It came too late for the first half, whoever has committed to the same meanwhile.
            TransactionBody::Commit(_) if chain.is_revealing() => None,
            TransactionBody::Commit(_) | TransactionBody::Reveal { .. } => hidden(),
            TransactionBody::Join(_)
            | TransactionBody::Delegate(_)
            | TransactionBody::Takeback { .. }
            | TransactionBody::Resign
            | TransactionBody::Motion(_)
            | TransactionBody::LateJoin { .. } => None,
        }
    }

    /// Adds commands to the draft for the open turn: [`Session::predicted`] shows them, and nothing is signed. A
    /// draft that is not handed in goes on as that of the next turn, as far as it is legal there; when turns are
    /// taken back, it is dropped. [`Event::Undrafted`] says what is not in it any more.
    ///
    /// # Errors
    ///
    /// In the order of [`SubmitError`]'s variants; the first that applies. A refusal counts the commands from the
    /// begin of the draft. The draft is as it was.
    pub fn draft(&mut self, commands: Vec<u8>) -> Result<(), SubmitError> {
        self.open_turn().ok_or(SubmitError::NotPlaying)?;
        let (Some(seat), Some(follower)) = (self.seat, &self.follower) else {
            return Err(SubmitError::NotPlaying);
        };
        if self.action().is_some() {
            return Err(SubmitError::AlreadySubmitted);
        }
        self.draft.add(follower.game(), seat, commands).map_err(SubmitError::Illegal)
    }

    /// Takes back what was added to the draft last, and gives it; `None` when the draft is empty.
    pub fn undo(&mut self) -> Option<Vec<u8>> {
        self.draft.undo()
    }

    /// Hands in the draft: an empty one is an empty list.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`]. The draft is as it was.
    pub fn submit_draft(&mut self) -> Result<TxHash, SubmitError> {
        self.submit(self.draft.commands().unwrap_or_default().to_vec())
    }

    /// Takes out of the draft what is not legal any more after a block; everything if turns were taken back.
    pub(super) fn renew_draft(&mut self, is_taken_back: bool) {
        if is_taken_back {
            let undrafted = |commands| Event::Undrafted { commands, cause: UndraftCause::TakenBack };
            self.events.extend(self.draft.clear().map(undrafted));
        }
        let (Some(seat), Some(follower)) = (self.seat, &self.follower) else { return };
        for (commands, refusal) in self.draft.renew(follower.game(), seat) {
            let cause = UndraftCause::Illegal(refusal);
            self.events.push_back(Event::Undrafted { commands, cause });
        }
    }
}
