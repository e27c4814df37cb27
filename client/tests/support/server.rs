//! The server: one room, its store, and the edge that stands before it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cadastre_protocol::{
    Certificate, ChainSecret, ChunkId, ClientMessage, Digest, Failure, Following, GoodbyeReason, Height,
    JoinPoint, KeyRole, Millis, Pass, ProvenHeader, PublicKey, RoomName, RoomSpec, Seat, SecretKey,
    ServerMessage, ShownPass, SignedCertificate,
};
use cadastre_rooms::{Event, GuestId, Host, Input, Origin, Output, Room, Shown};
use cadastre_simulations::Incident;

use super::{SERIAL, root_key, signer_key, store::Store};

/// Blocks that a client is told one by one in any case.
pub(crate) const MISSED_MAX: u64 = 1;

/// Somebody who is shown the match.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    viewport: Option<Vec<ChunkId>>,
    head: Height,
    has_chunks: bool,
    is_in: bool,
    /// Is left out when something is shown.
    pub(crate) is_slow: bool,
}

/// Everything outside the network.
pub(crate) struct Server {
    room: Option<Room>,
    pub(crate) store: Store,
    /// What the match of a room that is opened goes on from.
    pub(crate) origin: Option<Origin>,
    /// Links that the room has let in.
    inside: BTreeSet<u64>,
    /// Links whose clients take a snapshot.
    shortened: BTreeSet<u64>,
    /// What links are shown whose clients execute nothing.
    pub(crate) watching: BTreeMap<u64, Watcher>,
    pub(crate) newest: Option<Arc<Shown>>,
    /// Makes the match ids of each incarnation other ones.
    entropy: [u8; 32],
    /// When the room wants to be woken, by the server's clock.
    pub(crate) wake: Option<Millis>,
    effects: Vec<Effect>,
    /// What guests compared, with their seats.
    pub(crate) incidents: Vec<(Option<Seat>, Incident)>,
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
    /// [`Server::wake`] has changed.
    WakeAt(Millis),
}

impl Server {
    pub(crate) fn new(store: Store, entropy: [u8; 32], now: Millis) -> Self {
        let mut server = Self {
            room: None,
            store,
            origin: None,
            inside: BTreeSet::new(),
            shortened: BTreeSet::new(),
            watching: BTreeMap::new(),
            newest: None,
            entropy,
            wake: None,
            effects: Vec::new(),
            incidents: Vec::new(),
        };
        if let Some(restored) = server.store.restored() {
            server.room = Some(Room::restore(room_name(), server.host(), restored, now).unwrap());
            server.carry_out();
        }
        server
    }

