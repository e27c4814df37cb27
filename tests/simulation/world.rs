//! Everything between the sessions and the rooms, in virtual time: one agenda, one random number generator.

mod again;
mod carrying;
mod client;
mod failing;
mod forks;
mod lending;
mod playing;
mod strangers;
mod visits;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use cadastre_client::{Config, Fault, Session};
use cadastre_protocol::{
    EnterAs, Following, KeyRole, Millis, Motion, Pass, RoomName, SecretKey, ServerIdentity, Turn,
};

use self::client::{Client, Fate, process_key};
use super::{
    disk::MemoryDisk,
    link::Link,
    plan::{Entry, Plan},
    predictions::Model,
    random::Random,
    server::{self, FIRST_SERIAL, Server, certificate, root_key},
    tally::Tally,
    witness::{Stored, Witness},
};

const START: Millis = Millis::new(1_795_000_000_000);

/// No match takes longer than this, whatever happens to it on the way.
const SPAN_MS_MAX: u64 = 60 * 60 * 1000;

/// Nor longer than this if its turns are of hours.
const SLOW_SPAN_MS_MAX: u64 = 60 * 24 * 60 * 60 * 1000;

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
    /// Times that a light spectator looks elsewhere.
    pub(crate) glances: u32,
    /// Seats that are lent.
    pub(crate) loans: u32,
    /// Matches that players go on from in another room.
    pub(crate) forks: u32,
    /// Times that somebody stays away for longer than a turn of hours.
    pub(crate) holidays: u32,
    /// Times that the operator ends what is played.
    pub(crate) ends: u32,
}

/// What came of a world.
pub(crate) struct Played {
    /// As the store has them.
    pub(crate) matches: Vec<Stored>,
    /// How long players saw nothing but predictions of what they had handed in, in milliseconds.
    pub(crate) waits: Vec<u64>,
    pub(crate) tally: Tally,
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
    /// How many matches are to be played in each.
    rooms: BTreeMap<RoomName, usize>,
    /// Those whose turns are of hours.
    slow: BTreeSet<RoomName>,
    /// What somebody who may come in showed last at the door.
    stolen: BTreeMap<RoomName, Pass>,
    witness: Witness,
    waits: Vec<u64>,
    tally: Tally,
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
    Look { client: usize, process: u64 },
    GoAway { client: usize, link: u64 },
    Drowse { incarnation: u64, room: u64 },
    Alarm { incarnation: u64, room: RoomName, until: Millis },
    WantAgain { client: usize, process: u64 },
    GiveUp { client: usize, process: u64 },
    Write { incarnation: u64 },
    Answer { incarnation: u64 },
    Wake { incarnation: u64, room: u64, at: Millis },
    CloseIdle { incarnation: u64 },
    Crash { incarnation: u64 },
    Restart,
}

impl World {
    /// A match in each of the rooms.
    pub(crate) fn new(seed: u64, plans: &[Plan], faults: Faults) -> Self {
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
            rooms: BTreeMap::new(),
            slow: BTreeSet::new(),
            stolen: BTreeMap::new(),
            witness: Witness::default(),
            waits: Vec::new(),
            tally: Tally::default(),
        };
        for (room, plan) in (0..).zip(plans) {
            for config in client::of_room(room, plan) {
                world.rooms.insert(config.room.clone(), plan.matches);
                world.slow.extend(Some(config.room.clone()).filter(|_| plan.is_slow));
                world.add(config);
            }
            for _ in 0..if plan.entry == Entry::Open { 0 } else { 3 } {
                world.add_stranger(room, plan.entry);
            }
        }
        world.close_idle_later();
        world
    }

    /// Every frame is under way for this long.
    pub(crate) fn delayed_by(mut self, ms: u64) -> Self {
        self.latency_ms = Some(ms);
        self
    }

    /// Plays the matches.
    pub(crate) fn run(mut self) -> Played {
        while self.clients.iter().any(|client| client.fate == Fate::Playing) {
            let ((at, _), happening) = self.agenda.pop_first().expect("nobody waits for anything");
            let span = if self.slow.is_empty() { SPAN_MS_MAX } else { SLOW_SPAN_MS_MAX };
            assert!(at <= START.after(span), "the match does not go on by itself");
            self.now = at;
            self.let_something_fail();
            self.happen(happening);
        }
        self.verdict()
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
            Happening::Look { client, process } => self.look(client, process),
            Happening::WantAgain { client, process } => self.want_again(client, process),
            Happening::GiveUp { client, process } => self.give_up(client, process),
            Happening::Restart => self.restart(),
            Happening::Write { incarnation }
            | Happening::Answer { incarnation }
            | Happening::Wake { incarnation, .. }
            | Happening::CloseIdle { incarnation }
            | Happening::Drowse { incarnation, .. }
            | Happening::Alarm { incarnation, .. }
            | Happening::Crash { incarnation }
                if incarnation != self.incarnation => {}
            Happening::Write { .. } => self.write(),
            Happening::Answer { .. } => self.with_server(|server, now| server.answer(now)),
            Happening::Wake { room, at, .. } => self.with_server(|server, now| server.wake(now, room, at)),
            Happening::CloseIdle { .. } => self.close_idle(),
            Happening::Drowse { room, .. } => {
                self.with_server(|server, now| server.fall_asleep(now, room));
            }
            Happening::Alarm { room, until, .. } => {
                self.with_server(|server, now| server.ring(now, &room, until));
            }
            Happening::GoAway { client, link } => self.go_away(client, link),
            Happening::Crash { .. } => self.crash(),
        }
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
            trick: None,
            away_ms: None,
            joined: None,
            ended: None,
            model: Model::default(),
            handed_in: None,
        }
    }

    /// All matches are over for everybody: was each of them one match?
    fn verdict(mut self) -> Played {
        // Whatever anybody was shown outlasts a power cut.
        self.disk.crash(0);
        let store = server::store_on(&self.disk);
        let entries: Vec<_> = store.matches().map(Result::unwrap).collect();
        for (room, wanted) in &self.rooms {
            let played = entries.iter().filter(|(_, record)| record.room == *room).count();
            assert!((1..=*wanted).contains(&played), "{played} matches in {room}");
        }
        let judge = |(match_id, record)| self.witness.judge(&store, match_id, record, &mut self.tally);
        let matches = entries.into_iter().map(judge).collect();
        Played { matches, waits: self.waits, tally: self.tally }
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
