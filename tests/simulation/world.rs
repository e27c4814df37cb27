//! Everything between the sessions and the rooms, in virtual time: one agenda, one random number generator.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use cadastre_client::{Cause, Config, Event, Fault, Follower, Received, Session, SubmitError};
use cadastre_protocol::{
    BlockHash, BlockKind, ClientMessage, DisplayName, EnterAs, Following, GoodbyeReason, Height, KeyRole,
    Millis, Motion, RoomName, RoomSpec, SealReason, SeatSet, SecretKey, ServerIdentity, ServerMessage,
    TalkRefusal, Text, Turn, TxHash,
};

use super::{
    disk::{DiskFault, MemoryDisk},
    link::{Arrived, Link},
    predictions::Model,
    random::Random,
    server::{self, Effect, FIRST_SERIAL, Server, certificate, root_key},
    witness::{Stored, Witness},
};

const START: Millis = Millis::new(1_795_000_000_000);

/// No match takes longer than this, whatever happens to it on the way.
const SPAN_MS_MAX: u64 = 60 * 60 * 1000;

/// Who proposes a takeback waits for an answer for so long at most, and then plays: for that its move has to reach the server.
const PROPOSAL_MS: u64 = 3_500;

/// What may go wrong, and how often while the matches are played.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Connections that are cut, with what is on the way.
    pub(crate) cuts: u32,
    /// Times in which nothing gets through to some of the clients.
    pub(crate) partitions: u32,
    /// Servers that die and come back with what their disk has.
    pub(crate) crashes: u32,
    /// Servers that are stopped in good order.
    pub(crate) stops: u32,
    /// Writes that fail.
    pub(crate) disk_faults: u32,
    /// Clients that the server drops because they do not read.
    pub(crate) slow: u32,
    /// Players' processes that die and come back with nothing but their key.
    pub(crate) deaths: u32,
    /// Players' processes that are started a second time.
    pub(crate) twins: u32,
    /// Turns in which a player does nothing.
    pub(crate) lapses: u32,
    /// Players who give up.
    pub(crate) resignations: u32,
    /// Clients in whose memory a tile changes.
    pub(crate) desyncs: u32,
    /// Times that a player proposes to take turns back, where that can be.
    pub(crate) proposals: u32,
    /// Pauses, ends and skips that players move.
    pub(crate) motions: u32,
    /// Times that somebody asks for the files of all matches.
    pub(crate) exports: u32,
    /// Times that the operator ends what is played.
    pub(crate) ends: u32,
}

/// Matches from the empty lobbies to the Seals.
pub(crate) struct World {
    now: Millis,
    random: Random,
    faults: Faults,
    agenda: BTreeMap<(Millis, u64), Happening>,
    /// Numbers happenings, links and processes.
    last_number: u64,
    disk: Arc<MemoryDisk>,
    identity: ServerIdentity,
    /// `None` while it is down.
    server: Option<Server>,
    incarnation: u64,
    serial: u32,
    /// How far the server's clock is ahead; another one after every crash.
    ahead_ms: u64,
    /// How long each frame is under way, unless that is left to chance.
    latency_ms: Option<u64>,
    links: BTreeMap<u64, Link>,
    clients: Vec<Client>,
    rooms: BTreeSet<RoomName>,
    witness: Witness,
    /// How long players saw nothing but predictions of what they had handed in, in milliseconds.
    waits: Vec<u64>,
}

enum Happening {
    ToServer { link: u64, frame: Vec<u8> },
    ToClient { link: u64, frame: Vec<u8> },
    ServerNotices { link: u64 },
    ClientNotices { link: u64 },
    Connect { client: usize, process: u64 },
    Think { client: usize, process: u64, is_resolved: bool },
    Weigh { client: usize, process: u64, to_turn: Turn },
    Second { client: usize, process: u64, motion: Motion },
    Write { incarnation: u64 },
    Answer { incarnation: u64 },
    Wake { incarnation: u64, room: u64, at: Millis },
    CloseIdle { incarnation: u64 },
    Crash { incarnation: u64 },
    Restart,
}

struct Client {
    config: Config,
    session: Session,
    /// Number of the process; a session is its whole memory.
    process: u64,
    link: Option<u64>,
    /// Nothing gets through to it before.
    isolated_until: Millis,
    fate: Fate,
    /// What its predictions are held against.
    model: Model,
    /// When it handed in its commands for the open turn.
    handed_in: Option<Millis>,
}

