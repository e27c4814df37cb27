//! One client: handshake, then sealed messages both ways.

use std::{io::ErrorKind, pin::Pin, sync::Arc, time::Duration};

use cadastre_protocol::{
    ClientMessage, EPOCH_MS_MAX, EnterAs, Failure, Following, GoodbyeReason, Heartbeat, Height, Limit,
    Limits, MESSAGE_BYTES_MAX, MatchId, Notice, Padding, Pass, RECORD_BYTES_MAX, RoomName, RoomSpec,
    ServerHandshake, ServerMessage, ServerSession, ShownPass, TalkRefusal, Wire, decode_exact,
};
use cadastre_rooms::{GuestId, Origin};
use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Message,
        error::ProtocolError,
        protocol::{CloseFrame, Role as SocketRole, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tracing::{Instrument, debug, info_span};

use super::{Edge, closed, http::Upgrade};
use crate::{
    clock,
    limiter::{Address, LoginPlace, Over},
    rooms::{
        Exhibit, Inbox, NotOpened, Outbox, Outgoing, RoomHandle, Shortcut, ToGuest, ToRoom, Viewport,
        Watching, outbox,
    },
    store::ReadError,
};

/// Socket buffers for reading and writing: what most connections cost.
const SOCKET_BUFFER_BYTES: usize = 4096;

/// Least time from the last message of a handshake that fails to its close, whatever the cause: the time
/// tells the peer nothing.
const FAILURE_FLOOR_MS: u64 = 250;

/// Clients that are sent away are told to come back after this time at the earliest.
const RETRY_AFTER_MS: u32 = 500;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Runs one game connection to its end.
pub(super) async fn run(upgrade: Upgrade, edge: Arc<Edge>, connection: u64) {
    let began = Instant::now();
    let metrics = edge.rooms.shared().metrics.clone();
    let Upgrade { on_upgrade, authority, address, handshake: place, connection: _connection } = upgrade;
    let upgraded = match on_upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return debug!(%error, "connection was not upgraded"),
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(SOCKET_BUFFER_BYTES)
        .write_buffer_size(SOCKET_BUFFER_BYTES)
        .max_write_buffer_size(64 * SOCKET_BUFFER_BYTES)
        .max_message_size(Some(RECORD_BYTES_MAX))
        .max_frame_size(Some(RECORD_BYTES_MAX));
    let mut socket =
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), SocketRole::Server, Some(config)).await;

    let limit = Duration::from_millis(edge.rooms.shared().config.limits.handshake_ms_max);
    let mut heard = began;
    let shaken = handshake(&mut socket, &edge, &authority, &mut heard);
    let shaken = tokio::time::timeout_at(began + limit, shaken);
    let mut closing = edge.closing.clone();
    let shaken = tokio::select! {
        shaken = Box::pin(shaken) => shaken,
        // Whoever is not logged in yet has nothing to lose.
        () = closed(&mut closing) => return,
    };
    let session = match shaken {
        Ok(Ok(session)) => session,
        refused => {
            let (reason, why) = match refused {
                Ok(Err(why)) => ("handshake", why),
                Ok(Ok(_)) | Err(_) => ("handshake-time", "time is up".to_owned()),
            };
            debug!(why, "handshake failed");
            metrics.count_closed(reason);
            tokio::time::sleep_until(heard + Duration::from_millis(FAILURE_FLOOR_MS)).await;
            let close = CloseFrame { code: CloseCode::Policy, reason: "".into() };
            let _ = tokio::time::timeout(limit, socket.close(Some(close))).await;
            return;
        }
    };
    metrics.handshakes.inc();
    drop(place);
    let identity = session.identity.public();
    let span = info_span!("player", identity = %identity, session = %session.session);
    let client = Box::new(Client::new(socket, session, edge.clone(), address, connection));
    let ended = Box::pin(attend(client, &edge)).instrument(span.clone()).await;
    let _entered = span.entered();
    metrics.count_closed(ended.reason());
    debug!(reason = ended.reason(), "connection ended");
}

