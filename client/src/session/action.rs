//! What a session signs and hands in for the open turn.

use cadastre_protocol::{
    Chain, ClientMessage, Delegation, Epoch, MatchId, Millis, Motion, NextTransaction, PublicKey,
    ReadTransaction, STANCES_PER_TURN_MAX, Seat, SecretKey, Seq, SignedDelegation, SignedTransaction,
    Transaction, TransactionBody, Turn, TxHash, Visibility,
};
use cadastre_simulations::Refusal;

use super::Session;
use crate::{draft::Draft, follower::Follower};

impl Session {
    /// Signs commands for the open turn and hands them in, in place of what was drafted. They are sent again by
    /// themselves after a lost connection, as the same bytes.
    ///
    /// # Errors
    ///
    /// In the order of [`SubmitError`]'s variants; the first that applies. Nothing was signed.
    pub fn submit(&mut self, commands: Vec<u8>) -> Result<TxHash, SubmitError> {
        let (turn, _) = self.asked().ok_or(SubmitError::NotPlaying)?;
        self.playing()?;
        let (Some(seat), Some(follower)) = (self.seat, &self.follower) else {
            return Err(SubmitError::NotPlaying);
        };
        follower.game().check(seat, &commands).map_err(SubmitError::Illegal)?;
        let chain = follower.chain();
        let body = match chain.genesis().visibility {
            Visibility::Held | Visibility::Open => TransactionBody::Turn(commands),
            Visibility::Sealed => self.commitments.hide(&self.config.identity, chain, seat, turn, commands),
        };
        self.act(body)
    }

    /// Gives up.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`].
    pub fn resign(&mut self) -> Result<TxHash, SubmitError> {
        self.playing()?;
        self.act(TransactionBody::Resign)
    }

    /// Proposes to go back to the state after `to_turn`, or consents if another seat has proposed the same. What was
    /// handed in for the open turn is void if all do; until then it can still be acted, which takes it back.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`], and [`SubmitError::NoTakeback`].
    pub fn propose_takeback(&mut self, to_turn: Turn) -> Result<TxHash, SubmitError> {
        let (_, follower) = self.at_table()?;
        let chain = follower.chain();
        let floor = chain.takeback_floor().filter(|_| !chain.is_revealing());
        if to_turn > chain.head().turn || floor.is_none_or(|floor| to_turn < floor) {
            return Err(SubmitError::NoTakeback);
        }
        self.want(TransactionBody::Takeback { to_turn })
    }

    /// Declines what others have proposed, and takes back an own proposal or consent.
    ///
    /// # Errors
    ///
    /// As [`Session::propose_takeback`].
    pub fn decline_takeback(&mut self) -> Result<TxHash, SubmitError> {
        let (_, follower) = self.at_table()?;
        let turn = follower.chain().head().turn;
        self.propose_takeback(turn)
    }

    /// Puts a motion to the others, or consents to it if another seat has put it. It stands in place of what this
    /// seat wanted before, takebacks too, until the turn is closed.
    ///
    /// # Errors
    ///
    /// As [`Session::submit`], and [`SubmitError::NoMotion`].
    pub fn propose(&mut self, motion: Motion) -> Result<TxHash, SubmitError> {
        let (seat, follower) = self.at_table()?;
        let chain = follower.chain();
        if chain.is_revealing() || !chain.can_be_moved(seat, motion) {
            return Err(SubmitError::NoMotion);
        }
        self.want(TransactionBody::Motion(motion))
    }

    /// Hands in what the seat wants the others to consent to.
    fn want(&mut self, body: TransactionBody) -> Result<TxHash, SubmitError> {
        if self.pending.iter().filter(|signed| is_stance(signed)).count() == STANCES_PER_TURN_MAX {
            return Err(SubmitError::AlreadySubmitted);
        }
        self.hand_in(body)
    }

