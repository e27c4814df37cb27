//! The server: its rooms, the store and its signer, and the edge that stands before them. What `src/rooms.rs`,
//! `src/rooms/task.rs`, `src/store/writer.rs` and `src/edge/socket.rs` do with tasks and queues, in one thread.

mod asleep;
mod opening;
mod showing;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use cadastre::store::{Commit, SignError, Signer, Store, recover};
use cadastre_protocol::{
    BlockHash, Certificate, ChainSecret, ClientMessage, Digest, EnterAs, Failure, Following, GoodbyeReason,
    Height, KeyRole, MatchId, Millis, Pass, PublicKey, RoomName, SecretKey, ServerMessage, ServerProof,
    ShownPass, SignedCertificate,
};
use cadastre_rooms::{Event, GuestId, Host, Input, Output, Records, Room, Shown};
use tokio::sync::oneshot;

pub(crate) use self::asleep::SLEEP_MS;
use self::{asleep::Sleeper, showing::Watcher};
use super::{disk::MemoryDisk, random::Random};

/// Serial of the first block signer.
pub(crate) const FIRST_SERIAL: u32 = 2;

/// Blocks that a client is told one by one in any case.
const MISSED_MAX: u64 = 2;

/// Everything outside the network and the disk, from a start to a crash.
pub(crate) struct Server {
    store: Store,
    signer: Signer,
    serial: u32,
    rooms: BTreeMap<u64, OpenRoom>,
    names: BTreeMap<RoomName, u64>,
    matches: BTreeMap<MatchId, u64>,
    asleep: BTreeMap<RoomName, Sleeper>,
    /// Links that a room has let in, and the number of the room.
    inside: BTreeMap<u64, u64>,
    /// Links whose clients take snapshots and compressed messages.
    shortened: BTreeSet<u64>,
    /// Links of spectators who execute the match, with the last block that each was told; `true` while they are behind.
    followers: BTreeMap<u64, (Height, bool)>,
    /// What links are shown whose clients execute nothing.
    watching: BTreeMap<u64, Watcher>,
    /// Commits that the signer has not taken up, with the numbers of their rooms.
    waiting: VecDeque<(u64, Records)>,
    /// Commits that are on disk, and of which the room has not heard.
    written: VecDeque<(u64, Vec<ServerProof>)>,
    /// A write failed: nothing is accepted any more.
    has_failed: bool,
    /// Makes the match ids of each life other ones.
    random: Random,
    rooms_opened: u64,
    effects: Vec<Effect>,
    /// When it was fed last.
    now: Millis,
}

struct OpenRoom {
    name: RoomName,
    room: Room,
    wake: Option<Millis>,
    newest: Option<Arc<Shown>>,
    /// The match that was played before the one to come, and whether nobody left the lobby since.
    before: Option<(MatchId, bool)>,
    /// It may sleep, and that is looked at later.
    is_drowsy: bool,
}

/// Who says something to the server.
#[derive(Clone, Copy)]
pub(crate) struct Visitor {
    pub(crate) link: u64,
    pub(crate) identity: PublicKey,
    /// Name of the session.
    pub(crate) session: Digest,
}

/// What the server does to the world.
#[allow(clippy::large_enum_variant, reason = "only in tests")]
pub(crate) enum Effect {
    Send {
        link: u64,
        message: ServerMessage,
    },
    /// After all that was sent on it.
    Close {
        link: u64,
    },
    /// Something waits to be written.
    Commit,
    /// The rematch of a match begins; nobody left the lobby before it.
    Again {
        before: MatchId,
        match_id: MatchId,
        is_whole: bool,
    },
    /// A room may fall asleep, if that is still so after a while.
    Drowse {
        room: u64,
    },
    /// A room sleeps until somebody comes, or until then.
    Sleep {
        room: RoomName,
        until: Millis,
    },
    /// A room that slept goes on.
    Woken {
        is_alarm: bool,
    },
    /// A room wants to be woken.
    WakeAt {
        room: u64,
        at: Millis,
    },
}

