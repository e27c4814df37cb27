//! Blocks, snapshots and states, as the server tells them: what is verified, healed, and held against it.

use cadastre_protocol::{
    BlockKind, ChunkId, ClientMessage, CompareAnswer, Digest, EnterAs, Evidence, Following, Height,
    JoinPoint, ProvenBlock, ProvenHeader,
};

use super::{Event, Session, SessionError};
use crate::{
    follower::{Compared, FollowError, Followed, Follower},
    heal::Desync,
    witness::Witness,
};

impl Session {
    pub(super) fn block(&mut self, block: &ProvenBlock) -> Result<(), SessionError> {
        if self.lost {
            return self.hold_against(block);
        }
        let follower =
            self.follower.as_mut().filter(|it| !it.is_joining()).ok_or(SessionError::Unexpected)?;
        if follower.is_full() {
            // The server is busy with what it has to send; what can be put right without it is.
            let before = follower.chain().history_peaks().to_vec();
            if let Some(healed) = follower.heal_alone() {
                self.healed(before, *healed);
                self.catch_up_with_held()?;
            }
        }
        let follower = self.follower.as_mut().ok_or(SessionError::Unexpected)?;
        let was_diverged = follower.is_diverged();
        let peaks = follower.chain().history_peaks().to_vec();
        match follower.take(block.clone()) {
            Ok(Some(followed)) => self.followed(peaks, block, followed),
            Ok(None) if was_diverged => {}
            Ok(None) => {
                self.outbox.extend(follower.compare().map(ClientMessage::Compare));
                // Whatever the server says of it, or does not say: it has signed this.
                self.witness.disputes(block);
                let evidence = follower.astray().and_then(|desync| self.witness.differs(follower, &desync));
                self.tell_evidence(evidence);
            }
            Err(error) => {
                let evidence = self.witness.refused(follower, block, &error);
                self.tell_evidence(evidence);
                return Err(SessionError::Follow(error));
            }
        }
        Ok(())
    }

    /// Begins to take the match up at a later block.
    pub(super) fn join(&mut self, point: JoinPoint) -> Result<(), SessionError> {
        // Whoever only watches may have been too slow for all blocks.
        let is_late = self.caught_up && self.config.enter_as == EnterAs::Player;
        if self.following == Following::Blocks || is_late || self.lost {
            return Err(SessionError::Unexpected);
        }
        let follower =
            self.follower.as_mut().filter(|it| !it.is_joining()).ok_or(SessionError::Unexpected)?;
        let block = point.block.clone();
        if let Err(error) = follower.join(point) {
            let evidence = self.witness.fork(follower, &block);
            self.tell_evidence(evidence);
            return Err(SessionError::Follow(error));
        }
        Ok(())
    }

    pub(super) fn join_chunks(&mut self, chunks: Vec<(ChunkId, Vec<u8>)>) -> Result<(), SessionError> {
        let follower = self.follower.as_mut().ok_or(SessionError::Unexpected)?;
        let Some(block) = follower.join_chunks(chunks).map_err(SessionError::Follow)? else { return Ok(()) };
        let head = *follower.chain().head();
        self.witness = Witness::joined(follower.chain(), block);
        // The turn for which it was signed is over.
        self.pending.clear();
        self.relayed = None;
        self.events.push_back(Event::Joined { head });
        self.renew_draft(false);
        Ok(())
    }

    /// Takes notice of a block that was followed; `peaks` are those of the chain before it.
    pub(super) fn followed(&mut self, peaks: Vec<Digest>, block: &ProvenBlock, followed: Followed) {
        let evidence =
            self.follower.as_ref().and_then(|follower| self.witness.followed(follower, peaks, block));
        self.tell_evidence(evidence);
        if followed.kind.closes_turn() {
            // Signed in the first half of a sealed turn and too late for it: something else now would look like
            // cheating.
            if followed.kind != BlockKind::Commit || self.is_in_chain() {
                self.pending.clear();
            }
            self.relayed = None;
        }
        if matches!(followed.kind, BlockKind::Reopen { .. }) && self.refused && self.caught_up {
            // What came too late may come in time now.
            self.refused = false;
            self.outbox.extend(self.pending.iter().cloned().map(ClientMessage::Submit));
        }
        let is_taken_back = matches!(followed.kind, BlockKind::Takeback { .. });
        self.events.extend(followed.mispredicted.map(Event::Mispredicted));
        self.events.push_back(Event::Block {
            head: followed.head,
            kind: followed.kind,
            voids: followed.voids,
            desynced: followed.desynced,
        });
        if let Some((reason, standings)) = self.follower.as_ref().and_then(Follower::result) {
            self.events.push_back(Event::Ended { reason, standings });
        }
        self.find_seat();
        self.renew_draft(is_taken_back);
        if self.follower.as_ref().is_some_and(Follower::has_held) {
            // Those come after it.
            return;
        }
        self.take_open_seat();
        self.reveal();
        self.announce_turn();
    }

