//! From the lobby to a match, and from a match that is over to the next one.

use cadastre_protocol::{
    Chain, ChainStart, Conversation, Failure, GoodbyeReason, Height, Millis, Seat, ServerMessage, TalkPlace,
    encode,
};
use cadastre_simulations::Game;

use super::{JOIN_MS_MAX, Phase, Room, genesis_message};
use crate::{
    input::{Event, GuestId, Output, Record},
    lobby::{Joining, Seats, has_joined},
    playing::Playing,
    talk::Talking,
};

impl Room {
    pub(super) fn ready(&mut self, now: Millis, guest: GuestId, ready: bool, chain: Option<ChainStart>) {
        let (Phase::Lobby(seats), Some(identity)) = (&mut self.phase, self.guests.player(guest)) else {
            // Too late, or not a player: whoever is late learns from the genesis that it has begun.
            return;
        };
        let changed = seats.set_ready(identity, ready, chain);
        if seats.all_ready() {
            self.freeze(now);
        } else if changed {
            self.announce_lobby();
        }
    }

    /// Freezes the lobby and asks everybody for the Join.
    pub(super) fn freeze(&mut self, now: Millis) {
        let Phase::Lobby(seats) = std::mem::replace(&mut self.phase, Phase::Broken) else { return };
        let begun = seats.genesis(&self.host, &self.name, now).and_then(|(genesis, hash_chain)| {
            let game = Game::begin(&genesis, self.first.as_deref()).ok()?;
            let chain = Chain::begin(genesis, game.executed()).ok()?;
            Some((chain, game, hash_chain))
        });
        let Some((chain, game, hash_chain)) = begun else {
            // A key that cannot be enrolled, which the handshake does not let pass, or an expired certificate.
            self.phase = Phase::Lobby(seats);
            return self.broadcast(ServerMessage::Failed(Failure::BadSpec));
        };
        let until = now.after(JOIN_MS_MAX);
        self.outputs.push_back(Output::WakeAt(until));
        self.broadcast(genesis_message(&chain, seats.names(), false));
        self.send_first_state(self.guests.all().collect());
        let open = chain.open_turn();
        self.phase =
            Phase::Joining(Box::new(Joining { seats: *seats, chain, game, hash_chain, open, until }));
    }

    /// Gives up waiting for Joins: back to the lobby, where nobody is ready any more.
    pub(super) fn unfreeze(&mut self) {
        let Phase::Joining(joining) = std::mem::replace(&mut self.phase, Phase::Broken) else { return };
        let Joining { mut seats, chain, open, .. } = *joining;
        seats.set_none_ready(|identity| has_joined(&chain, &open, identity));
        self.phase = Phase::Lobby(Box::new(seats));
        self.announce_lobby();
    }

    /// The time for the Joins is up: whoever has not joined loses the seat.
    pub(super) fn part_with_silent(&mut self) {
        let Phase::Joining(joining) = &mut self.phase else { return };
        let Joining { seats, chain, open, .. } = &mut **joining;
        for guest in self.guests.part_with(|identity| !has_joined(chain, open, identity)) {
            self.outputs.push_back(Output::Dismiss { guest, reason: GoodbyeReason::Silent });
        }
        seats.keep(|identity| has_joined(chain, open, identity));
        self.unfreeze();
    }

    /// Begins the match: all have joined.
    pub(super) fn begin(&mut self, now: Millis) {
        let Phase::Joining(joining) = std::mem::replace(&mut self.phase, Phase::Broken) else { return };
        let Joining { seats, chain, game, hash_chain, open, .. } = *joining;
        let (genesis, match_id) = (encode(chain.genesis()), chain.match_id());
        let names = seats.names();
        match Playing::begin(chain, game, hash_chain, open, names.clone(), now) {
            Ok((playing, start)) => {
                self.phase = Phase::Playing(Box::new(playing));
                self.talking = Talking::goes_on(Conversation::begin(TalkPlace::Match(match_id)));
                self.broadcast(self.talking.so_far());
                let (room, access, first) = (self.name.clone(), self.access, self.first.clone());
                let begin = Record::Begin { genesis, room, names, access, first };
                self.play(now, |_| Ok(vec![begin, start]));
            }
            Err(error) => self.outputs.push_back(Output::Observed(Event::Broken { error })),
        }
    }

    /// A player wants another match, now that one is over.
    pub(super) fn rematch(&mut self, guest: GuestId) {
        let Phase::Playing(playing) = &self.phase else { return };
        let Some(identity) = self.guests.player(guest) else { return };
        let Some(seat) = self.seat_of(identity) else { return };
        if playing.has_ended() && self.rematch.insert(identity) {
            self.broadcast(ServerMessage::Rematch { seat });
            self.begin_again();
        }
    }

    /// The lobby is there again, with everybody a seat further, once all players want it and nothing of the match that
    /// is over is under way to the disk.
    pub(super) fn begin_again(&mut self) {
        let Phase::Playing(playing) = &self.phase else { return };
        let (genesis, match_id) = (playing.chain.genesis(), playing.chain.match_id());
        let holders: Vec<_> =
            Seat::first(genesis.seat_count()).map(|seat| playing.chain.holder_of(seat)).collect();
        if !self.is_over() || !holders.iter().flatten().all(|holder| self.rematch.contains(holder)) {
            return;
        }
        let again = Seats::again(genesis, &holders, playing.names.clone(), self.access);
        self.rematch.clear();
        let Some(seats) = again else { return self.broadcast(ServerMessage::Failed(Failure::BadSpec)) };
        // Whoever only played for another one, or came for a seat and took none, is no player of the next match.
        for guest in self.guests.part_with(|identity| !seats.is_seated(identity)) {
            self.outputs.push_back(Output::Dismiss { guest, reason: GoodbyeReason::RoomClosed });
        }
        self.phase = Phase::Lobby(Box::new(seats));
        self.talking = Talking::in_lobby(&self.host, &self.name, Some(match_id));
        self.outputs.push_back(Output::Observed(Event::Rematch { match_id }));
        // Before the Lobby, after which nothing of the match that is over may be shown.
        let light = self.guests.light();
        self.outputs.extend(light.map(|guest| Output::Watch { guest, after: Height::GENESIS }));
        self.announce_lobby();
        self.broadcast(self.talking.so_far());
    }

    pub(super) fn announce_lobby(&mut self) {
        if let Phase::Lobby(seats) = &self.phase {
            let lobby = ServerMessage::Lobby(seats.lobby(&self.name));
            self.broadcast(lobby);
        }
    }
}
