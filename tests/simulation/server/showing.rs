//! What is told to those who watch, and to those who come late. What `src/rooms/gallery.rs`, `src/rooms/outbox.rs` and
//! `src/rooms/shortcut.rs` do.

use cadastre::store::Store;
use cadastre_protocol::{
    BlockKind, ChunkId, Digest, Genesis, Height, JoinPoint, MatchId, Millis, ProvenHeader, ServerMessage,
    SpectatorPolicy, decode_exact, encode, pack,
};
use cadastre_rooms::{GuestId, Input};

use super::{MISSED_MAX, Server};

/// Somebody who is shown a match.
#[derive(Default)]
pub(super) struct Watcher {
    pub(super) room: Option<u64>,
    pub(super) viewport: Option<Vec<ChunkId>>,
    pub(super) head: Height,
    pub(super) has_chunks: bool,
}

impl Server {
    /// Queues what a room says to a link. Some spectators are too slow for it: of what can be told again they are told
    /// nothing then, until they ask.
    pub(super) fn queue(&mut self, link: u64, message: ServerMessage) {
        // Whoever was parted with is told nothing more.
        if !self.inside.contains_key(&link) {
            return;
        }
        let is_block = matches!(message, ServerMessage::Block(_));
        let can_wait = is_block
            || matches!(
                message,
                ServerMessage::Said(_)
                    | ServerMessage::Relay(_)
                    | ServerMessage::Takeback { .. }
                    | ServerMessage::Motion { .. }
            );
        if let Some((told, is_behind)) = self.followers.get_mut(&link) {
            *is_behind |= is_block && self.random.once_in(7);
            if can_wait && *is_behind {
                return;
            }
            if is_block {
                *told = told.next().unwrap();
            } else if matches!(message, ServerMessage::Genesis { .. }) {
                *told = Height::GENESIS;
            }
        }
        if let ServerMessage::Block(block) = &message {
            let header = ProvenHeader::of(block).unwrap().read().unwrap();
            self.check_delay(link, header.match_id, header.height);
        }
        self.send(link, message);
    }

    /// Spectators who were too slow ask for what they missed.
    pub(super) fn let_followers_go_on(&mut self, now: Millis) {
        let behind: Vec<_> =
            self.followers.iter().filter(|(_, (_, is_behind))| *is_behind).map(|(link, _)| *link).collect();
        for link in behind {
            if !self.random.once_in(2) {
                continue;
            }
            let Some(&room) = self.inside.get(&link) else { continue };
            let (after, is_behind) = self.followers.get_mut(&link).unwrap();
            *is_behind = false;
            let (guest, after) = (GuestId::new(link), *after);
            self.feed(now, room, Input::GoOn { guest, after });
        }
    }

    /// Nobody who watches is told a block before as many turns were played after it as the genesis says.
    pub(super) fn check_delay(&self, link: u64, match_id: MatchId, height: Height) {
        if !self.followers.contains_key(&link) && !self.watching.contains_key(&link) {
            return;
        }
        let genesis: Genesis =
            decode_exact(&self.store.match_record(match_id).unwrap().unwrap().genesis).unwrap();
        let mark = self.store.mark(match_id).unwrap().unwrap();
        let header = |height| {
            let block = self.store.block(match_id, Height::new(height)).unwrap();
            ProvenHeader::of(&block).unwrap().read().unwrap()
        };
        let is_old = match genesis.spectators {
            SpectatorPolicy::Allowed { delay_turns } => {
                let later = height.get() + 1..=mark.height.get();
                later.filter(|height| header(*height).kind == BlockKind::Turn).count()
                    >= usize::from(delay_turns)
            }
            SpectatorPolicy::Later { delay_s } => {
                // After a crash the machine's clock may be behind what is on disk; that of the room is not.
                let accepted = self.store.accepted(match_id).unwrap().into_iter().map(|a| a.received);
                let now = accepted.fold(self.now.max(header(mark.height.get()).server_time), Millis::max);
                header(height.get()).server_time.after(1_000 * u64::from(delay_s)) <= now
            }
            SpectatorPolicy::Forbidden => false,
        };
        assert!(
            mark.sealed || height <= Height::new(1) || is_old,
            "a spectator is told block {height} of {}",
            mark.height
        );
    }