/// Serves a client to the end of its connection: on other threads for as long as it watches.
async fn attend(mut client: Box<Client>, edge: &Edge) -> Ended {
    if let Err(ended) = client.welcome().await {
        return client.part(ended).await;
    }
    loop {
        let served = if client.is_watching() {
            edge.rooms.stands().run(client.serve()).await
        } else {
            Some(client.serve().await)
        };
        match served {
            Some(Ok(moves)) => client = moves,
            Some(Err(ended)) => return ended,
            None => return Ended::Gone,
        }
    }
}

/// The server's side of the handshake. The error is for the log: the peer sees none of it. Notes when the peer
/// was `heard` last.
async fn handshake(
    socket: &mut Socket,
    edge: &Edge,
    authority: &str,
    heard: &mut Instant,
) -> Result<ServerSession, String> {
    let describe = |error: cadastre_protocol::HandshakeError| error.to_string();
    // Computing costs CPU time: only so many do at once. Waiting for the peer does not.
    let turn = async || edge.handshakes.acquire().await.map_err(|error| error.to_string());
    let m1 = next_binary(socket).await.map_err(|nothing| nothing.to_string())?;
    *heard = Instant::now();
    let (await_m3, m2) = {
        let _turn = turn().await?;
        let handshake = ServerHandshake::new(&edge.identity, authority);
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        handshake.receive_m1(&m1, &mut rng).map_err(describe)?
    };
    socket.send(Message::binary(m2)).await.map_err(|error| error.to_string())?;
    let m3 = next_binary(socket).await.map_err(|nothing| nothing.to_string())?;
    *heard = Instant::now();
    let _turn = turn().await?;
    await_m3.receive(&m3).map_err(describe)
}

/// Why no binary message comes from a socket any more.
#[derive(Debug, thiserror::Error)]
enum Nothing {
    #[error("a text message")]
    Text,
    #[error("closed by the peer")]
    Closed,
    #[error("{0}")]
    Failed(tungstenite::Error),
}

impl Nothing {
    /// What this means for a client that is logged in.
    fn ended(&self) -> Ended {
        match self {
            Self::Text => Ended::Broken("text"),
            Self::Failed(tungstenite::Error::Capacity(_)) => Ended::Broken("frame"),
            Self::Failed(tungstenite::Error::Protocol(error))
                if *error != ProtocolError::ResetWithoutClosingHandshake =>
            {
                Ended::Broken("frame")
            }
            Self::Closed | Self::Failed(_) => Ended::Gone,
        }
    }
}

async fn next_binary(socket: &mut Socket) -> Result<Vec<u8>, Nothing> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Frame(_))) => return Err(Nothing::Text),
            Some(Ok(Message::Close(_))) | None => return Err(Nothing::Closed),
            Some(Err(error)) => return Err(Nothing::Failed(error)),
        }
    }
}

/// Why a connection ended.
enum Ended {
    /// The peer left or was lost.
    Gone,
    /// The peer broke the record layer or sent something that is no message.
    Broken(&'static str),
    /// The peer does not read.
    Stuck,
    /// We parted with it.
    Goodbye(GoodbyeReason),
    /// We parted with it because of a limit.
    Limited(Over<Limit>),
}

impl Ended {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Broken(what) => what,
            Self::Stuck => "stuck",
            Self::Goodbye(GoodbyeReason::Shutdown) => "shutdown",
            Self::Goodbye(GoodbyeReason::Replaced) => "replaced",
            Self::Goodbye(GoodbyeReason::TooSlow) => "too-slow",
            Self::Goodbye(GoodbyeReason::Silent) => "silent",
            Self::Goodbye(GoodbyeReason::RoomClosed) => "room-closed",
            Self::Goodbye(GoodbyeReason::TooFast) => "too-fast",
            Self::Limited(_) => "limited",
        }
    }
}