impl Server {
    /// Starts the server on what the disk has: every match goes on that is not over.
    pub(crate) fn start(disk: &Arc<MemoryDisk>, serial: u32, seed: u64, now: Millis) -> Self {
        let store = store_on(disk);
        let mut server = Self {
            signer: Signer::new(store.clone(), signer_key(serial), serial),
            store,
            serial,
            rooms: BTreeMap::new(),
            names: BTreeMap::new(),
            matches: BTreeMap::new(),
            asleep: BTreeMap::new(),
            inside: BTreeMap::new(),
            shortened: BTreeSet::new(),
            followers: BTreeMap::new(),
            watching: BTreeMap::new(),
            waiting: VecDeque::new(),
            written: VecDeque::new(),
            has_failed: false,
            random: Random::seeded(seed),
            rooms_opened: 0,
            effects: Vec::new(),
            now,
        };
        let store = server.store.clone();
        for entry in store.matches() {
            let (match_id, record) = entry.unwrap();
            if !store.mark(match_id).unwrap().is_some_and(|mark| mark.sealed) {
                let name = record.room.clone();
                if server.sleeps_on(match_id, &record, now) {
                    continue;
                }
                let restored = recover(&store, match_id, record, now).unwrap();
                let room = Room::restore(name.clone(), server.host(), restored, now).unwrap();
                let number = server.open(name, room);
                server.matches.insert(match_id, number);
                server.carry_out(number);
            }
        }
        server
    }

    /// What there is to do since the last call.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    /// Rooms with a match or a lobby.
    pub(crate) fn has_room(&self, name: &RoomName) -> bool {
        self.names.contains_key(name) || self.asleep.contains_key(name)
    }

    pub(crate) fn receive(&mut self, now: Millis, visitor: Visitor, message: ClientMessage) {
        let Visitor { link, identity, session } = visitor;
        let guest = GuestId::new(link);
        if let ClientMessage::Enter { room, .. } = &message {
            self.wake_up(now, room, false);
        } else if let ClientMessage::Resume { match_id, .. } = &message {
            let name = self.asleep.iter().find(|(_, sleeper)| sleeper.match_id == *match_id);
            if let Some(name) = name.map(|(name, _)| name.clone()) {
                self.wake_up(now, &name, false);
            }
        }
        let shown = |pass: Option<Pass>| pass.map(|pass| Box::new(ShownPass { pass, session }));
        match message {
            ClientMessage::Create { .. } | ClientMessage::Enter { .. } if self.has_failed => {
                self.part_with(link, GoodbyeReason::Shutdown);
            }
            ClientMessage::Create { room, spec } => self.create((link, identity), room, spec),
            ClientMessage::Enter { room, enter_as, name, pass } => match self.names.get(&room) {
                Some(&room) => {
                    self.enter(
                        now,
                        link,
                        room,
                        Input::Enter { guest, identity, enter_as, name, shown: shown(pass) },
                    );
                }
                None => self.fail(link, Failure::NoSuchRoom),
            },
            ClientMessage::Resume { match_id, enter_as, height, block, pass } => {
                match self.matches.get(&match_id) {
                    Some(&room) => {
                        let known = self.store.is_known(match_id, height, block).unwrap();
                        self.enter(
                            now,
                            link,
                            room,
                            Input::Resume { guest, identity, enter_as, height, known, shown: shown(pass) },
                        );
                    }
                    None if enter_as == EnterAs::Light => self.fail(link, Failure::NoSuchMatch),
                    None => self.resume_from_store(link, match_id, height, block),
                }
            }
            ClientMessage::Ready { ready, chain } => {
                self.say(now, link, Input::Ready { guest, ready, chain });
            }
            ClientMessage::Submit(transaction) => self.say(now, link, Input::Submit { guest, transaction }),
            ClientMessage::Compare(request) => self.say(now, link, Input::Compare { guest, request }),
            ClientMessage::Watch(viewport) => self.look_at(link, viewport),
            ClientMessage::Follow { following: Following::Snapshot, .. } => drop(self.shortened.insert(link)),
            ClientMessage::Follow { following: Following::Blocks, .. } => drop(self.shortened.remove(&link)),
            ClientMessage::Say(talk) => self.say(now, link, Input::Say { guest, talk }),
            ClientMessage::Rematch => self.say(now, link, Input::Rematch { guest }),
            ClientMessage::Leave => self.lost(now, link),
            ClientMessage::Pong(_) => {}
            ClientMessage::Ping(number) => self.send(link, ServerMessage::Pong(number)),
        }
    }

    /// A connection is gone.
    pub(crate) fn lost(&mut self, now: Millis, link: u64) {
        self.watching.remove(&link);
        self.followers.remove(&link);
        if let Some(room) = self.leave(link) {
            self.feed(now, room, Input::Leave { guest: GuestId::new(link) });
        }
    }

    /// A client does not read as fast as its room speaks.
    pub(crate) fn drop_slow(&mut self, now: Millis, link: u64) {
        if self.inside.contains_key(&link) {
            self.lost(now, link);
            self.part_with(link, GoodbyeReason::TooSlow);
        }
    }

