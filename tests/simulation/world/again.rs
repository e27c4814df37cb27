//! Matches that are over, and others after them in the same room.

use cadastre_protocol::{EnterAs, MatchId, RoomName, SealReason};

use super::{Fate, Happening, World};

/// A match can begin with a Join that was sent so long ago, at most.
const JOINS_COUNT_MS: u64 = 40_000;

impl World {
    /// A client knows that its match is over. If another one is wanted in the room it waits for that, for a while.
    pub(super) fn end(&mut self, client: usize, reason: SealReason) {
        let entry = &mut self.clients[client];
        // Whoever was told of one end late may see that of the next match too.
        assert!(matches!(entry.fate, Fate::Playing | Fate::Ended), "whoever is gone sees no end");
        let match_id = entry.match_id().unwrap();
        assert_ne!(entry.ended.replace(match_id), Some(match_id), "a match ends once");
        self.witness.end(match_id, (entry.height(), entry.block()), reason);
        let (process, is_player) = (entry.process, entry.config.enter_as == EnterAs::Player);
        let room = entry.config.room.clone();
        if entry.fate == Fate::Ended {
            return;
        }
        if self.matches_of(&room).len() >= self.rooms[&room] {
            self.clients[client].fate = Fate::Ended;
            return;
        }
        // Some have had enough.
        if is_player && !self.random.once_in(12) {
            self.in_time(0..3_000, Happening::WantAgain { client, process });
        }
        self.in_time(25_000..40_000, Happening::GiveUp { client, process });
    }

    /// A client is in a lobby. It does not wait for ever for others to come back.
    pub(super) fn meet(&mut self, client: usize) {
        if !self.matches_of(&self.clients[client].config.room).is_empty() {
            let process = self.clients[client].process;
            if self.faults.glances > 0 && self.clients[client].config.enter_as == EnterAs::Light {
                self.in_time(0..800, Happening::Look { client, process });
            }
            self.in_time(25_000..40_000, Happening::GiveUp { client, process });
        }
    }

    pub(super) fn want_again(&mut self, client: usize, process: u64) {
        if self.is_playing(client, process) && self.clients[client].is_idle() {
            // It may be in the lobby of the next one already.
            let _ = self.clients[client].session.rematch();
            self.attend_to(client);
        }
    }

    /// A client gives up, if no match waits for it, nor can begin any more with what it said.
    pub(super) fn give_up(&mut self, client: usize, process: u64) {
        if !self.is_playing(client, process) {
            return;
        }
        let entry = &self.clients[client];
        let has_joined = entry.joined.is_some_and(|at| self.now < at.after(JOINS_COUNT_MS));
        let runs = self.running_in(&entry.config.room).is_some();
        let is_awaited = entry.config.enter_as == EnterAs::Player && (has_joined || runs);
        if !entry.is_idle() && entry.height().get() > 0 {
            // It has a match to play.
        } else if is_awaited || !entry.is_idle() {
            self.in_time(5_000..10_000, Happening::GiveUp { client, process });
        } else {
            self.clients[client].fate = Fate::Ended;
            if let Some(link) = self.clients[client].link.take() {
                self.sever(link);
            }
        }
    }

    /// The matches that were begun in a room.
    pub(super) fn matches_of(&self, room: &RoomName) -> Vec<MatchId> {
        let store = crate::server::store_on(&self.disk);
        let matches = store.matches().map(Result::unwrap);
        matches.filter(|(_, record)| record.room == *room).map(|(match_id, _)| match_id).collect()
    }
}
