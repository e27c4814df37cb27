//! Rooms that sleep: what `src/rooms/asleep.rs` does, and the room's task before.

use cadastre::store::{MatchRecord, recover};
use cadastre_protocol::{
    AbsencePolicy, Clock, Genesis, Head, Height, MatchId, Millis, ProvenHeader, RoomName, decode_exact,
};
use cadastre_rooms::Room;

use super::{Effect, Server};

/// After this time a room may sleep that nobody is in.
pub(crate) const SLEEP_MS: u64 = 60_000;

/// What is kept of a room that sleeps.
pub(super) struct Sleeper {
    pub(super) match_id: MatchId,
    until: Millis,
    /// What there was when it fell asleep, unless the server has stopped since.
    head: Option<Head>,
}

impl Server {
    /// Lets a match sleep on whose turn is open for long. Gives whether it does.
    pub(super) fn sleeps_on(&mut self, match_id: MatchId, record: &MatchRecord, now: Millis) -> bool {
        let genesis: Genesis = decode_exact(&record.genesis).unwrap();
        let height = self.store.mark(match_id).unwrap().map_or(Height::GENESIS, |mark| mark.height);
        if height == Height::GENESIS {
            return false;
        }
        let block = self.store.block(match_id, height).unwrap();
        let header = ProvenHeader::of(&block).unwrap().read().unwrap();
        let turns = &genesis.turns;
        let is_plain =
            turns.clock == Clock::PerTurn && !matches!(genesis.absence, AbsencePolicy::Shrink { .. });
        let enough = (u64::from(turns.deadline_ms) / 2).max(SLEEP_MS);
        let until = header
            .deadline
            .filter(|until| is_plain && now.after(enough) <= *until && header.server_time <= now);
        if let Some(until) = until {
            self.sleep(record.room.clone(), Sleeper { match_id, until, head: None });
        }
        until.is_some()
    }

    /// A room that may sleep is looked at again later.
    pub(super) fn look_drowsy(&mut self, number: u64) {
        if let Some(open) = self.rooms.get_mut(&number)
            && open.room.sleeps_until().is_some()
            && !std::mem::replace(&mut open.is_drowsy, true)
        {
            self.effects.push(Effect::Drowse { room: number });
        }
    }

    /// Drops a room that nobody is in and that has nothing to do for long.
    pub(crate) fn fall_asleep(&mut self, now: Millis, number: u64) {
        let Some(open) = self.rooms.get_mut(&number) else { return };
        open.is_drowsy = false;
        let worth = now.after(SLEEP_MS);
        let Some(until) = open.room.sleeps_until().filter(|until| *until > worth) else { return };
        let Some(open) = self.rooms.remove(&number) else { return };
        let chain = open.room.chain().unwrap();
        let sleeper = Sleeper { match_id: chain.match_id(), until, head: Some(*chain.head()) };
        self.matches.remove(&sleeper.match_id);
        self.names.remove(&open.name);
        self.sleep(open.name, sleeper);
    }

    fn sleep(&mut self, room: RoomName, sleeper: Sleeper) {
        self.effects.push(Effect::Sleep { room: room.clone(), until: sleeper.until });
        self.asleep.insert(room, sleeper);
    }

    /// The turn of a room closes that sleeps.
    pub(crate) fn ring(&mut self, now: Millis, name: &RoomName, until: Millis) {
        if self.asleep.get(name).is_some_and(|sleeper| sleeper.until == until) {
            self.wake_up(now, name, true);
        }
    }

    /// Takes up a match that sleeps, as it was: sleeping leaves no trace.
    pub(super) fn wake_up(&mut self, now: Millis, name: &RoomName, is_alarm: bool) {
        let Some(Sleeper { match_id, until, head }) = self.asleep.remove(name) else { return };
        let record = self.store.match_record(match_id).unwrap().unwrap();
        let restored = recover(&self.store, match_id, record, now).unwrap();
        let before = (*restored.chain.head(), self.waiting.len());
        let room = Room::wake(name.clone(), self.host(), restored, now).unwrap();
        let number = self.open(name.clone(), room);
        self.matches.insert(match_id, number);
        self.carry_out(number);
        if let Some(head) = head {
            assert_eq!(before.0, head, "what slept is what is woken");
            if now < until {
                assert_eq!(self.waiting.len(), before.1, "nothing is written when a room is woken");
                assert_eq!(
                    self.rooms[&number].room.sleeps_until(),
                    Some(until),
                    "its turn closes when it did"
                );
            }
        }
        self.effects.push(Effect::Woken { is_alarm });
    }
}