    pub(crate) fn wake(&mut self, now: Millis, room: u64, at: Millis) {
        let due = self.rooms.get_mut(&room).and_then(|open| open.wake.take_if(|wake| *wake == at));
        if due.is_some() {
            self.feed(now, room, Input::Timeout);
        }
    }

    /// The operator ends whatever is played.
    pub(crate) fn end_matches(&mut self, now: Millis) {
        for room in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.feed(now, room, Input::End);
        }
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Signs and writes the oldest `count` commits that wait as one group, to be answered later. When that fails,
    /// the server goes on as one that has no store; gives whether it does not fail.
    pub(crate) fn write(&mut self, now: Millis, count: usize) -> bool {
        let (rooms, group): (Vec<_>, Vec<_>) =
            self.waiting.drain(..count).map(|(room, records)| (room, commit_of(records))).unzip();
        match self.signer.write(&group) {
            Ok(proofs) => self.written.extend(rooms.into_iter().zip(proofs)),
            Err(error) => {
                assert!(matches!(error, SignError::Store(_)), "{error}");
                self.stand_still(now);
            }
        }
        !self.has_failed
    }

    /// The store answers the oldest commit that it has written.
    pub(crate) fn answer(&mut self, now: Millis) {
        self.let_followers_go_on(now);
        if let Some((room, proofs)) = self.written.pop_front() {
            self.feed(now, room, Input::Committed { proofs });
        }
    }

    /// Brings to disk what is under way, and tells everybody.
    pub(crate) fn shut_down(&mut self, now: Millis) {
        if !self.waiting.is_empty() {
            self.write(now, self.waiting.len());
        }
        if !self.has_failed {
            self.stand_still(now);
        }
    }

    /// Ends all rooms, after they have heard of what is on disk.
    fn stand_still(&mut self, now: Millis) {
        while !self.written.is_empty() {
            self.answer(now);
        }
        self.has_failed = true;
        self.waiting.clear();
        self.rooms.clear();
        self.names.clear();
        self.asleep.clear();
        self.matches.clear();
        self.dismiss_all(|_| true, GoodbyeReason::Shutdown);
    }

    fn dismiss_all(&mut self, is_concerned: impl Fn(u64) -> bool, reason: GoodbyeReason) {
        let links: Vec<_> =
            self.inside.iter().filter(|(_, room)| is_concerned(**room)).map(|(l, _)| *l).collect();
        links.into_iter().for_each(|link| self.part_with(link, reason));
    }

    fn resume_from_store(&mut self, link: u64, match_id: MatchId, after: Height, block: BlockHash) {
        let Some(mark) = self.store.mark(match_id).unwrap() else {
            return self.fail(link, Failure::NoSuchMatch);
        };
        if !mark.sealed {
            return self.part_with(link, GoodbyeReason::Shutdown);
        }
        if after > mark.height || !self.store.is_known(match_id, after, block).unwrap() {
            return self.fail(link, Failure::UnknownHead);
        }
        self.send_blocks(link, match_id, after, mark.height);
    }

    /// Says something to the room that the link is in.
    fn say(&mut self, now: Millis, link: u64, input: Input) {
        match self.inside.get(&link) {
            Some(&room) => self.feed(now, room, input),
            None => self.fail(link, Failure::WrongState),
        }
    }

    fn feed(&mut self, now: Millis, room: u64, input: Input) {
        self.now = now;
        if let Some(open) = self.rooms.get_mut(&room) {
            open.room.handle(now, input);
            self.carry_out(room);
        }
    }

