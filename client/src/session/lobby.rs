//! From the lobby to the match, and back to the lobby for another one.

use cadastre_protocol::{
    ChunkId, ClientMessage, DisplayName, EnterAs, Epoch, Lobby, Pass, PublicKey, RandomnessMode,
    ServerMessage, Transaction, TransactionBody, prove_password,
};

use super::{Credential, Event, Session, SessionError, SubmitError};
use crate::{
    agreement,
    commitments::OtherChain,
    draft::Draft,
    follower::Follower,
    light::{LightFollower, Viewport},
    witness::Witness,
};

impl Session {
    pub(super) fn enter(&mut self) {
        self.forget_match();
        self.outbox.push_back(ClientMessage::Enter {
            room: self.config.room.clone(),
            enter_as: self.config.enter_as,
            name: self.config.name.clone(),
            pass: self.pass(),
        });
    }

    /// Wants another match of the same kind in the same room. When all players of this one do, the lobby is there again,
    /// everybody a seat further, and the session is ready; what it knows of this match is gone then.
    ///
    /// # Errors
    ///
    /// [`SubmitError::NotPlaying`]: the session holds no seat, or the match is not over.
    pub fn rematch(&mut self) -> Result<(), SubmitError> {
        if self.seat.is_none() || !self.is_over() {
            return Err(SubmitError::NotPlaying);
        }
        self.wants_rematch = true;
        self.outbox.push_back(ClientMessage::Rematch);
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        self.follower.as_ref().is_some_and(|follower| follower.chain().sealed().is_some())
    }

    /// Is this the lobby of a rematch? Nobody gets there whose seat did not want one. Whoever executes nothing may have
    /// been shown no end.
    pub(super) fn is_again(&self, message: &ServerMessage) -> bool {
        let may_go_on = self.is_over() && (self.wants_rematch || self.seat.is_none());
        matches!(message, ServerMessage::Lobby(_)) && (may_go_on || self.is_light())
    }

    /// The match that was about to begin did not, or another one takes its place.
    pub(super) fn forget_match(&mut self) {
        if let Some(light) = self.light.take() {
            self.asked = light.into_asked();
        }
        self.awaited = None;
        self.wants_rematch = false;
        self.caught_up = false;
        self.follower = None;
        self.seat = None;
        self.pending.clear();
        self.refused = false;
        self.relayed = None;
        self.unseen.clear();
        self.draft = Draft::default();
    }

    /// What is shown at the door, on this connection.
    pub(super) fn pass(&self) -> Option<Pass> {
        match self.config.credential.as_ref()? {
            Credential::Invitation(invitation) => Some(Pass::Invitation(invitation.clone())),
            Credential::Loan(loan) => Some(Pass::Loan(loan.clone())),
            Credential::Password(_) => {
                let key = self.room_key.as_ref()?;
                Some(prove_password(key, self.session, &self.config.room))
            }
        }
    }

    pub(super) fn lobby(&mut self, lobby: Lobby) -> Result<(), SessionError> {
        let before = self.follower.as_ref().filter(|_| self.wants_rematch);
        if before.is_some_and(|before| !agreement::is_same_kind(&lobby.spec, before.chain().genesis())) {
            return Err(SessionError::OtherMatch);
        }
        // Back in the lobby: the match that was about to begin did not.
        self.forget_match();
        let me = self.config.identity.public();
        if lobby.seats.iter().any(|seat| seat.identity == me && !seat.ready) {
            let chain = match lobby.spec.randomness {
                RandomnessMode::None => None,
                RandomnessMode::CommitReveal => {
                    self.commitments.offer(&self.config.identity, lobby.spec.turns_max)
                }
            };
            self.outbox.push_back(ClientMessage::Ready { ready: true, chain });
        }
        self.agreed = Some(lobby.clone());
        self.events.push_back(Event::Lobby(lobby));
        Ok(())
    }

    /// The next chunks of the state that a fork begins with.
    pub(super) fn first_state(
        &mut self,
        chunks: Vec<(ChunkId, Vec<u8>)>,
        root: PublicKey,
    ) -> Result<(), SessionError> {
        let mut awaited = self.awaited.take().ok_or(SessionError::Unexpected)?;
        if !awaited.take(chunks) {
            return Err(SessionError::Unexpected);
        }
        if !awaited.is_complete() {
            self.awaited = Some(awaited);
            return Ok(());
        }
        let begun = awaited.begun;
        self.begin(awaited.begin(root).map_err(SessionError::Follow)?, begun)
    }

    pub(super) fn begin(
        &mut self,
        #[cfg_attr(not(feature = "faults"), allow(unused_mut, reason = "only faults change it"))]
        mut follower: Follower,
        begun: bool,
    ) -> Result<(), SessionError> {
        #[cfg(feature = "faults")]
        {
            follower.fault = self.fault;
        }
        self.pending.clear();
        self.witness = Witness::default();
        self.seat = match self.config.enter_as {
            EnterAs::Player => follower.chain().genesis().seat_of(self.config.identity.public()),
            EnterAs::Spectator | EnterAs::Light => None,
        };
        let may_join = self
            .commitments
            .begin(&self.config.identity, follower.chain().genesis(), self.seat, begun)
            .map_err(|OtherChain| SessionError::OtherChain)?;
        let leads_to = |lobby: &Lobby| agreement::leads_to(lobby, follower.chain().genesis());
        if !begun && self.seat.is_some() && !self.agreed.as_ref().is_some_and(leads_to) {
            return Err(SessionError::OtherMatch);
        }
        self.relayed = None;
        self.events.push_back(Event::Match { match_id: follower.chain().match_id(), seat: self.seat });
        if let (Some(seat), false, true) = (self.seat, begun, may_join) {
            let session = self.session_key(follower.chain().match_id(), Epoch::FIRST).public();
            let body = TransactionBody::Join(self.delegate(follower.chain(), seat, Epoch::FIRST, session));
            let chain_element = self.commitments.element_for(&body, 0);
            let join = self.sign(&Transaction { chain_element, ..self.blank(seat, &follower, body) });
            self.outbox.push_back(ClientMessage::Submit(join));
        }
        if !begun {
            self.caught_up = true;
        }
        self.follower = Some(follower);
        Ok(())
    }

    pub(super) fn begin_light(
        &mut self,
        genesis: &[u8],
        names: Vec<DisplayName>,
        root: PublicKey,
    ) -> Result<(), SessionError> {
        let mut light = LightFollower::begin(genesis, names, root).map_err(SessionError::Follow)?;
        self.events.push_back(Event::Match { match_id: light.head().match_id(), seat: None });
        let asked = std::mem::take(&mut self.asked);
        let was_asked = !asked.is_empty();
        light.asked_before(asked);
        self.light = Some(Box::new(light));
        if self.viewport != Viewport::All || was_asked {
            self.say_viewport();
        }
        Ok(())
    }
}