impl Client {
    fn height(&self) -> Height {
        let light = self.session.light().map(|light| light.head().height());
        let followed = self.session.follower().map(|follower| follower.chain().head().height);
        light.or(followed).unwrap_or_default()
    }

    fn block(&self) -> BlockHash {
        let light = self.session.light().map(|light| light.head().block());
        let followed = self.session.follower().map(|follower| follower.chain().head().block);
        light.or(followed).unwrap()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Playing,
    /// The match is over, and it knows.
    Ended(SealReason),
    /// Another process of the same player took its place.
    Replaced,
    /// It knows nothing of the match, which was over before it came.
    TooLate,
}

impl World {
    /// A match in each of the rooms.
    pub(crate) fn new(seed: u64, specs: &[RoomSpec], faults: Faults) -> Self {
        let mut random = Random::seeded(seed);
        let disk = Arc::new(MemoryDisk::default());
        let server = Some(Server::start(&disk, FIRST_SERIAL, random.next(), START));
        let key = SecretKey::from_seed(&[102; 32]);
        let certificate = certificate(KeyRole::Handshake, key.public(), 1);
        let mut world = Self {
            now: START,
            random,
            faults,
            agenda: BTreeMap::new(),
            last_number: 0,
            disk,
            identity: ServerIdentity::new(root_key().public(), certificate, key, START).unwrap(),
            server,
            incarnation: 0,
            serial: FIRST_SERIAL,
            ahead_ms: 0,
            latency_ms: None,
            links: BTreeMap::new(),
            clients: Vec::new(),
            rooms: BTreeSet::new(),
            witness: Witness::default(),
            waits: Vec::new(),
        };
        for (room, spec) in (0..).zip(specs) {
            let name = RoomName::new(&format!("arena-{room}")).unwrap();
            let players = (0..spec.seats).map(|index| player(room, index, spec));
            for config in players.chain([spectator(room), light(room)]) {
                world.add(Config { room: name.clone(), ..config });
            }
            world.rooms.insert(name);
        }
        world.in_time(1_000..5_000, Happening::CloseIdle { incarnation: 0 });
        world
    }

    /// Every frame is under way for this long.
    pub(crate) fn delayed_by(mut self, ms: u64) -> Self {
        self.latency_ms = Some(ms);
        self
    }

    /// Plays the matches, and gives what the store has of them.
    pub(crate) fn run(self) -> Vec<Stored> {
        self.run_measured().0
    }

    /// Plays the matches; gives besides how long those who acted waited for their blocks, in milliseconds.
    pub(crate) fn run_measured(mut self) -> (Vec<Stored>, Vec<u64>) {
        while self.clients.iter().any(|client| client.fate == Fate::Playing) {
            let ((at, _), happening) = self.agenda.pop_first().expect("nobody waits for anything");
            assert!(at <= START.after(SPAN_MS_MAX), "the match does not go on by itself");
            self.now = at;
            self.let_something_fail();
            self.happen(happening);
        }
        let waits = std::mem::take(&mut self.waits);
        (self.verdict(), waits)
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToServer { link, frame } => self.arrive_at_server(link, frame),
            Happening::ToClient { link, frame } => self.arrive_at_client(link, frame),
            Happening::ServerNotices { link } => {
                if self.links[&link].incarnation == self.incarnation {
                    self.with_server(|server, now| server.lost(now, link));
                }
            }
            Happening::ClientNotices { link } => self.lose(link),
            Happening::Connect { client, process } => self.connect(client, process),
            Happening::Think { client, process, is_resolved } => self.think(client, process, is_resolved),
            Happening::Weigh { client, process, to_turn } => self.weigh(client, process, to_turn),
            Happening::Second { client, process, motion } => self.second(client, process, motion),
            Happening::Restart => self.restart(),
            Happening::Write { incarnation }
            | Happening::Answer { incarnation }
            | Happening::Wake { incarnation, .. }
            | Happening::CloseIdle { incarnation }
            | Happening::Crash { incarnation }
                if incarnation != self.incarnation => {}
            Happening::Write { .. } => self.write(),
            Happening::Answer { .. } => self.with_server(|server, now| server.answer(now)),
            Happening::Wake { room, at, .. } => self.with_server(|server, now| server.wake(now, room, at)),
            Happening::CloseIdle { .. } => self.close_idle(),
            Happening::Crash { .. } => self.crash(),
        }
    }