/// A client that is logged in.
struct Client {
    socket: Socket,
    session: ServerSession,
    edge: Arc<Edge>,
    notices: watch::Receiver<Option<Notice>>,
    address: Address,
    login: Option<LoginPlace>,
    guest: GuestId,
    room: Option<Membership>,
    /// The client has asked for a fork, whose parent is being executed.
    forking: Option<Pin<Box<dyn Future<Output = Fork> + Send>>>,
    following: Following,
    /// Does it take compressed messages?
    packed: bool,
    /// What it watches as a light spectator.
    viewport: Viewport,
    frames: Vec<Vec<u8>>,
    began: Instant,
    heartbeat: Heartbeat,
    /// Records since the second began that is counted.
    records: (Instant, u32),
    keyed: Instant,
}

/// The client is in a room, or has asked to be.
struct Membership {
    inputs: mpsc::Sender<ToRoom>,
    enter_as: EnterAs,
    /// The last block that was sent.
    told: Height,
    inbox: Inbox,
    /// Of a light spectator.
    watching: Option<Box<Watching>>,
}

/// The room of a fork, its settings, and what it goes on from.
type Fork = (RoomName, Result<(RoomSpec, Origin), Failure>);

/// What comes from a room.
enum FromRoom {
    Said(ToGuest),
    /// A block, and whether some before it were left out.
    Shown(Arc<Exhibit>, bool),
    /// The room closed the queue because it was full.
    Closed,
}

impl Client {
    fn new(
        socket: Socket,
        session: ServerSession,
        edge: Arc<Edge>,
        address: Address,
        connection: u64,
    ) -> Self {
        let ServerSession { sealer, opener, identity, session: name } = session;
        let heartbeat_ms = edge.rooms.shared().config.limits.heartbeat_ms;
        let opener = opener.limited_to(ClientMessage::BYTES_MAX.min(MESSAGE_BYTES_MAX));
        Self {
            socket,
            session: ServerSession { sealer, opener, identity, session: name },
            notices: edge.notices.clone(),
            edge,
            address,
            login: None,
            guest: GuestId::new(connection),
            room: None,
            forking: None,
            following: Following::Blocks,
            packed: false,
            viewport: None,
            frames: Vec::new(),
            began: Instant::now(),
            heartbeat: Heartbeat::new(heartbeat_ms, Duration::from_millis(u64::from(heartbeat_ms))),
            records: (Instant::now(), 0),
            keyed: Instant::now(),
        }
    }

    /// Serves the client until it begins to watch, or ceases to, or its connection ends.
    async fn serve(mut self: Box<Self>) -> Result<Box<Self>, Ended> {
        match self.converse().await {
            Ok(()) => Ok(self),
            Err(ended) => Err(self.part(ended).await),
        }
    }

    /// Is it in a room as one who watches, or has asked to be?
    fn is_watching(&self) -> bool {
        self.room.as_ref().is_some_and(|room| room.enter_as != EnterAs::Player)
    }

    /// Ends the connection.
    async fn part(mut self: Box<Self>, ended: Ended) -> Ended {
        if let Some(room) = &self.room {
            // A room that is gone needs no farewell.
            let _ = room.inputs.send(ToRoom::Leave { guest: self.guest }).await;
        }
        let farewell = match ended {
            Ended::Goodbye(reason) => Some((reason, RETRY_AFTER_MS)),
            Ended::Limited(over) => {
                let _ = self.send_limited(over).await;
                Some((GoodbyeReason::TooFast, over.retry_after_ms))
            }
            Ended::Gone | Ended::Broken(_) | Ended::Stuck => None,
        };
        if let Some((reason, retry_after_ms)) = farewell {
            let _ = self.send(&Outgoing::new(&ServerMessage::Goodbye { reason, retry_after_ms })).await;
        }
        let close = match ended {
            Ended::Broken(_) => Some(CloseFrame { code: CloseCode::Policy, reason: "".into() }),
            Ended::Gone | Ended::Stuck | Ended::Goodbye(_) | Ended::Limited(_) => None,
        };
        let limit = Duration::from_millis(self.edge.rooms.shared().config.limits.write_ms_max);
        let _ = tokio::time::timeout(limit, self.socket.close(close)).await;
        ended
    }

