//! Everything between the sessions and the room, in virtual time: one agenda, one random number generator.

use std::collections::BTreeMap;

use cadastre_client::{Cause, Config, Event, Fault, Session, SubmitError};
use cadastre_protocol::{
    AbsenceReason, Attempt, BlockHash, BlockKind, ClientMessage, Epoch, Head, Height, MatchId, Millis,
    Receipt, RoomSpec, SealReason, ServerMessage, SignedTransaction, TransactionBody, Turn, TxHash,
    Visibility, decode_exact, encode,
};
use cadastre_rooms::Input;

use super::{
    player, process_key,
    random::Random,
    root_key,
    server::{Effect, Server},
    spectator,
    store::Store,
};

const START: Millis = Millis::new(1_795_000_000_000);

/// No match takes longer than this, whatever happens to it on the way.
const SPAN_MS_MAX: u64 = 60 * 60 * 1000;

/// In turns that are opened after this time without a fault everybody acts in time.
const CALM_MS: u64 = 1_000;

/// What may go wrong, and how often in a match.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Connections that are cut, with what is on the way.
    pub(crate) cuts: u32,
    /// Servers that die and come back with what their store has written.
    pub(crate) crashes: u32,
    /// Players' processes that die and come back with nothing but their key.
    pub(crate) deaths: u32,
    /// Turns in which a player does nothing.
    pub(crate) lapses: u32,
    /// Clients in whose memory a tile changes.
    pub(crate) desyncs: u32,
}

/// A match from the empty lobby to the Seal.
pub(crate) struct World {
    /// May players die?
    mortal: bool,
    now: Millis,
    random: Random,
    faults: Faults,
    /// When the last thing went wrong, or was made good.
    disturbed: Millis,
    agenda: BTreeMap<(Millis, u64), Happening>,
    /// Numbers happenings, links and processes.
    last_number: u64,
    /// `None` while it is down; then its disk lies here.
    server: Result<Server, Store>,
    incarnation: u64,
    /// How far the server's clock is ahead; another one after every crash.
    ahead_ms: u64,
    links: BTreeMap<u64, Link>,
    clients: Vec<Client>,
    witness: Witness,
}

enum Happening {
    ToServer { link: u64, message: Vec<u8> },
    ToClient { link: u64, message: Vec<u8> },
    ServerNotices { link: u64 },
    ClientNotices { link: u64 },
    Connect { client: usize, process: u64 },
    Think { client: usize, process: u64 },
    Write { incarnation: u64 },
    Answer { incarnation: u64 },
    Wake { incarnation: u64, at: Millis },
    Restart,
}

struct Link {
    client: usize,
    incarnation: u64,
    /// Nothing gets through any more.
    is_cut: bool,
    /// The server has closed it: what it sent before still arrives.
    is_closed: bool,
    /// Nothing overtakes: when the last message of each direction arrives.
    at_server: Millis,
    at_client: Millis,
}

struct Client {
    config: Config,
    session: Session,
    /// Number of the process; a session is its whole memory.
    process: u64,
    link: Option<u64>,
    ended: Option<SealReason>,
}

/// What anybody was shown, which must hold for ever, and what anybody signed.
#[derive(Default)]
struct Witness {
    blocks: BTreeMap<Height, BlockHash>,
    receipts: Vec<Receipt>,
    signed: BTreeMap<Slot, TxHash>,
    desyncs: u32,
    /// When each block was written, from height 1.
    written: Vec<Millis>,
}

/// What a process signs once only.
type Slot = (u64, MatchId, Epoch, Turn, Attempt, u8);

impl World {
    pub(crate) fn new(seed: u64, spec: &RoomSpec, faults: Faults) -> Self {
        let mut random = Random::seeded(seed);
        let server = Ok(Server::new(Store::default(), random.bytes(), START));
        let mut world = Self {
            mortal: faults.deaths > 0,
            now: START,
            random,
            faults,
            disturbed: START,
            agenda: BTreeMap::new(),
            last_number: 0,
            server,
            incarnation: 0,
            ahead_ms: 0,
            links: BTreeMap::new(),
            clients: Vec::new(),
            witness: Witness::default(),
        };
        let configs = (0..spec.seats).map(|index| player(index, spec)).chain([spectator()]);
        for config in configs {
            let process = world.number();
            let mut session = Session::new(config.clone());
            if world.faults.desyncs > 0 {
                world.faults.desyncs -= 1;
                let turn = u32::try_from(world.random.within(1..5)).unwrap();
                session.inject(Fault { turn: Turn::new(turn), x: 1, y: 0 });
            }
            world.clients.push(Client { config, session, process, link: None, ended: None });
            world.connect_later(world.clients.len() - 1);
        }
        world
    }