    fn let_something_fail(&mut self) {
        if !self.random.once_in(20) {
            return;
        }
        let client = usize::try_from(self.random.within(0..self.clients.len() as u64)).unwrap();
        match self.random.within(0..14) {
            0 | 1 if self.faults.cuts > 0 => {
                if let Some(link) = self.clients[client].link {
                    self.faults.cuts -= 1;
                    self.cut(link);
                }
            }
            2 if self.faults.partitions > 0 => {
                self.faults.partitions -= 1;
                self.isolate();
            }
            3 if self.faults.crashes > 0 && self.server.is_some() => {
                self.faults.crashes -= 1;
                self.crash();
            }
            4 if self.faults.stops > 0 && self.server.is_some() => {
                self.faults.stops -= 1;
                self.stop();
            }
            5 if self.faults.disk_faults > 0 => {
                self.faults.disk_faults -= 1;
                self.disk.fail(match self.random.within(0..3) {
                    0 => DiskFault::NotWritten,
                    1 => DiskFault::NotFlushed,
                    _ => DiskFault::AnswerLost,
                });
            }
            6 if self.faults.slow > 0 => {
                if let Some(link) = self.clients[client].link {
                    self.faults.slow -= 1;
                    self.witness.disturb(self.now);
                    self.with_server(|server, now| server.drop_slow(now, link));
                }
            }
            7 | 8 if self.faults.deaths > 0 && self.may_die(client) => {
                self.faults.deaths -= 1;
                self.die(client);
            }
            9 if self.faults.twins > 0 && self.may_die(client) => {
                self.faults.twins -= 1;
                self.witness.disturb(self.now);
                self.witness.has_died = true;
                let config = self.clients[client].config.clone();
                self.add(config);
            }
            10 if self.faults.exports > 0 => {
                if let Some(server) = &self.server {
                    self.faults.exports -= 1;
                    self.witness.see_files(server.store());
                }
            }
            11 if self.faults.ends > 0 && self.now > START.after(20_000) => {
                self.faults.ends -= 1;
                self.with_server(Server::end_matches);
            }
            _ => {}
        }
    }

    /// What is on the way is lost. Both ends notice in their own time, if at all before the next connection.
    fn cut(&mut self, link: u64) {
        self.witness.disturb(self.now);
        self.links.get_mut(&link).unwrap().is_cut = true;
        self.in_time(0..2_000, Happening::ClientNotices { link });
        self.in_time(0..4_000, Happening::ServerNotices { link });
    }

    /// Nothing gets through to some of the clients for a while; some of their connections do not outlast it.
    fn isolate(&mut self) {
        let until = self.now.after(self.random.within(100..15_000));
        self.witness.disturb(until);
        for client in 0..self.clients.len() {
            if self.random.once_in(2) {
                self.clients[client].isolated_until = until;
                if let Some(link) = self.clients[client].link.filter(|_| self.random.once_in(2)) {
                    self.cut(link);
                }
            }
        }
    }

    /// The server dies: what waits to be written is lost, and of what is not flushed the later part.
    fn crash(&mut self) {
        if self.server.take().is_none() {
            return;
        }
        self.witness.disturb(self.now);
        let kept = self.random.within(0..self.disk.unflushed() as u64 + 1);
        self.disk.crash(usize::try_from(kept).unwrap());
        self.witness.note_written(&server::store_on(&self.disk), self.now);
        self.incarnation += 1;
        self.ahead_ms = self.random.within(0..20_000);
        for link in self.links.iter().filter(|(_, link)| !link.is_cut).map(|(n, _)| *n).collect::<Vec<_>>() {
            self.links.get_mut(&link).unwrap().is_cut = true;
            self.in_time(0..500, Happening::ClientNotices { link });
        }
        self.in_time(0..8_000, Happening::Restart);
    }

    /// The server stops in good order: what it says last still arrives.
    fn stop(&mut self) {
        self.with_server(Server::shut_down);
        if let Some(server) = &self.server {
            self.witness.note_written(server.store(), self.now);
        }
        let incarnation = self.incarnation;
        self.in_time(0..3_000, Happening::Crash { incarnation });
    }