    pub(super) fn send_blocks(&mut self, link: u64, match_id: MatchId, after: Height, to: Height) {
        if after < to {
            self.check_delay(link, match_id, to);
        }
        for height in after.get() + 1..=to.get() {
            let block = self.store.block(match_id, Height::new(height)).unwrap();
            self.send(link, ServerMessage::Block(block));
        }
        self.send(link, ServerMessage::CaughtUp { height: to });
    }

    /// A link watches something else from now on.
    pub(super) fn look_at(&mut self, link: u64, viewport: Option<Vec<ChunkId>>) {
        let watcher = self.watching.entry(link).or_default();
        if watcher.viewport == viewport {
            return;
        }
        (watcher.viewport, watcher.has_chunks) = (viewport, false);
        if let Some(room) = watcher.room {
            self.show(link, room);
        }
    }

    /// Sends a link what it watches of the newest block.
    pub(super) fn show(&mut self, link: u64, room: u64) {
        let newest = self.rooms.get(&room).and_then(|open| open.newest.clone());
        let Some(shown) = newest else { return };
        self.check_delay(link, shown.block.read().unwrap().match_id, shown.height);
        let Some(watcher) = self.watching.get_mut(&link) else { return };
        let (viewport, head) = (watcher.viewport.as_deref(), watcher.head);
        let messages = if watcher.has_chunks && head.next() == Some(shown.height) {
            shown.changes(viewport)
        } else {
            let is_new = head == Height::GENESIS || head == shown.height;
            let match_id = shown.block.read().unwrap().match_id;
            let place = if is_new { Vec::new() } else { place_of(&self.store, match_id, head, shown.height) };
            shown.whole(viewport, place)
        };
        (watcher.head, watcher.has_chunks) = (shown.height, true);
        messages.into_iter().for_each(|message| self.send(link, packed(message)));
    }

    /// Sends a snapshot to a link that takes one and has missed much. Gives the height of its block.
    pub(super) fn shorten(&mut self, room: u64, link: u64, (after, to): (Height, Height)) -> Option<Height> {
        let room = &self.rooms.get(&room).filter(|_| self.shortened.contains(&link))?.room;
        let (state, chunks) = room.snapshot()?;
        let height = state.head().height;
        if height.get() <= after.get() + MISSED_MAX || height > to {
            return None;
        }
        let match_id = room.match_id()?;
        self.check_delay(link, match_id, height);
        let proven = |height| ProvenHeader::of(&self.store.block(match_id, height).unwrap()).unwrap();
        let place = place_of(&self.store, match_id, after, height);
        let point = JoinPoint { block: proven(height), state, place };
        self.send(link, packed(ServerMessage::Snapshot(Box::new(point))));
        ServerMessage::chunks_of(chunks).into_iter().for_each(|chunks| self.send(link, packed(chunks)));
        Some(height)
    }
}

/// Proof that the block at `own` stands in the chain of the one at `height`.
fn place_of(store: &Store, match_id: MatchId, own: Height, height: Height) -> Vec<Digest> {
    let name =
        |height| ProvenHeader::of(&store.block(match_id, Height::new(height)).unwrap()).unwrap().hash();
    JoinPoint::place_of(own, std::iter::once(match_id.as_block()).chain((1..height.get()).map(name)))
}

/// As it is sent to whoever takes compressed messages.
fn packed(message: ServerMessage) -> ServerMessage {
    pack(&encode(&message)).map_or(message, |bytes| decode_exact(&bytes).unwrap())
}
