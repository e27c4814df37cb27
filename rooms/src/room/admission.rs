//! Who comes in, as what, and what they are told then.

use cadastre_protocol::{
    DisplayName, EnterAs, Failure, GoodbyeReason, Height, Millis, Pass, PublicKey, ServerMessage, ShownPass,
    SpectatorPolicy, Visit,
};

use super::{Phase, Room, genesis_message};
use crate::{
    input::{GuestId, Output},
    playing::Lent,
};

impl Room {
    /// May somebody come in? A seat is its holder's, whatever he shows, and as good as
    /// his for whoever it is lent to.
    pub(super) fn open_door(
        &self,
        now: Millis,
        (identity, enter_as): (PublicKey, EnterAs),
        lent: Option<Lent>,
        shown: Option<&ShownPass>,
    ) -> Result<(), Failure> {
        let is_seated = match &self.phase {
            Phase::Lobby(seats) => seats.is_seated(identity),
            Phase::Playing(playing) => playing.seat_of(identity).is_some() || lent.is_some(),
            Phase::Joining(_) | Phase::Broken => self.seat_of(identity).is_some(),
        };
        if is_seated && enter_as == EnterAs::Player {
            return Ok(());
        }
        let visit = Visit { service: self.host.root, room: &self.name, identity, enter_as, now };
        self.access.door.admit(&visit, shown)?;
        // Whoever comes to stand in wants no seat of his own.
        let shows_a_loan = shown.is_some_and(|shown| matches!(shown.pass, Pass::Loan(_)));
        if enter_as == EnterAs::Player && shows_a_loan { Err(Failure::NotSeated) } else { Ok(()) }
    }

    pub(super) fn enter(
        &mut self,
        guest: GuestId,
        (identity, enter_as): (PublicKey, EnterAs),
        lent: Option<Lent>,
        name: DisplayName,
    ) {
        let admitted = match (enter_as, &mut self.phase) {
            (_, Phase::Broken) => {
                let reason = GoodbyeReason::RoomClosed;
                return self.outputs.push_back(Output::Dismiss { guest, reason });
            }
            (EnterAs::Spectator | EnterAs::Light, _) => self.may_watch(),
            (EnterAs::Player, Phase::Lobby(seats)) => {
                seats.sit(identity, name.clone()).map(|_| ()).ok_or(Failure::RoomFull)
            }
            (EnterAs::Player, Phase::Joining(_) | Phase::Playing(_)) => self.may_play(identity, lent),
        };
        if let Err(failure) = admitted {
            return self.outputs.push_back(Output::Refuse { guest, failure });
        }
        self.admit(guest, (identity, enter_as), lent);
        if let (EnterAs::Player, Phase::Playing(playing)) = (enter_as, &mut self.phase) {
            playing.welcome(identity, name);
        }
        self.greet(guest);
        self.show_from(guest, Height::GENESIS);
    }

    /// Tells a guest who has come what there is so far.
    pub(super) fn greet(&mut self, guest: GuestId) {
        match &self.phase {
            // Whoever only looks on changes nothing for the others.
            Phase::Lobby(seats) if self.guests.player(guest).is_none() => {
                let lobby = ServerMessage::Lobby(seats.lobby(&self.name));
                self.send(guest, lobby);
            }
            Phase::Lobby(_) => self.announce_lobby(),
            Phase::Joining(joining) => {
                let lobby = ServerMessage::Lobby(joining.seats.lobby(&self.name));
                let genesis = genesis_message(&joining.chain, joining.seats.names(), false);
                self.send(guest, lobby);
                self.send(guest, genesis);
                self.send_first_state(vec![guest]);
            }
            Phase::Playing(playing) => {
                let message = genesis_message(&playing.chain, playing.names.clone(), true);
                self.send(guest, message);
                self.send_first_state(vec![guest]);
                self.catch_up(guest, Height::GENESIS);
            }
            Phase::Broken => {}
        }
        self.tell_talk(guest);
    }

    /// Tells a guest what was said. Whoever sees the match with a delay hears it when the match is over: it may be of
    /// what is withheld.
    pub(super) fn tell_talk(&mut self, guest: GuestId) {
        if self.guests.player(guest).is_some() || !self.is_withholding() {
            self.send(guest, self.talking.so_far());
        }
    }