    async fn welcome(&mut self) -> Result<(), Ended> {
        let heartbeat_ms = self.edge.rooms.shared().config.limits.heartbeat_ms;
        let accept = ServerMessage::Accept {
            session: self.session.session,
            limits: Limits {
                heartbeat_ms,
                message_bytes_max: u32::try_from(ClientMessage::BYTES_MAX).unwrap_or(u32::MAX),
            },
            server_time: clock::now(),
        };
        self.send(&Outgoing::new(&accept)).await?;
        let identity = self.session.identity.public();
        self.login = Some(self.edge.limiter.login(identity).map_err(Ended::Limited)?);
        self.notices.mark_changed();
        Ok(())
    }

    /// Does what the client and its room say, until it begins to watch or ceases to.
    async fn converse(&mut self) -> Result<(), Ended> {
        let was_watching = self.is_watching();
        let mut closing = self.edge.closing.clone();
        while self.is_watching() == was_watching {
            tokio::select! {
                biased;
                // Before the farewell that it may announce.
                Ok(()) = self.notices.changed() => {
                    let notice = self.notices.borrow_and_update().clone();
                    if let Some(notice) = notice {
                        self.send(&Outgoing::new(&ServerMessage::Notice(notice))).await?;
                    }
                }
                news = next_of(&mut self.room) => match news {
                    FromRoom::Said(message) => self.tell(message).await?,
                    FromRoom::Shown(exhibit, skipped) => {
                        self.edge.rooms.shared().metrics.views_skipped.inc_by(skipped.into());
                        self.show(&exhibit).await?;
                    }
                    FromRoom::Closed => return Err(Ended::Goodbye(GoodbyeReason::TooSlow)),
                },
                received = next_binary(&mut self.socket) => {
                    let record = received.map_err(|nothing| {
                        debug!(%nothing, "connection is lost");
                        nothing.ended()
                    })?;
                    self.heartbeat.heard(self.began.elapsed());
                    self.receive(record).await?;
                }
                (room, fork) = made(&mut self.forking) => {
                    self.forking = None;
                    match fork {
                        Ok((spec, origin)) => self.open(room, spec, Some(origin)).await?,
                        Err(failure) => self.fail(failure).await?,
                    }
                }
                () = tokio::time::sleep_until(self.began + self.heartbeat.wakes_at()) => {
                    self.beat().await?;
                }
                // In a room, the room says goodbye once everything is on disk.
                () = closed(&mut closing), if self.room.is_none() => {
                    return Err(Ended::Goodbye(GoodbyeReason::Shutdown));
                }
            }
        }
        Ok(())
    }

    /// Parts with a client that has been silent for too long, and asks any other whether it is there.
    async fn beat(&mut self) -> Result<(), Ended> {
        let now = self.began.elapsed();
        if self.heartbeat.is_lost(now) {
            return Err(Ended::Goodbye(GoodbyeReason::Silent));
        }
        match self.heartbeat.ask(now) {
            Some(number) => self.send(&Outgoing::new(&ServerMessage::Ping(number))).await,
            None => Ok(()),
        }
    }