    fn carry_out(&mut self, number: u64) {
        while let Some(output) = self.rooms.get_mut(&number).and_then(|open| open.room.poll()) {
            match output {
                Output::Commit(records) => {
                    self.waiting.push_back((number, records));
                    self.effects.push(Effect::Commit);
                }
                Output::Send { to, message } => self.queue(to.get(), message),
                Output::Broadcast { to, message } => {
                    to.into_iter().for_each(|guest| self.queue(guest.get(), message.clone()));
                }
                Output::FirstState { to, state } => {
                    for message in ServerMessage::chunks_of(state.to_vec()) {
                        to.iter().for_each(|guest| self.send(guest.get(), message.clone()));
                    }
                }
                Output::CatchUp { guest, after, to } => {
                    let match_id = self.rooms[&number].room.match_id().unwrap();
                    let after = self.shorten(number, guest.get(), (after, to)).unwrap_or(after);
                    self.send_blocks(guest.get(), match_id, after, to);
                    if let Some((told, _)) = self.followers.get_mut(&guest.get()) {
                        *told = to;
                    }
                }
                Output::Watch { guest, after } => {
                    let watcher = self.watching.entry(guest.get()).or_default();
                    (watcher.room, watcher.head, watcher.has_chunks) = (Some(number), after, false);
                    self.show(guest.get(), number);
                }
                Output::Show(shown) => {
                    let is_last = shown.block.read().unwrap().kind.seals();
                    if let Some(open) = self.rooms.get_mut(&number) {
                        open.newest = Some(shown);
                    }
                    let links = self.watching.iter().filter(|(_, watcher)| watcher.room == Some(number));
                    for link in links.map(|(link, _)| *link).collect::<Vec<_>>() {
                        // Some do not read as fast as the match goes on, but all to the end.
                        if !self.random.once_in(5) || is_last {
                            self.show(link, number);
                        }
                    }
                }
                Output::Refuse { guest, failure } => {
                    self.inside.remove(&guest.get());
                    self.fail(guest.get(), failure);
                }
                Output::Dismiss { guest, reason } => self.part_with(guest.get(), reason),
                Output::WakeAt(at) => {
                    if let Some(open) = self.rooms.get_mut(&number) {
                        open.wake = Some(at);
                    }
                    self.effects.push(Effect::WakeAt { room: number, at });
                }
                Output::Observed(event) => self.observe(number, &event),
            }
        }
        self.look_drowsy(number);
    }

    fn observe(&mut self, number: u64, event: &Event) {
        match event {
            Event::Started { match_id } => {
                self.matches.insert(*match_id, number);
                let before = self.rooms.get_mut(&number).and_then(|open| open.before.take());
                self.effects.extend(before.map(|(before, is_whole)| Effect::Again {
                    before,
                    match_id: *match_id,
                    is_whole,
                }));
            }
            Event::Rematch { match_id } => self.begin_again(number, *match_id),
            Event::Broken { .. } | Event::Double { .. } => {
                panic!("{event:?} in room {}", self.rooms[&number].name)
            }
            Event::TurnClosed { .. }
            | Event::Diverged { .. }
            | Event::Refused { .. }
            | Event::TakenBack { .. }
            | Event::Paused { .. }
            | Event::Grace { .. }
            | Event::Said
            | Event::NotSaid { .. }
            | Event::Ended { .. } => {}
        }
    }

    fn part_with(&mut self, link: u64, reason: GoodbyeReason) {
        self.leave(link);
        self.watching.remove(&link);
        self.followers.remove(&link);
        self.send(link, ServerMessage::Goodbye { reason, retry_after_ms: 500 });
        self.effects.push(Effect::Close { link });
    }

    fn fail(&mut self, link: u64, failure: Failure) {
        self.send(link, ServerMessage::Failed(failure));
    }

    fn send(&mut self, link: u64, message: ServerMessage) {
        self.effects.push(Effect::Send { link, message });
    }

    fn host(&mut self) -> Host {
        Host {
            root: root_key().public(),
            signer: certificate(KeyRole::Block, signer_key(self.serial).public(), self.serial),
            entropy: self.random.bytes(),
            deadline_ms: 1_000,
            spectators_max: 4,
            chain_secret: ChainSecret::new(&[77; 32]),
        }
    }
}

/// The store on a disk. What concerns the service as a whole is no part of the simulation.
pub(crate) fn store_on(disk: &Arc<MemoryDisk>) -> Store {
    Store::on(Arc::new(MemoryDisk::default()), disk.clone())
}

pub(crate) fn root_key() -> SecretKey {
    SecretKey::from_seed(&[100; 32])
}

pub(crate) fn certificate(role: KeyRole, key: PublicKey, serial: u32) -> SignedCertificate {
    let (valid_from, valid_to) = (Millis::new(0), Millis::new(u64::MAX));
    let certificate = Certificate { version: Certificate::VERSION, role, key, serial, valid_from, valid_to };
    SignedCertificate::issue(&root_key(), &certificate)
}

/// The block key of a serial.
fn signer_key(serial: u32) -> SecretKey {
    let mut seed = [101; 32];
    seed[..4].copy_from_slice(&serial.to_le_bytes());
    SecretKey::from_seed(&seed)
}

/// The proofs are what [`Signer::write`] gives.
fn commit_of(records: Records) -> Commit {
    let (done, _) = oneshot::channel();
    Commit { records, done }
}
