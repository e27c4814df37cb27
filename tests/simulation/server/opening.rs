//! Rooms that open and close, and who is in them. What `src/rooms.rs` does.

use std::collections::BTreeSet;

use cadastre_protocol::{
    Door, EnterAs, Failure, GoodbyeReason, Height, MatchId, Millis, PublicKey, RoomName, RoomSpec,
    ServerMessage,
};
use cadastre_rooms::{GuestId, Input, Room};

use super::{OpenRoom, Server};

impl Server {
    /// The rooms of matches that are over and on disk are closed; few of those where somebody wants another one.
    pub(crate) fn close_idle(&mut self) {
        let spared = !self.random.once_in(6);
        let is_over = |open: &OpenRoom| open.room.is_over() && !(spared && open.room.is_wanted_again());
        let over: BTreeSet<_> =
            self.rooms.iter().filter(|(_, open)| is_over(open)).map(|(number, _)| *number).collect();
        for room in over {
            self.rooms.remove(&room);
            self.names.retain(|_, of| *of != room);
            self.matches.retain(|_, of| *of != room);
            self.dismiss_all(|of| of == room, GoodbyeReason::RoomClosed);
        }
    }

    pub(super) fn create(&mut self, (link, opener): (u64, PublicKey), name: RoomName, mut spec: RoomSpec) {
        if self.asleep.contains_key(&name) {
            return self.fail(link, Failure::RoomExists);
        }
        if let Some(&number) = self.names.get(&name) {
            let there = &self.rooms[&number].room;
            let ended = there.chain().is_some_and(|chain| chain.sealed().is_some());
            if !ended || there.is_wanted_again() {
                return self.fail(link, Failure::RoomExists);
            }
            self.matches.retain(|_, of| *of != number);
        }
        if matches!(spec.access.door, Door::ByInvitation { opener: named } if named != opener) {
            return self.fail(link, Failure::BadSpec);
        }
        let origin = match spec.fork {
            None => None,
            Some(point) => match cadastre::fork_origin(&self.store, &spec, point, opener, || true) {
                Ok((follows, origin)) => {
                    spec = follows;
                    Some(origin)
                }
                Err(failure) => return self.fail(link, failure),
            },
        };
        let room = match origin {
            None => Room::open(name.clone(), self.host(), spec),
            Some(origin) => Room::fork(name.clone(), self.host(), spec, origin),
        };
        let Some(room) = room else { return self.fail(link, Failure::BadSpec) };
        self.open(name.clone(), room);
        self.send(link, ServerMessage::Created { room: name });
    }

    pub(super) fn open(&mut self, name: RoomName, room: Room) -> u64 {
        self.rooms_opened += 1;
        self.names.insert(name.clone(), self.rooms_opened);
        self.rooms.insert(
            self.rooms_opened,
            OpenRoom { name, room, wake: None, newest: None, before: None, is_drowsy: false },
        );
        self.rooms_opened
    }

    pub(super) fn enter(&mut self, now: Millis, link: u64, room: u64, input: Input) {
        if let Input::Enter { enter_as, .. } | Input::Resume { enter_as, .. } = &input
            && *enter_as == EnterAs::Spectator
        {
            self.followers.insert(link, (Height::GENESIS, false));
        }
        assert!(self.inside.insert(link, room).is_none(), "a session enters once");
        self.feed(now, room, input);
    }

    /// A link is in its room no more; gives that.
    pub(super) fn leave(&mut self, link: u64) -> Option<u64> {
        let room = self.inside.remove(&link)?;
        if let Some((_, is_whole)) = self.rooms.get_mut(&room).and_then(|open| open.before.as_mut()) {
            *is_whole = false;
        }
        Some(room)
    }

    /// A room leaves the match that is over.
    pub(super) fn begin_again(&mut self, number: u64, match_id: MatchId) {
        self.matches.remove(&match_id);
        if let Some(open) = self.rooms.get_mut(&number) {
            (open.newest, open.before) = (None, Some((match_id, true)));
        }
        // Whoever was not told the end cannot be told it any more.
        let is_behind = |link: &u64| {
            self.inside.get(link) == Some(&number)
                && self.followers.get(link).is_some_and(|(_, behind)| *behind)
        };
        let behind: Vec<_> = self.followers.keys().copied().filter(is_behind).collect();
        for link in behind {
            self.part_with(link, GoodbyeReason::TooSlow);
            if let Some(open) = self.rooms.get_mut(&number) {
                open.room.handle(Millis::default(), Input::Leave { guest: GuestId::new(link) });
            }
        }
    }
}