    /// What there is to do since the last call.
    pub(crate) fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(crate) fn receive(&mut self, now: Millis, link: u64, identity: PublicKey, message: ClientMessage) {
        let guest = GuestId::new(link);
        match message {
            ClientMessage::Create { room, spec } => self.create(link, room, spec),
            ClientMessage::Enter { enter_as, name, pass, .. } => {
                let shown = shown(pass);
                let enter = Input::Enter { guest, identity, enter_as, name, shown };
                self.enter(now, link, Failure::NoSuchRoom, enter);
            }
            ClientMessage::Resume { match_id, enter_as, height, block, pass } => {
                let is_here = self.room.as_ref().is_some_and(|room| room.match_id() == Some(match_id));
                if !is_here {
                    return self.fail(link, Failure::NoSuchMatch);
                }
                let stored = self.store.block(height).map(|block| block.clone().read().unwrap());
                let known = match stored {
                    Some(stored) => stored.block().hash() == block,
                    None => height == Height::GENESIS && block == match_id.as_block(),
                };
                let shown = shown(pass);
                let resume = Input::Resume { guest, identity, enter_as, height, known, shown };
                self.enter(now, link, Failure::NoSuchMatch, resume);
            }
            ClientMessage::Ready { ready, chain } => {
                self.say(now, link, Input::Ready { guest, ready, chain });
            }
            ClientMessage::Submit(transaction) => self.say(now, link, Input::Submit { guest, transaction }),
            ClientMessage::Compare(request) => self.say(now, link, Input::Compare { guest, request }),
            ClientMessage::Follow { following, .. } => {
                self.shortened.remove(&link);
                if following == Following::Snapshot {
                    self.shortened.insert(link);
                }
            }
            ClientMessage::Watch(viewport) => {
                let watcher = self.watching.entry(link).or_default();
                (watcher.viewport, watcher.has_chunks) = (viewport, false);
                if watcher.is_in {
                    self.show(link);
                }
            }
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
        if self.inside.remove(&link) {
            self.feed(now, Input::Leave { guest: GuestId::new(link) });
        }
    }

    /// The store answers the oldest commit that it has written.
    pub(crate) fn answer(&mut self, now: Millis) {
        if let Some(proofs) = self.store.answer() {
            self.feed(now, Input::Committed { proofs });
        }
    }

    pub(crate) fn feed(&mut self, now: Millis, input: Input) {
        if let Some(room) = &mut self.room {
            room.handle(now, input);
        }
        self.carry_out();
    }

    fn create(&mut self, link: u64, room: RoomName, spec: RoomSpec) {
        if self.room.is_some() {
            return self.fail(link, Failure::RoomExists);
        }
        let opened = match self.origin.clone() {
            None => Room::open(room.clone(), self.host(), spec),
            Some(origin) => Room::fork(room.clone(), self.host(), spec, origin),
        };
        self.room = Some(opened.unwrap());
        self.send(link, ServerMessage::Created { room });
    }

    fn enter(&mut self, now: Millis, link: u64, missing: Failure, input: Input) {
        if self.room.is_none() {
            return self.fail(link, missing);
        }
        assert!(self.inside.insert(link), "a session enters once");
        self.feed(now, input);
    }

    /// Says something to the room, if the link is in it.
    fn say(&mut self, now: Millis, link: u64, input: Input) {
        if self.inside.contains(&link) {
            self.feed(now, input);
        } else {
            self.fail(link, Failure::WrongState);
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.room.as_mut().and_then(Room::poll) {
            match output {
                Output::Commit(records) => {
                    self.store.hand_over(records);
                    self.effects.push(Effect::Commit);
                }
                Output::Send { to, message } => self.send(to.get(), message),
                Output::Broadcast { to, message } => {
                    to.into_iter().for_each(|guest| self.send(guest.get(), message.clone()));
                }
                Output::FirstState { to, state } => {
                    for message in ServerMessage::chunks_of(state.to_vec()) {
                        to.iter().for_each(|guest| self.send(guest.get(), message.clone()));
                    }
                }
                Output::CatchUp { guest, after, to } => {
                    let after = self.shorten(guest.get(), after).unwrap_or(after);
                    for height in after.get() + 1..=to.get() {
                        let block = self.store.block(Height::new(height)).unwrap().clone();
                        self.send(guest.get(), ServerMessage::Block(block));
                    }
                    self.send(guest.get(), ServerMessage::CaughtUp { height: to });
                }
                Output::Watch { guest, after } => {
                    let watcher = self.watching.entry(guest.get()).or_default();
                    (watcher.head, watcher.is_in, watcher.has_chunks) = (after, true, false);
                    self.show(guest.get());
                }
                Output::Show(shown) => {
                    self.newest = Some(shown);
                    let links = self.watching.iter().filter(|(_, watcher)| watcher.is_in && !watcher.is_slow);
                    let links: Vec<_> = links.map(|(link, _)| *link).collect();
                    links.into_iter().for_each(|link| self.show(link));
                }
                Output::Refuse { guest, failure } => {
                    self.inside.remove(&guest.get());
                    self.fail(guest.get(), failure);
                }
                Output::Dismiss { guest, reason } => self.dismiss(guest.get(), reason),
                Output::WakeAt(time) => {
                    self.wake = Some(time);
                    self.effects.push(Effect::WakeAt(time));
                }
                Output::Observed(Event::Diverged { seat, incident, .. }) => {
                    self.incidents.push((seat, *incident));
                }
                Output::Observed(Event::Rematch { .. }) => self.newest = None,
                Output::Observed(event) => {
                    assert!(!matches!(event, Event::Broken { .. }), "{event:?}");
                }
            }
        }
    }

    /// Sends a link what it watches of the newest block.
    pub(crate) fn show(&mut self, link: u64) {
        let (Some(shown), Some(watcher)) = (self.newest.clone(), self.watching.get(&link)) else { return };
        let (viewport, head) = (watcher.viewport.as_deref(), watcher.head);
        let messages = if watcher.has_chunks && head.next() == Some(shown.height) {
            shown.changes(viewport)
        } else {
            let is_new = head == Height::GENESIS || head == shown.height;
            let place = if is_new { Vec::new() } else { self.place_of(head, shown.height) };
            shown.whole(viewport, place)
        };
        let watcher = self.watching.get_mut(&link).unwrap();
        (watcher.head, watcher.has_chunks) = (shown.height, true);
        messages.into_iter().for_each(|message| self.send(link, message));
    }

    fn place_of(&self, own: Height, height: Height) -> Vec<Digest> {
        let stored = self.store.blocks().iter().map(|block| ProvenHeader::of(block).unwrap().hash());
        let genesis = self.room.as_ref().unwrap().match_id().unwrap().as_block();
        let blocks = std::iter::once(genesis).chain(stored).take(usize::try_from(height.get()).unwrap());
        JoinPoint::place_of(own, blocks)
    }

    /// Sends a snapshot to a link that takes one and has missed much. Gives the height of its block.
    fn shorten(&mut self, link: u64, after: Height) -> Option<Height> {
        let room = self.room.as_ref().filter(|_| self.shortened.contains(&link))?;
        let height = room.joinable_at().filter(|height| height.get() > after.get() + MISSED_MAX)?;
        let (state, snapshot) = room.snapshot()?;
        let place = self.place_of(after, height);
        let block = ProvenHeader::of(self.store.block(height).unwrap()).unwrap();
        self.send(link, ServerMessage::Snapshot(Box::new(JoinPoint { block, state, place })));
        ServerMessage::chunks_of(snapshot).into_iter().for_each(|chunks| self.send(link, chunks));
        Some(height)
    }

    fn dismiss(&mut self, link: u64, reason: GoodbyeReason) {
        self.inside.remove(&link);
        self.send(link, ServerMessage::Goodbye { reason, retry_after_ms: 0 });
        self.effects.push(Effect::Close { link });
    }

    fn fail(&mut self, link: u64, failure: Failure) {
        self.send(link, ServerMessage::Failed(failure));
    }

    fn send(&mut self, link: u64, message: ServerMessage) {
        self.effects.push(Effect::Send { link, message });
    }

    fn host(&self) -> Host {
        Host {
            root: root_key().public(),
            signer: signed_certificate(&root_key(), self.store.serial()),
            entropy: self.entropy,
            deadline_ms: 1_000,
            spectators_max: 4,
            chain_secret: ChainSecret::new(&[77; 32]),
        }
    }
}

/// Certificate of the first block signer.
pub(crate) fn certificate(root: &SecretKey) -> SignedCertificate {
    signed_certificate(root, SERIAL)
}

/// Certificate of the block signer of a serial.
pub(crate) fn signed_certificate(root: &SecretKey, serial: u32) -> SignedCertificate {
    let certificate = Certificate {
        version: Certificate::VERSION,
        role: KeyRole::Block,
        key: signer_key(serial).public(),
        serial,
        valid_from: Millis::new(0),
        valid_to: Millis::new(u64::MAX),
    };
    SignedCertificate::issue(root, &certificate)
}

pub(crate) fn room_name() -> RoomName {
    RoomName::new("arena").unwrap()
}

/// All connections are of one session.
fn shown(pass: Option<Pass>) -> Option<Box<ShownPass>> {
    pass.map(|pass| Box::new(ShownPass { pass, session: Digest::ZERO }))
}