    fn restart(&mut self) {
        self.witness.disturb(self.now);
        self.serial += u32::from(self.random.once_in(2));
        self.server = Some(Server::start(&self.disk, self.serial, self.random.next(), self.server_time()));
        self.take_effects();
        let incarnation = self.incarnation;
        self.in_time(1_000..5_000, Happening::CloseIdle { incarnation });
    }

    /// The rooms of matches that are over are closed, once everybody knows of the match.
    fn close_idle(&mut self) {
        let is_known = |client: &Client| client.fate != Fate::Playing || client.height() > Height::GENESIS;
        if self.clients.iter().all(is_known) {
            self.with_server(|server, _| server.close_idle());
        }
        let incarnation = self.incarnation;
        self.in_time(1_000..5_000, Happening::CloseIdle { incarnation });
    }

    /// A player who loses the memory of a match that is over could never come back to it.
    fn may_die(&self, client: usize) -> bool {
        let Client { config, fate, .. } = &self.clients[client];
        let is_running = self
            .server
            .as_ref()
            .is_some_and(|server| server.has_room(&config.room) || server.store().matches().next().is_none());
        *fate == Fate::Playing && config.enter_as == EnterAs::Player && is_running
    }

    /// A process dies, and another one of the same identity knows nothing of it.
    fn die(&mut self, client: usize) {
        self.witness.disturb(self.now);
        self.witness.has_died = true;
        if let Some(link) = self.clients[client].link.take() {
            self.links.get_mut(&link).unwrap().is_cut = true;
            self.in_time(0..4_000, Happening::ServerNotices { link });
        }
        let config = self.clients[client].config.clone();
        let isolated_until = self.clients[client].isolated_until;
        self.clients[client] = Client { isolated_until, ..self.start_process(config) };
        self.connect_later(client);
    }

    fn add(&mut self, config: Config) {
        let client = self.start_process(config);
        self.clients.push(client);
        self.connect_later(self.clients.len() - 1);
    }

    fn start_process(&mut self, config: Config) -> Client {
        let process = self.number();
        let config = Config { process: process_key(process), ..config };
        let mut session = Session::new(config.clone());
        if config.enter_as != EnterAs::Light && self.random.once_in(2) {
            session.follow(Following::Snapshot);
        }
        if self.faults.desyncs > 0 {
            self.faults.desyncs -= 1;
            let turn = u32::try_from(self.random.within(1..5)).unwrap();
            session.inject(Fault { turn: Turn::new(turn), x: 1, y: 0 });
        }
        Client {
            config,
            session,
            process,
            link: None,
            isolated_until: START,
            fate: Fate::Playing,
            model: Model::default(),
            handed_in: None,
        }
    }

    fn connect_later(&mut self, client: usize) {
        let process = self.clients[client].process;
        self.in_time(10..1_500, Happening::Connect { client, process });
    }

    fn connect(&mut self, client: usize, process: u64) {
        let Client { config, link, isolated_until, fate, .. } = &self.clients[client];
        if self.clients[client].process != process || link.is_some() || *fate != Fate::Playing {
            return;
        }
        let Some(server) = self.server.as_ref().filter(|_| *isolated_until <= self.now) else {
            return self.connect_later(client);
        };
        let over = server.store().matches().map(Result::unwrap).any(|(match_id, record)| {
            record.room == config.room
                && server.store().mark(match_id).unwrap().is_some_and(|mark| mark.sealed)
        });
        // Who executes nothing cannot come back to a match that is over.
        let knows = self.clients[client].height() > Height::GENESIS && config.enter_as != EnterAs::Light;
        if over && !knows && !server.has_room(&config.room) {
            self.clients[client].fate = Fate::TooLate;
            return;
        }
        self.witness.disturb(self.now);
        let root = root_key().public();
        let (mut link, m1) =
            Link::dial(client, self.incarnation, root, &config.identity, self.now, &mut self.random);
        if let Some(ms) = self.latency_ms {
            link.latency_ms = ms..ms + 1;
        }
        let number = self.number();
        self.links.insert(number, link);
        self.clients[client].link = Some(number);
        self.carry_to_server(number, [m1]);
    }

    fn arrive_at_server(&mut self, number: u64, frame: Vec<u8>) {
        let now = self.server_time();
        let link = self.links.get_mut(&number).unwrap();
        if link.is_cut || link.is_closed || self.server.is_none() {
            return;
        }
        match link.arrive(frame, &self.identity, now, &mut self.random) {
            Arrived::Answer(frames) => self.carry_to_client(number, frames),
            Arrived::Message { identity, message } => {
                self.with_server(|server, now| server.receive(now, number, identity, message));
            }
            Arrived::Nothing => {}
        }
    }