    async fn receive(&mut self, record: Vec<u8>) -> Result<(), Ended> {
        let metrics = &self.edge.rooms.shared().metrics;
        metrics.bytes_received.inc_by(record.len() as u64);
        let opened = self.session.opener.open(record).map_err(|error| {
            debug!(%error, "record does not open");
            Ended::Broken("record")
        })?;
        self.count_record()?;
        let Some(bytes) = opened else { return Ok(()) };
        let message: ClientMessage = decode_exact(&bytes).map_err(|error| {
            debug!(%error, "message does not decode");
            Ended::Broken("message")
        })?;
        let identity = self.session.identity.public();
        if let Err(over) = self.edge.limiter.message(&message, identity, self.address) {
            return match message {
                ClientMessage::Say(talk) if is_of_talks(over.limit) => {
                    let Over { limit, retry_after_ms } = over;
                    let refusal = TalkRefusal::Limited { limit, retry_after_ms };
                    self.send(&Outgoing::new(&ServerMessage::NotSaid { talk: talk.hash(), refusal })).await
                }
                ClientMessage::Create { .. } | ClientMessage::Enter { .. } | ClientMessage::Resume { .. } => {
                    self.send_limited(over).await
                }
                ClientMessage::Ready { .. }
                | ClientMessage::Submit(_)
                | ClientMessage::Leave
                | ClientMessage::Ping(_)
                | ClientMessage::Pong(_)
                | ClientMessage::Compare(_)
                | ClientMessage::Follow { .. }
                | ClientMessage::Watch(_)
                | ClientMessage::Say(_)
                | ClientMessage::Rematch => Err(Ended::Limited(over)),
            };
        }
        match message {
            ClientMessage::Create { room, spec } => {
                self.check_serving()?;
                match spec.fork {
                    _ if self.forking.is_some() => self.fail(Failure::WrongState).await,
                    None => self.open(room, spec, None).await,
                    Some(point) => {
                        let fork = self.edge.rooms.clone().fork(room.clone(), spec, point, identity);
                        self.forking = Some(Box::pin(async { (room, fork.await) }));
                        Ok(())
                    }
                }
            }
            ClientMessage::Enter { room, enter_as, name, pass } => {
                let handle = self.edge.rooms.find(&room).await;
                let (guest, shown) = (self.guest, self.shown(pass));
                let enter = |outbox| ToRoom::Enter { guest, outbox, identity, enter_as, name, shown };
                self.enter(handle, Failure::NoSuchRoom, enter_as, enter).await
            }
            ClientMessage::Resume { match_id, enter_as, height, block, pass } => {
                let handle = self.edge.rooms.find_match(match_id).await;
                // Who executes nothing could do nothing with the blocks.
                if handle.is_none() && enter_as != EnterAs::Light {
                    return self.resume_from_store(match_id, height, block).await;
                }
                let (guest, shown) = (self.guest, self.shown(pass));
                let resume =
                    |outbox| ToRoom::Resume { guest, outbox, identity, enter_as, height, block, shown };
                self.enter(handle, Failure::NoSuchMatch, enter_as, resume).await
            }
            ClientMessage::Ready { ready, chain } => {
                self.say(ToRoom::Ready { guest: self.guest, ready, chain }).await
            }
            ClientMessage::Submit(transaction) => {
                self.say(ToRoom::Submit { guest: self.guest, transaction }).await
            }
            ClientMessage::Say(talk) => self.say(ToRoom::Say { guest: self.guest, talk }).await,
            ClientMessage::Compare(request) => self.say(ToRoom::Compare { guest: self.guest, request }).await,
            // One that comes from within a room is for the next.
            ClientMessage::Follow { following, packed } => {
                (self.following, self.packed) = (following, packed);
                Ok(())
            }
            ClientMessage::Watch(chunks) => {
                self.viewport = chunks.map(Into::into);
                if let Some(watching) = self.room.as_mut().and_then(|room| room.watching.as_mut()) {
                    watching.look_at(self.viewport.clone());
                }
                Ok(())
            }
            ClientMessage::Rematch => self.say(ToRoom::Rematch { guest: self.guest }).await,
            ClientMessage::Leave => {
                let said = self.say(ToRoom::Leave { guest: self.guest }).await;
                self.room = None;
                said
            }
            ClientMessage::Ping(number) => self.send(&Outgoing::new(&ServerMessage::Pong(number))).await,
            ClientMessage::Pong(number) => {
                if let Some(took) = self.heartbeat.answered(number, self.began.elapsed()) {
                    self.edge.rooms.shared().metrics.round_trip_seconds.observe(took.as_secs_f64());
                }
                Ok(())
            }
        }
    }