    pub(super) fn resume(
        &mut self,
        guest: GuestId,
        (identity, enter_as): (PublicKey, EnterAs),
        lent: Option<Lent>,
        (height, known): (Height, bool),
    ) {
        let (known_to_it, is_by_time) = match &self.phase {
            Phase::Playing(playing) => {
                let spectators = playing.chain.genesis().spectators;
                (playing.known_to(enter_as), matches!(spectators, SpectatorPolicy::Later { .. }))
            }
            Phase::Broken => {
                let reason = GoodbyeReason::RoomClosed;
                return self.outputs.push_back(Output::Dismiss { guest, reason });
            }
            // A lobby frozen again has another match id: the one asked for is gone.
            Phase::Lobby(_) | Phase::Joining(_) => {
                let failure = Failure::NoSuchMatch;
                return self.outputs.push_back(Output::Refuse { guest, failure });
            }
        };
        let admitted = match enter_as {
            EnterAs::Player => self.may_play(identity, lent),
            EnterAs::Spectator | EnterAs::Light => self.may_watch(),
        };
        if admitted.is_ok() && known && height > known_to_it && is_by_time {
            // It may have been told of it before a restart that has set the clock back: it is no stranger, and comes back
            // until the block is old enough again.
            let reason = GoodbyeReason::RoomClosed;
            return self.outputs.push_back(Output::Dismiss { guest, reason });
        }
        let admitted =
            admitted.and(if known && height <= known_to_it { Ok(()) } else { Err(Failure::UnknownHead) });
        if let Err(failure) = admitted {
            return self.outputs.push_back(Output::Refuse { guest, failure });
        }
        self.admit(guest, (identity, enter_as), lent);
        self.catch_up(guest, height);
        self.tell_talk(guest);
        self.show_from(guest, height);
    }

    pub(super) fn show_from(&mut self, guest: GuestId, after: Height) {
        if self.guests.is_light(guest) {
            self.outputs.push_back(Output::Watch { guest, after });
        }
    }

    /// Puts a connection on the list, and the one that the same player had before off it.
    pub(super) fn admit(
        &mut self,
        guest: GuestId,
        (identity, enter_as): (PublicKey, EnterAs),
        lent: Option<Lent>,
    ) {
        if enter_as == EnterAs::Player {
            self.substitute(lent, identity);
        }
        if let Some(old) = self.guests.connection_of(identity).filter(|_| enter_as == EnterAs::Player) {
            // The new one may know nothing of what this one wanted.
            self.rematch.remove(&identity);
            self.dismiss(old, GoodbyeReason::Replaced);
        }
        self.guests.insert(guest, enter_as, identity);
        if let (EnterAs::Player, Phase::Playing(playing)) = (enter_as, &mut self.phase) {
            playing.arrive(identity, self.latest);
        }
    }

    pub(super) fn catch_up(&mut self, guest: GuestId, after: Height) {
        let Phase::Playing(playing) = &self.phase else { return };
        if self.guests.is_light(guest) {
            return;
        }
        let is_player = self.guests.player(guest).is_some();
        let to = playing.known_to(if is_player { EnterAs::Player } else { EnterAs::Spectator });
        self.outputs.push_back(Output::CatchUp { guest, after, to });
        if !is_player && playing.curtain.is_drawn() {
            return;
        }
        let news = playing.news_for(self.seat_of_guest(guest)).into_iter();
        self.outputs.extend(news.map(|message| Output::Send { to: guest, message }));
    }

    pub(super) fn go_on(&mut self, guest: GuestId, after: Height) {
        if self.guests.get(guest).is_some() {
            self.catch_up(guest, after);
            self.tell_talk(guest);
        }
    }

    /// What a fork begins with, to those who have just got its genesis and execute it.
    pub(super) fn send_first_state(&mut self, mut to: Vec<GuestId>) {
        to.retain(|guest| !self.guests.is_light(*guest));
        if let Some(state) = self.first.clone().filter(|_| !to.is_empty()) {
            self.outputs.push_back(Output::FirstState { to, state });
        }
    }

    pub(super) fn may_watch(&self) -> Result<(), Failure> {
        let allowed = match &self.phase {
            Phase::Lobby(seats) => Some(seats.spec().spectators),
            Phase::Joining(_) | Phase::Playing(_) | Phase::Broken => {
                self.genesis().map(|genesis| genesis.spectators)
            }
        };
        let allowed = allowed.is_some_and(|spectators| spectators != SpectatorPolicy::Forbidden);
        if allowed && self.guests.watching_len() < self.host.spectators_max {
            Ok(())
        } else {
            Err(Failure::NoSpectators)
        }
    }
}