    fn arrive_at_client(&mut self, number: u64, frame: Vec<u8>) {
        let link = self.links.get_mut(&number).unwrap();
        let client = link.client;
        if link.is_cut || self.clients[client].link != Some(number) {
            return;
        }
        let session = &mut self.clients[client].session;
        match link.near.receive(frame, self.now).unwrap() {
            Received::Answer(m3) => self.carry_to_server(number, [m3]),
            Received::Accepted { root, session: name, .. } => {
                link.is_open = true;
                session.connected(root, name);
                self.attend_to(client);
            }
            Received::Message(message) => {
                let received = session.receive(message, root_key().public());
                assert_eq!(received, Ok(()), "client {client} at {}", self.now.get());
                self.attend_to(client);
            }
            Received::Nothing => {}
        }
    }

    /// A client finds its connection gone.
    fn lose(&mut self, number: u64) {
        let Link { client, is_open, .. } = self.links[&number];
        if self.clients[client].link != Some(number) {
            return;
        }
        self.clients[client].link = None;
        if is_open {
            self.clients[client].session.disconnected("cut".into());
            self.attend_to(client);
        } else {
            self.connect_later(client);
        }
    }

    /// The server does something, and the world follows.
    fn with_server(&mut self, act: impl FnOnce(&mut Server, Millis)) {
        let now = self.server_time();
        if let Some(server) = &mut self.server {
            act(server, now);
            self.take_effects();
        }
    }

    fn take_effects(&mut self) {
        let Some(server) = &mut self.server else { return };
        let incarnation = self.incarnation;
        for effect in server.take_effects() {
            match effect {
                Effect::Send { link, message } => self.send_to_client(link, &message),
                Effect::Close { link } => {
                    let entry = self.links.get_mut(&link).unwrap();
                    entry.is_closed = true;
                    let at = entry.at_client;
                    self.at(at, Happening::ClientNotices { link });
                }
                Effect::Commit => self.in_time(1..150, Happening::Write { incarnation }),
                Effect::WakeAt { room, at } => {
                    let span = at.get().saturating_sub(self.server_time().get());
                    self.at(self.now.after(span), Happening::Wake { incarnation, room, at });
                }
            }
        }
    }

    /// The store writes some of what waits, and will answer; what is left is written later.
    fn write(&mut self) {
        let Some(server) = &mut self.server else { return };
        let waiting = server.waiting() as u64;
        if waiting == 0 {
            return;
        }
        let (incarnation, count) = (self.incarnation, self.random.within(1..waiting + 1));
        let now = self.now.after(self.ahead_ms);
        if !server.write(now, usize::try_from(count).unwrap()) {
            // Some servers stand still for a while, some do not live to see it.
            let span = if self.random.once_in(2) { 0..1 } else { 0..8_000 };
            self.take_effects();
            return self.in_time(span, Happening::Crash { incarnation });
        }
        self.witness.note_written(server.store(), self.now);
        for _ in 0..count {
            self.in_time(1..100, Happening::Answer { incarnation });
        }
        if count < waiting {
            self.in_time(1..100, Happening::Write { incarnation });
        }
    }

    /// Carries out what a session wants, as a program around it would.
    fn attend_to(&mut self, client: usize) {
        while let Some(event) = self.clients[client].session.poll_event() {
            let Client { session, model, .. } = &mut self.clients[client];
            model.see(&event, session);
            self.observe(client, event);
        }
        let Client { session, model, .. } = &mut self.clients[client];
        model.check(session);
        while let Some(message) = self.clients[client].session.poll_send() {
            let Some(number) = self.clients[client].link else { continue };
            if let ClientMessage::Submit(transaction) = &message {
                self.witness.sign(self.clients[client].process, transaction);
                self.clients[client].model.send(transaction);
            }
            let mut frames = Vec::new();
            self.links.get_mut(&number).unwrap().near.send(&message, &mut frames).unwrap();
            self.carry_to_server(number, frames);
        }
    }