    fn playing(&self) -> Result<(Seat, &Follower), SubmitError> {
        let at_table = self.at_table()?;
        if self.has_acted() { Err(SubmitError::AlreadySubmitted) } else { Ok(at_table) }
    }

    /// Was an action signed for the open turn?
    pub(super) fn has_acted(&self) -> bool {
        self.action().is_some()
    }

    /// The action that was signed for the open turn.
    pub(super) fn action(&self) -> Option<ReadTransaction> {
        let mut read = self.pending.iter().filter_map(|signed| signed.clone().read().ok());
        read.find(|read| {
            let body = &read.get().body;
            !body.is_stance() && !matches!(body, TransactionBody::Delegate(_))
        })
    }

    fn at_table(&self) -> Result<(Seat, &Follower), SubmitError> {
        match (self.seat, &self.follower) {
            (Some(seat), Some(follower))
                if self.caught_up && !follower.is_diverged() && follower.chain().next_turn().is_some() =>
            {
                Ok((seat, follower))
            }
            _ => Err(SubmitError::NotPlaying),
        }
    }

    /// Signs an action, and before it a delegation if another process of this identity made the last one:
    /// what that one may have signed for this turn is lost, and two transactions under one session key for one
    /// turn would look like cheating.
    fn act(&mut self, body: TransactionBody) -> Result<TxHash, SubmitError> {
        self.playing()?;
        let hash = self.hand_in(body)?;
        self.refused = false;
        self.draft = Draft::default();
        Ok(hash)
    }

    /// What the next transaction of the own seat goes on from: the chain, or what is pending.
    fn next(&self, seat: Seat, follower: &Follower) -> Option<NextTransaction> {
        let in_chain = follower.chain().next_of(seat)?;
        let Some(last) = self.pending.last() else { return Some(in_chain) };
        let last = last.clone().read().ok()?;
        let (prev_tx, tx) = (last.hash(), last.get());
        if prev_tx == in_chain.prev_tx {
            return Some(in_chain);
        }
        let session = self.session_key(tx.match_id, tx.epoch).public();
        let (epoch, session, seq) = (Some(tx.epoch), Some(session), tx.seq.next()?);
        Some(NextTransaction { epoch, session, seq, prev_tx, ..in_chain })
    }

    fn hand_in(&mut self, body: TransactionBody) -> Result<TxHash, SubmitError> {
        let (seat, follower) = self.at_table()?;
        let next = self.next(seat, follower).ok_or(SubmitError::NotPlaying)?;
        let in_force = next.epoch.ok_or(SubmitError::NotPlaying)?;
        let draft = Transaction {
            epoch: in_force,
            seq: next.seq,
            prev_tx: next.prev_tx,
            chain_element: self.commitments.element_for(&body, next.revealed),
            ..self.blank(seat, follower, body)
        };
        let signed = if next.session == Some(self.session_key(draft.match_id, in_force).public()) {
            vec![self.sign(&draft)]
        } else {
            let epoch = in_force.next().ok_or(SubmitError::NotPlaying)?;
            let delegation = self.delegation(follower.chain(), seat, epoch).ok_or(SubmitError::NotPlaying)?;
            let opening = self.sign(&Transaction {
                epoch,
                chain_element: None,
                body: TransactionBody::Delegate(delegation),
                ..draft.clone()
            });
            let seq = next.seq.next().ok_or(SubmitError::NotPlaying)?;
            let action = self.sign(&Transaction { epoch, seq, prev_tx: opening.hash(), ..draft });
            vec![opening, action]
        };
        let hash = signed.last().expect("an action was signed").hash();
        self.outbox.extend(signed.iter().cloned().map(ClientMessage::Submit));
        self.pending.extend(signed);
        Ok(hash)
    }