    /// Opens a room. What that of a fork goes on from is made before.
    async fn open(&mut self, room: RoomName, spec: RoomSpec, origin: Option<Origin>) -> Result<(), Ended> {
        self.check_serving()?;
        let identity = self.session.identity.public();
        let place = || self.edge.limiter.room(identity, self.address);
        match self.edge.rooms.create(room.clone(), spec, origin, identity, place) {
            Ok(()) => self.send(&Outgoing::new(&ServerMessage::Created { room })).await,
            Err(NotOpened::Failed(failure)) => self.fail(failure).await,
            Err(NotOpened::Limited(over)) => self.send_limited(over).await,
        }
    }

    /// What the client shows at a door, in this very session.
    fn shown(&self, pass: Option<Pass>) -> Option<Box<ShownPass>> {
        let session = self.session.session;
        pass.map(|pass| Box::new(ShownPass { pass, session }))
    }

    async fn enter(
        &mut self,
        handle: Option<RoomHandle>,
        missing: Failure,
        enter_as: EnterAs,
        message: impl FnOnce(Outbox) -> ToRoom,
    ) -> Result<(), Ended> {
        self.check_serving()?;
        let Some(RoomHandle { inputs, .. }) = handle else { return self.fail(missing).await };
        if self.room.is_some() {
            return self.fail(Failure::WrongState).await;
        }
        let (outbox, inbox) = outbox(&self.edge.rooms.shared().config.limits, enter_as, self.following);
        self.room = Some(Membership { inputs, enter_as, told: Height::GENESIS, inbox, watching: None });
        self.say(message(outbox)).await
    }

    /// Says something to the room that the client is in.
    async fn say(&mut self, message: ToRoom) -> Result<(), Ended> {
        let Some(room) = &self.room else { return self.fail(Failure::WrongState).await };
        if room.inputs.send(message).await.is_err() {
            self.room = None;
            return Err(Ended::Goodbye(GoodbyeReason::RoomClosed));
        }
        Ok(())
    }

    /// While rooms close, or when nothing can be remembered any more, nothing can be begun: the client is sent
    /// away, and comes back when the service does.
    fn check_serving(&self) -> Result<(), Ended> {
        if self.edge.rooms.is_serving() { Ok(()) } else { Err(Ended::Goodbye(GoodbyeReason::Shutdown)) }
    }