    fn observe(&mut self, client: usize, event: Event) {
        match event {
            Event::YourTurn { .. } => {
                let process = self.clients[client].process;
                self.in_time(0..1_200, Happening::Think { client, process, is_resolved: false });
            }
            Event::Shown { header } => {
                let light = self.clients[client].session.light().unwrap();
                self.witness.see(header.match_id, header.height, light.head().block());
            }
            Event::Joined { head } => {
                let match_id = self.clients[client].session.follower().unwrap().chain().match_id();
                self.witness.see(match_id, head.height, head.block);
                self.clients[client].handed_in = None;
            }
            Event::Block { head, kind, .. } => {
                let match_id = self.clients[client].session.follower().unwrap().chain().match_id();
                self.witness.see(match_id, head.height, head.block);
                if let Some(since) = self.clients[client].handed_in.take_if(|_| kind == BlockKind::Turn) {
                    self.waits.push(self.now.get() - since.get());
                }
            }
            Event::Desync(desync) => {
                self.witness.disturb(self.now);
                assert_eq!((desync.cause, desync.healed), (Cause::Memory, true));
                let session = &self.clients[client].session;
                let match_id = session.follower().unwrap().chain().match_id();
                self.witness.astray.extend(session.seat().map(|seat| (match_id, seat)));
            }
            Event::Receipt(receipt) => self.witness.promise(receipt),
            Event::Takeback { to_turn: Some(to_turn), .. } => {
                let process = self.clients[client].process;
                self.in_time(0..600, Happening::Weigh { client, process, to_turn });
            }
            Event::Motion { motion, .. } if motion != Motion::Nothing => {
                let process = self.clients[client].process;
                self.in_time(0..300, Happening::Second { client, process, motion });
            }
            Event::Ended { reason, .. } => {
                assert_eq!(self.clients[client].fate, Fate::Playing, "a match ends once");
                self.clients[client].fate = Fate::Ended(reason);
            }
            Event::CaughtUp => self.witness.disturb(self.now),
            Event::Lost { .. } => self.connect_later(client),
            // No room yet, or not for us: tried again on another connection.
            Event::Failed(_) => {
                if let Some(link) = self.clients[client].link {
                    self.cut(link);
                }
            }
            Event::Goodbye { reason: GoodbyeReason::Replaced, .. } => self.retire(client),
            Event::Said { said, .. } => {
                let session = &self.clients[client].session;
                let followed = session.follower().map(|follower| follower.chain().match_id());
                let match_id = followed.or_else(|| Some(session.light()?.head().match_id())).unwrap();
                self.witness.hear(match_id, said);
            }
            // Too long on its way, or another process of the player was faster.
            Event::NotSaid { refusal: TalkRefusal::UnknownSeenLine | TalkRefusal::Repeated, .. } => {}
            bad @ (Event::NotSaid { .. } | Event::TalkBroken { .. } | Event::Notice(_)) => panic!("{bad:?}"),
            Event::Evidence(evidence) => panic!("an honest server is charged: {evidence:?}"),
            Event::Connected { .. }
            | Event::Lobby(_)
            | Event::Match { .. }
            | Event::Relayed(_)
            | Event::Takeback { to_turn: None, .. }
            | Event::Rematch { .. }
            | Event::Motion { .. }
            | Event::Mispredicted(_)
            | Event::Undrafted { .. }
            | Event::Refused { .. }
            | Event::Conversing
            | Event::TalkMissed { .. }
            | Event::Goodbye { .. }
            | Event::Limited { .. } => {}
        }
    }

    /// A program whose place another one took does not take it back.
    fn retire(&mut self, client: usize) {
        self.witness.disturb(self.now);
        let entry = &mut self.clients[client];
        entry.link = None;
        if entry.fate == Fate::Playing {
            entry.fate = Fate::Replaced;
        }
    }