    /// The server says something of its state, which differs from the own one.
    pub(super) fn compared(&mut self, answer: CompareAnswer) -> Result<(), SessionError> {
        let follower = self.follower.as_mut().ok_or(SessionError::Unexpected)?;
        let peaks = follower.chain().history_peaks().to_vec();
        match follower.compared(answer).map_err(SessionError::Follow)? {
            Compared::Ask(requests) => self.outbox.extend(requests.into_iter().map(ClientMessage::Compare)),
            Compared::Lost(desync, error) => {
                self.tell_desync(*desync);
                return Err(SessionError::Follow(error));
            }
            Compared::Healed(healed) => {
                self.healed(peaks, *healed);
                self.catch_up_with_held()?;
            }
        }
        Ok(())
    }

    /// Takes what was held back while the own state was put right.
    pub(super) fn catch_up_with_held(&mut self) -> Result<(), SessionError> {
        while let Some(block) = self.follower.as_mut().and_then(Follower::take_held) {
            self.block(&block)?;
        }
        self.see_unseen()
    }

    /// The own state was put right.
    pub(super) fn healed(&mut self, peaks: Vec<Digest>, (desync, followed): (Desync, Followed)) {
        let block = desync.block.clone();
        self.tell_desync(desync);
        self.followed(peaks, &block, followed);
    }

    pub(super) fn tell_desync(&mut self, desync: Desync) {
        self.events.push_back(Event::Desync(Box::new(desync)));
    }

    pub(super) fn tell_evidence(&mut self, evidence: Option<Evidence>) {
        self.events.extend(evidence.map(Box::new).map(Event::Evidence));
    }

    /// Holds a block of the server that does not know the own head against those that it signed before.
    pub(super) fn hold_against(&mut self, block: &ProvenBlock) -> Result<(), SessionError> {
        let follower = self.follower.as_ref().ok_or(SessionError::Unexpected)?;
        let header = ProvenHeader::of(block);
        let header = header.map_err(|error| SessionError::Follow(FollowError::Encoding(error)))?;
        match self.witness.fork(follower, &header) {
            None => Ok(()),
            Some(fork) => {
                self.tell_evidence(Some(fork));
                Err(SessionError::HistoryLost)
            }
        }
    }

    /// Asks the server that does not know the own head for all blocks that it has instead.
    pub(super) fn ask_for_everything(&mut self) {
        let Some(follower) = &self.follower else { return };
        let match_id = follower.chain().match_id();
        self.lost = true;
        if self.following != Following::Blocks {
            self.outbox.push_back(ClientMessage::Follow { following: Following::Blocks, packed: true });
        }
        self.outbox.push_back(ClientMessage::Resume {
            match_id,
            enter_as: self.config.enter_as,
            height: Height::GENESIS,
            block: match_id.as_block(),
            pass: self.pass(),
        });
    }

    /// The server has nothing that contradicts the own head, and does not know it either.
    pub(super) fn history_lost(&mut self) -> SessionError {
        let held = self.follower.as_ref().and_then(|follower| self.witness.held(follower));
        self.tell_evidence(held);
        SessionError::HistoryLost
    }

    pub(super) fn caught_up(&mut self, height: Height) -> Result<(), SessionError> {
        if self.lost {
            return Err(self.history_lost());
        }
        let follower = self.follower.as_ref().ok_or(SessionError::Unexpected)?;
        if follower.height() < height || follower.is_joining() {
            return Err(SessionError::Unexpected);
        }
        let is_diverged = follower.is_diverged();
        // The server tells the open turn again.
        self.relayed = None;
        self.unseen.clear();
        self.caught_up = true;
        self.events.push_back(Event::CaughtUp);
        if is_diverged {
            // What is pending is for the turn that the block under comparison closes.
            return Ok(());
        }
        self.find_seat();
        self.outbox.extend(self.pending.iter().cloned().map(ClientMessage::Submit));
        self.take_open_seat();
        self.outbox.extend(self.wants_rematch.then_some(ClientMessage::Rematch));
        self.reveal();
        self.announce_turn();
        Ok(())
    }
}