    /// A transaction on top of the own head; the first of its seat, unless more is said.
    pub(super) fn blank(&self, seat: Seat, follower: &Follower, body: TransactionBody) -> Transaction {
        let head = follower.chain().head();
        Transaction {
            version: Transaction::VERSION,
            match_id: follower.chain().match_id(),
            seat,
            epoch: Epoch::FIRST,
            seq: Seq::JOIN,
            prev_tx: follower.chain().match_id().as_tx(),
            turn: follower.chain().next_turn().unwrap_or(Turn::START),
            attempt: head.attempt,
            seen_height: head.height,
            seen_block: head.block,
            seen_state_root: follower.computed(),
            chain_element: None,
            body,
        }
    }

    /// Lets a session key speak for a seat of this identity.
    pub(super) fn delegate(
        &self,
        chain: &Chain,
        seat: Seat,
        epoch: Epoch,
        session: PublicKey,
    ) -> SignedDelegation {
        let (version, match_id) = (Delegation::VERSION, chain.match_id());
        let delegation = Delegation { version, match_id, seat, epoch, session, valid_to: None };
        SignedDelegation::sign(&self.config.identity, &delegation)
    }

    pub(super) fn sign(&self, transaction: &Transaction) -> SignedTransaction {
        SignedTransaction::sign(&self.session_key(transaction.match_id, transaction.epoch), transaction)
    }

    /// The key under which the session signs in this epoch. A seat is lent to an identity, so that the server knows
    /// by the connection who plays for it.
    pub(super) fn session_key(&self, match_id: MatchId, epoch: Epoch) -> SecretKey {
        match self.loan {
            None => self.config.process.session(match_id, epoch),
            Some(_) => self.config.identity.clone(),
        }
    }

    /// Does the action that was signed last stand in the chain? What the seat said after it that it wants need not.
    pub(super) fn is_in_chain(&self) -> bool {
        let next = self.follower.as_ref().zip(self.seat).and_then(|(it, seat)| it.chain().next_of(seat));
        let after = self.pending.iter().rev().take_while(|signed| is_stance(signed)).count();
        let mut since = self.pending.iter().rev().take(after + 1);
        next.is_some_and(|next| since.any(|signed| signed.hash() == next.prev_tx))
    }

    /// Shows the sealed commands, once all have committed to theirs.
    pub(super) fn reveal(&mut self) {
        let Ok((seat, follower)) = self.playing() else { return };
        if let Some(body) = self.commitments.reveal(follower.chain(), seat) {
            // What cannot be signed is not shown, and the seat is absent.
            let _ = self.act(body);
        }
    }

    /// The open turn and its deadline, if the match waits for the own commands and the server can be told.
    pub(super) fn asked(&self) -> Option<(Turn, Millis)> {
        self.open_turn().filter(|_| self.caught_up)
    }

    /// The open turn and its deadline, if the match waits for the own commands.
    pub(super) fn open_turn(&self) -> Option<(Turn, Millis)> {
        let chain = self.follower.as_ref().filter(|follower| !follower.is_diverged())?.chain();
        let moves = chain.seal_due().is_none() && !chain.is_revealing();
        let waited_for = chain.required().contains(self.seat?) && moves;
        chain.next_turn().zip(chain.deadline_of(self.seat?)).filter(|_| waited_for)
    }
}

/// Does it say what the seat wants, and is no action?
pub(super) fn is_stance(signed: &SignedTransaction) -> bool {
    signed.clone().read().is_ok_and(|read| read.get().body.is_stance())
}

/// Why commands were not handed in. The caller's fault, or bad luck with the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// No turn is open, or it does not wait for this session, or the session is not connected.
    #[error("no turn is open for this session")]
    NotPlaying,
    /// The open turn has commands of this session already.
    #[error("commands for this turn were handed in already")]
    AlreadySubmitted,
    /// The match has no takebacks, or none to that turn, or none at this moment.
    #[error("the match cannot go back to that turn now")]
    NoTakeback,
    /// The match has no such motion, or none at this moment.
    #[error("nobody can move that in this match now")]
    NoMotion,
    /// The rules do not allow it.
    #[error(transparent)]
    Illegal(Refusal),
}