    /// Parts with a client that sends more records in a second than it may.
    fn count_record(&mut self) -> Result<(), Ended> {
        let (since, count) = &mut self.records;
        if since.elapsed() >= Duration::from_secs(1) {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        let allowed = self.edge.rooms.shared().config.limits.messages_per_s_max;
        if *count <= allowed {
            return Ok(());
        }
        self.edge.rooms.shared().metrics.count_limited("messages_per_s_max");
        Err(Ended::Goodbye(GoodbyeReason::TooFast))
    }

    /// Serves a match that is over and has no room any more. A match that is not over has a room as soon as the
    /// service is well again.
    async fn resume_from_store(
        &mut self,
        match_id: MatchId,
        after: Height,
        block: cadastre_protocol::BlockHash,
    ) -> Result<(), Ended> {
        let store = &self.edge.rooms.shared().store;
        let unreadable = |error: ReadError| {
            tracing::error!(%match_id, error = &error as &dyn std::error::Error, "cannot read a match");
            Ended::Goodbye(GoodbyeReason::Shutdown)
        };
        let Some(mark) = store.mark(match_id).map_err(unreadable)? else {
            return self.fail(Failure::NoSuchMatch).await;
        };
        if !mark.sealed {
            return Err(Ended::Goodbye(GoodbyeReason::Shutdown));
        }
        if after > mark.height || !store.is_known(match_id, after, block).map_err(unreadable)? {
            return self.fail(Failure::UnknownHead).await;
        }
        self.send_blocks(match_id, after, mark.height).await
    }

    async fn tell(&mut self, message: ToGuest) -> Result<(), Ended> {
        match message {
            ToGuest::Message(message) => {
                self.send(&message).await?;
                if let Some(room) = &mut self.room {
                    if message.is_block() {
                        room.told = room.told.next().unwrap_or(room.told);
                    } else if message.is_genesis() {
                        room.told = Height::GENESIS;
                    }
                }
                Ok(())
            }
            ToGuest::CatchUp { match_id, after, to, shortcut } => {
                let after = match shortcut {
                    Some(shortcut) => self.send_shortcut(after, &shortcut).await?,
                    None => after,
                };
                self.send_blocks(match_id, after, to).await?;
                if let Some(room) = &mut self.room {
                    room.told = to;
                }
                Ok(())
            }
            ToGuest::Behind => {
                self.edge.rooms.shared().metrics.followers_skipped.inc();
                let after = self.room.as_ref().map_or(Height::GENESIS, |room| room.told);
                self.say(ToRoom::GoOn { guest: self.guest, after }).await
            }
            ToGuest::Watch(mut watching) => {
                watching.look_at(self.viewport.clone());
                if let Some(room) = &mut self.room {
                    room.watching = Some(watching);
                }
                Ok(())
            }
            ToGuest::FirstState(messages) => {
                for message in messages.iter() {
                    self.send(message).await?;
                }
                Ok(())
            }
            ToGuest::NotAdmitted(failure) => {
                self.room = None;
                self.fail(failure).await
            }
            ToGuest::Dismissed(reason) => Err(Ended::Goodbye(reason)),
        }
    }

    /// Sends a shortcut if it has fewer bytes than the blocks that it stands for. Gives the height to go on from.
    async fn send_shortcut(&mut self, after: Height, shortcut: &Shortcut) -> Result<Height, Ended> {
        let store = &self.edge.rooms.shared().store;
        let messages = tokio::task::block_in_place(|| shortcut.messages(store, after)).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot read a block");
            Ended::Goodbye(GoodbyeReason::RoomClosed)
        })?;
        let Some(messages) = messages else { return Ok(after) };
        for message in messages {
            self.send(&message).await?;
        }
        Ok(shortcut.height())
    }

    /// Shows a light spectator a block.
    async fn show(&mut self, exhibit: &Exhibit) -> Result<(), Ended> {
        let Some(watching) = self.room.as_mut().and_then(|room| room.watching.as_mut()) else {
            return Ok(());
        };
        let messages = watching.messages(exhibit).map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "cannot read a block");
            Ended::Goodbye(GoodbyeReason::RoomClosed)
        })?;
        for message in messages {
            self.send(&message).await?;
        }
        Ok(())
    }

    async fn send_blocks(&mut self, match_id: MatchId, after: Height, to: Height) -> Result<(), Ended> {
        for height in after.get() + 1..=to.get() {
            let block = self.edge.rooms.shared().store.block(match_id, Height::new(height)).map_err(|error| {
                tracing::error!(%match_id, height, error = &error as &dyn std::error::Error, "cannot read a block");
                Ended::Goodbye(GoodbyeReason::RoomClosed)
            })?;
            self.send(&Outgoing::new(&ServerMessage::Block(block))).await?;
        }
        self.send(&Outgoing::new(&ServerMessage::CaughtUp { height: to })).await
    }

    async fn fail(&mut self, failure: Failure) -> Result<(), Ended> {
        self.edge.rooms.shared().metrics.count_failed(failure_word(failure));
        self.send(&Outgoing::new(&ServerMessage::Failed(failure))).await
    }

    async fn send_limited(&mut self, Over { limit, retry_after_ms }: Over<Limit>) -> Result<(), Ended> {
        self.send(&Outgoing::new(&ServerMessage::Limited { limit, retry_after_ms })).await
    }

    /// Seals and sends a message. Nothing else is done meanwhile, so a peer that does not read is found by
    /// the clock.
    async fn send(&mut self, message: &Outgoing) -> Result<(), Ended> {
        if self.keyed.elapsed() > Duration::from_millis(EPOCH_MS_MAX) {
            self.keyed = Instant::now();
            let update = self.session.sealer.update_key().map_err(|_| Ended::Broken("keys-exhausted"))?;
            self.frames.push(update);
        }
        self.session
            .sealer
            .seal(message.bytes(self.packed), Padding::Block64, &mut self.frames)
            .map_err(|_| Ended::Broken("keys-exhausted"))?;
        let limit = Duration::from_millis(self.edge.rooms.shared().config.limits.write_ms_max);
        let sent: u64 = self.frames.iter().map(|frame| frame.len() as u64).sum();
        let (socket, frames) = (&mut self.socket, &mut self.frames);
        let sending = async {
            for frame in frames.drain(..) {
                socket.feed(Message::binary(frame)).await?;
            }
            socket.flush().await
        };
        match tokio::time::timeout(limit, sending).await {
            Ok(Ok(())) => {
                let metrics = &self.edge.rooms.shared().metrics;
                metrics.bytes_sent.inc_by(sent);
                let (plain, packed) = (message.plain_len(), message.bytes(self.packed).len());
                metrics.count_message(message.kind(), plain, packed);
                Ok(())
            }
            Ok(Err(tungstenite::Error::Io(error))) if error.kind() == ErrorKind::TimedOut => {
                Err(Ended::Stuck)
            }
            Ok(Err(_)) => Err(Ended::Gone),
            Err(_) => Err(Ended::Stuck),
        }
    }
}