    /// A player was asked for commands some time ago. One who is resolved wants nothing taken back before it acts.
    fn think(&mut self, client: usize, process: u64, is_resolved: bool) {
        if !self.is_playing(client, process) {
            return;
        }
        if self.faults.motions > 0 && self.random.once_in(6) && self.put_a_motion(client) {
            self.faults.motions -= 1;
        }
        if self.faults.proposals > 0 && !is_resolved && self.random.once_in(5) && self.propose(client) {
            self.faults.proposals -= 1;
            // If nobody agrees, it plays.
            return self.in_time(500..1_500, Happening::Think { client, process, is_resolved: true });
        }
        let lapse = self.faults.lapses > 0 && self.random.once_in(12);
        let gives_up = self.faults.resignations > 0 && self.random.once_in(30);
        let speaks = self.random.once_in(3);
        let words = Text::new(&format!("{}", self.number())).unwrap();
        let Client { session, model, handed_in, .. } = &mut self.clients[client];
        if speaks {
            // Whoever is not connected just now says nothing.
            let _ = session.say(words);
        }
        let (Some(seat), Some(follower)) = (session.seat(), session.follower()) else { return };
        let commands = follower.game().simulation().suggest(seat);
        while session.undo().is_some() {}
        model.undo();
        match session.draft(commands.clone()) {
            Ok(()) => {
                model.draft(commands.clone());
                model.check(session);
            }
            Err(SubmitError::NotPlaying | SubmitError::AlreadySubmitted) => {}
            Err(error @ (SubmitError::Illegal(_) | SubmitError::NoTakeback | SubmitError::NoMotion)) => {
                panic!("client {client}: {error}")
            }
        }
        if lapse {
            self.faults.lapses -= 1;
            return self.witness.disturb(self.now);
        }
        let acted = if gives_up { session.resign() } else { session.submit_draft() };
        match acted {
            Ok(_) if gives_up => {
                model.resign();
                self.faults.resignations -= 1;
            }
            Ok(transaction) => {
                model.hand_in(commands, transaction);
                *handed_in = Some(self.now);
            }
            Err(SubmitError::NotPlaying | SubmitError::AlreadySubmitted) => {}
            Err(error @ (SubmitError::Illegal(_) | SubmitError::NoTakeback | SubmitError::NoMotion)) => {
                panic!("client {client}: {error}")
            }
        }
        self.attend_to(client);
    }

    /// A player wants to go back, if it can, and has the time to wait for the others and play all the same.
    fn propose(&mut self, client: usize) -> bool {
        let in_time = self.server_time().after(PROPOSAL_MS);
        let session = &mut self.clients[client].session;
        let Some(chain) = session.follower().map(Follower::chain) else { return false };
        let Some(floor) = chain.takeback_floor() else { return false };
        let clock = session.seat().and_then(|seat| chain.clock_of(seat));
        if clock.and_then(|clock| clock.runs_out).is_some_and(|runs_out| runs_out < in_time) {
            return false;
        }
        let span = u64::from(floor.get())..u64::from(chain.head().turn.get());
        if span.is_empty() {
            return false;
        }
        let to_turn = Turn::new(u32::try_from(self.random.within(span)).unwrap());
        let proposed = session.propose_takeback(to_turn);
        self.said(client, proposed)
    }

    /// A player was told some time ago that another one wants to go back: agrees, declines, or leaves it.
    fn weigh(&mut self, client: usize, process: u64, to_turn: Turn) {
        let answer = self.random.within(0..5);
        if !self.is_playing(client, process) || self.clients[client].session.seat().is_none() {
            return;
        }
        let session = &mut self.clients[client].session;
        let answered = match answer {
            0..3 => session.propose_takeback(to_turn),
            3 => session.decline_takeback(),
            _ => return,
        };
        self.said(client, answered);
    }

    /// A player wants to pause, to end the match, or to skip others, if it can.
    fn put_a_motion(&mut self, client: usize) -> bool {
        let session = &mut self.clients[client].session;
        let Some((seat, chain)) = session.seat().zip(session.follower().map(Follower::chain)) else {
            return false;
        };
        let seats = chain.active().without(SeatSet::from_iter([seat]));
        let motion = match self.random.within(0..8) {
            0..3 => Motion::End,
            3..6 => Motion::Skip { seats },
            _ => Motion::Pause { ms: 2_000 },
        };
        let proposed = session.propose(motion);
        self.said(client, proposed)
    }

    /// A player was told some time ago that another one wants something: wants it too, nothing any more, or leaves it.
    fn second(&mut self, client: usize, process: u64, motion: Motion) {
        let answer = self.random.within(0..5);
        if !self.is_playing(client, process) || self.clients[client].session.seat().is_none() {
            return;
        }
        let session = &mut self.clients[client].session;
        let own = SeatSet::from_iter(session.seat());
        let motion = match motion {
            // Nobody skips himself.
            Motion::Skip { seats } => Motion::Skip { seats: seats.without(own) },
            Motion::Nothing | Motion::Pause { .. } | Motion::End => motion,
        };
        let answered = match answer {
            0..3 => session.propose(motion),
            3 => session.propose(Motion::Nothing),
            _ => return,
        };
        self.said(client, answered);
    }