    /// Plays the match, and gives the head that all agree on.
    pub(crate) fn run(mut self) -> Head {
        while self.clients.iter().any(|client| client.ended.is_none()) {
            let ((at, _), happening) = self.agenda.pop_first().expect("nobody waits for anything");
            assert!(at <= START.after(SPAN_MS_MAX), "the match does not go on by itself");
            self.now = at;
            self.let_something_fail();
            self.happen(happening);
        }
        self.verdict()
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToServer { link, message } => self.arrive_at_server(link, &message),
            Happening::ToClient { link, message } => self.arrive_at_client(link, &message),
            Happening::ServerNotices { link } => {
                if self.links[&link].incarnation == self.incarnation {
                    self.with_server(|server, now| server.lost(now, link));
                }
            }
            Happening::ClientNotices { link } => {
                let client = self.links[&link].client;
                if self.clients[client].link == Some(link) {
                    self.clients[client].link = None;
                    self.clients[client].session.disconnected("cut".into());
                    self.attend_to(client);
                }
            }
            Happening::Connect { client, process } => self.connect(client, process),
            Happening::Think { client, process } => self.think(client, process),
            Happening::Write { incarnation } => self.write(incarnation),
            Happening::Answer { incarnation } if incarnation == self.incarnation => {
                self.with_server(|server, now| server.answer(now));
            }
            Happening::Wake { incarnation, at } if incarnation == self.incarnation => {
                self.with_server(|server, now| {
                    if server.wake == Some(at) {
                        server.wake = None;
                        server.feed(now, Input::Timeout);
                    }
                });
            }
            Happening::Answer { .. } | Happening::Wake { .. } => {}
            Happening::Restart => self.restart(),
        }
    }

    fn let_something_fail(&mut self) {
        if !self.random.once_in(20) {
            return;
        }
        let client = usize::try_from(self.random.within(0..self.clients.len() as u64)).unwrap();
        match self.random.within(0..6) {
            0..=2 if self.faults.cuts > 0 => {
                if let Some(link) = self.clients[client].link {
                    self.faults.cuts -= 1;
                    self.cut(link);
                }
            }
            3 if self.faults.crashes > 0 && self.server.is_ok() => {
                self.faults.crashes -= 1;
                self.crash();
            }
            4 | 5 if self.faults.deaths > 0 => {
                self.faults.deaths -= 1;
                self.die(client);
            }
            _ => {}
        }
    }

    /// What is on the way is lost. Both ends notice in their own time, if at all before the next connection.
    fn cut(&mut self, link: u64) {
        self.disturbed = self.now;
        self.links.get_mut(&link).unwrap().is_cut = true;
        self.in_time(0..2_000, Happening::ClientNotices { link });
        self.in_time(0..4_000, Happening::ServerNotices { link });
    }

    /// The server dies: of the commits that wait some are written, and none is answered.
    fn crash(&mut self) {
        self.disturbed = self.now;
        let server = std::mem::replace(&mut self.server, Err(Store::default()));
        let Ok(mut server) = server else { return self.server = server };
        let written = self.random.within(0..server.store.waiting() as u64 + 1);
        server.store.write(usize::try_from(written).unwrap());
        server.store.crash();
        self.witness.note_written(server.store.height(), self.now);
        self.server = Err(server.store);
        self.incarnation += 1;
        self.ahead_ms = self.random.within(0..20_000);
        for link in self.links.iter().filter(|(_, link)| !link.is_cut).map(|(n, _)| *n).collect::<Vec<_>>() {
            self.links.get_mut(&link).unwrap().is_cut = true;
            self.in_time(0..500, Happening::ClientNotices { link });
        }
        self.in_time(0..8_000, Happening::Restart);
    }

    fn restart(&mut self) {
        self.disturbed = self.now;
        let Err(store) = &mut self.server else { return };
        let mut store = std::mem::take(store);
        store.rotations += u32::from(self.random.within(0..2) == 0);
        self.server = Ok(Server::new(store, self.random.bytes(), self.server_time()));
        self.take_effects();
    }

    /// A process dies, and another one of the same identity knows nothing of it.
    fn die(&mut self, client: usize) {
        self.disturbed = self.now;
        if let Some(link) = self.clients[client].link.take() {
            self.links.get_mut(&link).unwrap().is_cut = true;
            self.in_time(0..4_000, Happening::ServerNotices { link });
        }
        let process = self.number();
        let Client { config, .. } = &self.clients[client];
        let config = Config { process: process_key(1, process), ..config.clone() };
        let session = Session::new(config.clone());
        self.clients[client] = Client { config, session, process, link: None, ended: None };
        self.connect_later(client);
    }

    fn connect_later(&mut self, client: usize) {
        let process = self.clients[client].process;
        self.in_time(10..1_500, Happening::Connect { client, process });
    }

    fn connect(&mut self, client: usize, process: u64) {
        if self.clients[client].process != process || self.clients[client].link.is_some() {
            return;
        }
        if self.server.is_err() {
            return self.connect_later(client);
        }
        self.disturbed = self.now;
        let number = self.number();
        let (incarnation, at_server, at_client) = (self.incarnation, self.now, self.now);
        let link = Link { client, incarnation, is_cut: false, is_closed: false, at_server, at_client };
        self.links.insert(number, link);
        self.clients[client].link = Some(number);
        self.clients[client].session.connected(root_key().public());
        self.attend_to(client);
    }

    fn arrive_at_server(&mut self, link: u64, message: &[u8]) {
        let Link { client, is_cut, is_closed, .. } = self.links[&link];
        if !is_cut && !is_closed {
            let identity = self.clients[client].config.identity.public();
            let message: ClientMessage = decode_exact(message).unwrap();
            self.with_server(|server, now| server.receive(now, link, identity, message));
        }
    }

    fn arrive_at_client(&mut self, link: u64, message: &[u8]) {
        let Link { client, is_cut, .. } = self.links[&link];
        if !is_cut && self.clients[client].link == Some(link) {
            let message: ServerMessage = decode_exact(message).unwrap();
            let received = self.clients[client].session.receive(message, root_key().public());
            assert_eq!(received, Ok(()), "client {client} at {}", self.now.get());
            self.attend_to(client);
        }
    }

    /// The server does something, and the world follows.
    fn with_server(&mut self, act: impl FnOnce(&mut Server, Millis)) {
        let now = self.server_time();
        if let Ok(server) = &mut self.server {
            act(server, now);
            self.take_effects();
        }
    }

    fn take_effects(&mut self) {
        let Ok(server) = &mut self.server else { return };
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
                Effect::WakeAt(at) => {
                    let span = at.get().saturating_sub(self.server_time().get());
                    self.at(self.now.after(span), Happening::Wake { incarnation, at });
                }
            }
        }
    }

    /// The store writes some of what waits, and will answer; what is left is written later.
    fn write(&mut self, incarnation: u64) {
        if incarnation != self.incarnation {
            return;
        }
        let Ok(server) = &mut self.server else { return };
        let waiting = server.store.waiting() as u64;
        if waiting == 0 {
            return;
        }
        let count = self.random.within(1..waiting + 1);
        server.store.write(usize::try_from(count).unwrap());
        self.witness.note_written(server.store.height(), self.now);
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
            match event {
                Event::YourTurn { .. } => {
                    let process = self.clients[client].process;
                    self.in_time(0..1_200, Happening::Think { client, process });
                }
                Event::Block { head, .. } => self.witness.see(&head),
                Event::Desync(desync) => {
                    self.disturbed = self.now;
                    assert_eq!((desync.cause, desync.healed), (Cause::Memory, true));
                    self.witness.desyncs += 1;
                }
                Event::Receipt(receipt) => self.witness.receipts.push(receipt),
                Event::Ended { reason, .. } => {
                    let before = self.clients[client].ended.replace(reason);
                    assert_eq!(before, None, "a match ends once");
                }
                Event::Lost { .. } => self.connect_later(client),
                // No room yet, or not for us: tried again on another connection.
                Event::Failed(_) => {
                    if let Some(link) = self.clients[client].link {
                        self.cut(link);
                    }
                }
                Event::Connected { .. }
                | Event::Lobby(_)
                | Event::Match { .. }
                | Event::CaughtUp
                | Event::Relayed(_)
                | Event::Refused { .. }
                | Event::Goodbye { .. } => {}
                Event::Evidence(evidence) => panic!("an honest server is charged: {evidence:?}"),
            }
        }
        while let Some(message) = self.clients[client].session.poll_send() {
            let Some(link) = self.clients[client].link else { continue };
            if let ClientMessage::Submit(transaction) = &message {
                self.witness.sign(self.clients[client].process, transaction);
            }
            self.send_to_server(link, &message);
        }
    }

    /// A player was asked for commands some time ago.
    fn think(&mut self, client: usize, process: u64) {
        if self.clients[client].process != process {
            return;
        }
        let lapse = self.faults.lapses > 0 && self.random.once_in(12);
        let session = &mut self.clients[client].session;
        let (Some(seat), Some(follower)) = (session.seat(), session.follower()) else { return };
        if lapse {
            self.faults.lapses -= 1;
            self.disturbed = self.now;
            return;
        }
        let commands = follower.game().simulation().suggest(seat);
        match session.submit(commands) {
            Ok(_) | Err(SubmitError::NotPlaying | SubmitError::AlreadySubmitted) => {}
            Err(SubmitError::Illegal(refusal)) => panic!("client {client}: {refusal}"),
        }
        self.attend_to(client);
    }

    fn send_to_server(&mut self, link: u64, message: &ClientMessage) {
        let delayed = self.now.after(self.random.within(1..300));
        let entry = self.links.get_mut(&link).unwrap();
        entry.at_server = entry.at_server.max(delayed);
        let (at, message) = (entry.at_server, encode(message));
        self.at(at, Happening::ToServer { link, message });
    }

    fn send_to_client(&mut self, link: u64, message: &ServerMessage) {
        let delayed = self.now.after(self.random.within(1..300));
        let entry = self.links.get_mut(&link).unwrap();
        entry.at_client = entry.at_client.max(delayed);
        let (at, message) = (entry.at_client, encode(message));
        self.at(at, Happening::ToClient { link, message });
    }

    /// The match is over for everybody: was it one match?
    fn verdict(mut self) -> Head {
        let store = match &mut self.server {
            Ok(server) => &server.store,
            Err(store) => store,
        };
        let restored = store.restored().expect("the match is on disk");
        let head = *restored.chain.head();
        let stored: Vec<_> = store.blocks().iter().map(|block| block.clone().read().unwrap()).collect();
        for client in &self.clients {
            let follower = client.session.follower().unwrap();
            assert_eq!(follower.chain().head(), &head, "all have the same head");
            assert_eq!(client.ended, restored.chain.sealed());
        }
        for (height, hash) in &self.witness.blocks {
            let block = &stored[usize::try_from(height.get()).unwrap() - 1];
            assert_eq!(block.block().hash(), *hash, "a block that was shown is still there");
        }
        for receipt in &self.witness.receipts {
            let kept = stored.iter().any(|block| {
                let mut entries = block.block().entries().iter();
                let header = block.block().header();
                let turn = match header.kind {
                    // It stands before the turn that it is a half of.
                    BlockKind::Commit => header.turn.next(),
                    BlockKind::Start
                    | BlockKind::Turn
                    | BlockKind::Reopen { .. }
                    | BlockKind::Takeback { .. }
                    | BlockKind::KeyChange { .. }
                    | BlockKind::Seal { .. } => Some(header.turn),
                };
                turn == Some(receipt.turn)
                    && entries.any(|entry| {
                        (entry.transaction.hash(), entry.received) == (receipt.transaction, receipt.received)
                    })
            });
            assert!(kept, "a promise is kept: {receipt:?}");
        }
        for (index, block) in stored.iter().enumerate().skip(1) {
            let opened_in_calm = self.witness.written[index - 1] > self.disturbed.after(CALM_MS);
            // Who has not committed stands in the first half already. Who died can show nothing, however calm it is.
            let sealed = restored.chain.genesis().visibility == Visibility::Sealed;
            let second_half = sealed && block.block().header().kind == BlockKind::Turn;
            let reason = if second_half { AbsenceReason::RevealMissing } else { AbsenceReason::Deadline };
            let excused = second_half && self.mortal;
            let late = block.block().absent().iter().find(|absence| absence.reason == reason && !excused);
            assert!(!opened_in_calm || late.is_none(), "{late:?} at height {}", index + 1);
        }
        head
    }

    fn server_time(&self) -> Millis {
        self.now.after(self.ahead_ms)
    }

    fn in_time(&mut self, span_ms: std::ops::Range<u64>, happening: Happening) {
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

impl Witness {
    fn note_written(&mut self, height: Height, now: Millis) {
        self.written.resize(usize::try_from(height.get()).unwrap(), now);
    }

    fn see(&mut self, head: &Head) {
        let before = self.blocks.insert(head.height, head.block);
        assert!(before.is_none_or(|before| before == head.block), "a second block at height {}", head.height);
    }

    fn sign(&mut self, process: u64, transaction: &SignedTransaction) {
        let read = transaction.clone().read().unwrap();
        let tx = read.get();
        let kind = match tx.body {
            TransactionBody::Join(_) => 0,
            TransactionBody::Delegate(_) => 1,
            TransactionBody::Commit(_) => 2,
            TransactionBody::Turn(_)
            | TransactionBody::Reveal { .. }
            | TransactionBody::Takeback { .. }
            | TransactionBody::Resign => 3,
        };
        let slot = (process, tx.match_id, tx.epoch, tx.turn, tx.attempt, kind);
        let before = self.signed.insert(slot, read.hash());
        assert!(before.is_none_or(|before| before == read.hash()), "two bodies for one turn: {tx:?}");
    }
}