/// Whoever says too much is not sent away for it: the match goes on.
const fn is_of_talks(limit: Limit) -> bool {
    matches!(limit, Limit::TalksPerIdentity | Limit::TalksPerAddress)
}

/// One word for what cannot be done.
const fn failure_word(failure: Failure) -> &'static str {
    match failure {
        Failure::RoomExists => "room-exists",
        Failure::NoSuchRoom => "no-such-room",
        Failure::NoSuchMatch => "no-such-match",
        Failure::BadSpec => "bad-spec",
        Failure::TooManyRooms => "too-many-rooms",
        Failure::RoomFull => "room-full",
        Failure::NotSeated => "not-seated",
        Failure::NoSpectators => "no-spectators",
        Failure::WrongState => "wrong-state",
        Failure::UnknownHead => "unknown-head",
        Failure::Unavailable => "unavailable",
        Failure::NotInvited => "not-invited",
        Failure::WrongPassword => "wrong-password",
    }
}

/// What comes next from the room, if the client is in one: what it says first, for it comes before what it shows.
async fn next_of(room: &mut Option<Membership>) -> FromRoom {
    let Some(Membership { inbox, watching, .. }) = room else { return std::future::pending().await };
    tokio::select! {
        biased;
        said = inbox.recv() => said.map_or(FromRoom::Closed, FromRoom::Said),
        (exhibit, skipped) = next_shown(watching) => FromRoom::Shown(exhibit, skipped),
    }
}

/// The fork that the client has asked for, if it has.
async fn made(forking: &mut Option<Pin<Box<dyn Future<Output = Fork> + Send>>>) -> Fork {
    match forking {
        Some(forking) => forking.await,
        None => std::future::pending().await,
    }
}

async fn next_shown(watching: &mut Option<Box<Watching>>) -> (Arc<Exhibit>, bool) {
    match watching {
        Some(watching) => watching.next().await,
        None => std::future::pending().await,
    }
}