    /// What a player says that it wants may come too late, or once too often, or cannot be wanted by this one.
    fn said(&mut self, client: usize, said: Result<TxHash, SubmitError>) -> bool {
        match said {
            Ok(_) => self.attend_to(client),
            Err(
                SubmitError::NotPlaying
                | SubmitError::AlreadySubmitted
                | SubmitError::NoTakeback
                | SubmitError::NoMotion,
            ) => {}
            Err(error @ SubmitError::Illegal(_)) => panic!("client {client}: {error}"),
        }
        said.is_ok()
    }

    fn is_playing(&self, client: usize, process: u64) -> bool {
        self.clients[client].process == process && self.clients[client].fate == Fate::Playing
    }

    fn carry_to_server(&mut self, number: u64, frames: impl IntoIterator<Item = Vec<u8>>) {
        let at = self.arrival(number);
        let link = self.links.get_mut(&number).unwrap();
        link.at_server = link.at_server.max(at);
        let at = link.at_server;
        for frame in frames {
            self.at(at, Happening::ToServer { link: number, frame });
        }
    }

    fn carry_to_client(&mut self, number: u64, frames: impl IntoIterator<Item = Vec<u8>>) {
        let at = self.arrival(number);
        let link = self.links.get_mut(&number).unwrap();
        link.at_client = link.at_client.max(at);
        let at = link.at_client;
        for frame in frames {
            self.at(at, Happening::ToClient { link: number, frame });
        }
    }

    fn send_to_client(&mut self, number: u64, message: &ServerMessage) {
        let frames = self.links.get_mut(&number).unwrap().seal(message);
        self.carry_to_client(number, frames);
    }

    /// When something arrives that is sent now, if nothing sent before it is later.
    fn arrival(&mut self, number: u64) -> Millis {
        let link = &self.links[&number];
        let sent = self.now.max(self.clients[link.client].isolated_until);
        sent.after(self.random.within(link.latency_ms.clone()))
    }

    /// All matches are over for everybody: was each of them one match?
    fn verdict(self) -> Vec<Stored> {
        // Whatever anybody was shown outlasts a power cut.
        self.disk.crash(0);
        let store = server::store_on(&self.disk);
        let judge = |room: &RoomName| {
            let stored = self.witness.judge(&store, room);
            for client in self.clients.iter().filter(|client| client.config.room == *room) {
                if let Fate::Ended(reason) = client.fate {
                    let head = (client.height(), client.block());
                    let expected = (stored.head.height, stored.head.block);
                    assert_eq!(head, expected, "all have the same head");
                    assert_eq!(reason, stored.reason);
                }
            }
            stored
        };
        self.rooms.iter().map(judge).collect()
    }

    fn server_time(&self) -> Millis {
        self.now.after(self.ahead_ms)
    }

    fn in_time(&mut self, span_ms: Range<u64>, happening: Happening) {
        let at = self.now.after(self.random.within(span_ms));
        self.at(at, happening);
    }

    fn at(&mut self, at: Millis, happening: Happening) {
        let number = self.number();
        self.agenda.insert((at, number), happening);
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// Player number `index` of a room, who opens it if it is missing.
fn player(room: u8, index: u8, spec: &RoomSpec) -> Config {
    Config {
        identity: SecretKey::from_seed(&[room * 16 + index + 1; 32]),
        name: DisplayName::new(&format!("player {index}")).unwrap(),
        open: Some(spec.clone()),
        enter_as: EnterAs::Player,
        ..spectator(room)
    }
}

/// Somebody who watches, once there is something to watch.
fn spectator(room: u8) -> Config {
    Config {
        identity: SecretKey::from_seed(&[200 + room; 32]),
        process: process_key(0),
        room: RoomName::new("arena").unwrap(),
        enter_as: EnterAs::Spectator,
        name: DisplayName::new("spectator").unwrap(),
        open: None,
        credential: None,
    }
}

/// Somebody who watches without executing anything.
fn light(room: u8) -> Config {
    let identity = SecretKey::from_seed(&[220 + room; 32]);
    Config { identity, enter_as: EnterAs::Light, ..spectator(room) }
}

/// The key of a process that no other one has.
fn process_key(number: u64) -> SecretKey {
    let mut seed = [0x70; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    SecretKey::from_seed(&seed)
}
