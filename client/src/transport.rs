//! Drives a [`Session`] over tokio-tungstenite, and comes back by itself when a connection is lost.

use std::{collections::VecDeque, time::Duration};

use cadastre_protocol::{
    ClientMessage, Digest, Failure, Following, GoodbyeReason, HandshakeError, Heartbeat, Millis, Motion,
    PublicKey, RECORD_BYTES_MAX, Reaction, RoomName, RoomSpec, SecretKey, ServerMessage, SignedDelegation,
    TalkHash, Text, Trust, Turn, TxHash,
};
use cadastre_simulations::Game;
use futures_util::{SinkExt, StreamExt};
use tokio::{net::TcpStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::{
            HeaderValue, Response, StatusCode,
            header::{RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL},
        },
        protocol::WebSocketConfig,
    },
};

use crate::{
    connection::{Connection, ConnectionError, Received, SUBPROTOCOL},
    light::Viewport,
    prediction::Predicted,
    session::{Config, Event, LendError, Session, SessionError, SubmitError},
    talk::SayError,
};

/// Time within which a connection must be open and the client logged in.
const CONNECT_MS_MAX: u64 = 10_000;

/// Wait before the first new attempt; doubled for each further one.
const BACKOFF_MS_MIN: u64 = 50;

/// Longest wait between two attempts.
const BACKOFF_MS_MAX: u64 = 5_000;

/// Time after which a client that was logged in once gives the server up.
const RETRY_MS_MAX: u64 = 15 * 60 * 1000;

/// Header of a response with status 429: the name of the limit.
pub const LIMIT_HEADER: &str = "cadastre-limit";

/// How long a traffic key may be in use.
const KEY_MS_MAX: u64 = cadastre_protocol::EPOCH_MS_MAX;

/// Where a server is: `ws://HOST:PORT` or `http://HOST:PORT`, which mean the same port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    authority: String,
}

impl ServerUrl {
    /// Reads a URL with nothing after the port but an optional `/`.
    ///
    /// # Errors
    ///
    /// [`UrlError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let rest = text.strip_prefix("ws://").or_else(|| text.strip_prefix("http://")).ok_or(UrlError)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = authority.rsplit_once(':').ok_or(UrlError)?;
        let host_fits = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        if host_fits && port.parse::<u16>().is_ok_and(|port| port > 0) {
            Ok(Self { authority: authority.to_owned() })
        } else {
            Err(UrlError)
        }
    }

    /// Host and port as they are dialled.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ws://{}", self.authority)
    }
}

/// A server's URL is not of the form that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a server URL; it looks like ws://127.0.0.1:7777")]
pub struct UrlError;

/// A session with its connection.
pub struct Client {
    url: ServerUrl,
    trust: Trust,
    identity: SecretKey,
    session: Box<Session>,
    link: Option<Link>,
    /// When the last connection was lost, and how often it was tried since. `None` before the first.
    lost: Option<(Instant, u32)>,
    /// The server asked to stay away for this long.
    retry_after_ms: u64,
    /// Why the session cannot go on; told after its last events.
    failed: Option<SessionError>,
}

struct Link {
    socket: WebSocketStream<TcpStream>,
    connection: Connection,
    root: PublicKey,
    session: Digest,
    outgoing: VecDeque<Vec<u8>>,
    began: Instant,
    heartbeat: Heartbeat,
    keyed: Instant,
}

impl Client {
    /// A client that connects with the first [`Client::next`].
    pub fn new(url: ServerUrl, trust: Trust, config: Config) -> Self {
        Self {
            url,
            trust,
            identity: config.identity.clone(),
            session: Box::new(Session::new(config)),
            link: None,
            lost: None,
            retry_after_ms: 0,
            failed: None,
        }
    }

    /// Changes a tile in one turn of the match, running or yet to begin.
    #[cfg(feature = "faults")]
    pub fn inject(&mut self, fault: crate::Fault) {
        self.session.inject(fault);
    }

    /// As [`Session::follow`].
    pub const fn follow(&mut self, following: Following) {
        self.session.follow(following);
    }

    /// As [`Session::watch`]; leaves with the next call of [`Client::next`].
    pub fn watch(&mut self, viewport: Viewport) {
        self.session.watch(viewport);
    }

    /// How long the server takes to answer, smoothed over the last heartbeats; `None` without a connection, and before the
    /// first answer on it. Measured while [`Client::next`] is awaited: an answer that nobody waits for seems late.
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.as_ref()?.heartbeat.round_trip()
    }

    /// The session.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Signs commands for the open turn; they leave with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::submit`].
    pub fn submit(&mut self, commands: Vec<u8>) -> Result<TxHash, SubmitError> {
        self.session.submit(commands)
    }

    /// The state after the last block.
    ///
    /// As [`Session::verified`].
    pub fn verified(&self) -> Option<&Game> {
        self.session.verified()
    }

    /// The predicted state.
    ///
    /// As [`Session::predicted`].
    pub fn predicted(&mut self) -> Option<Predicted<'_>> {
        self.session.predicted()
    }

    /// Adds commands to the draft for the open turn.
    ///
    /// # Errors
    ///
    /// As [`Session::draft`].
    pub fn draft(&mut self, commands: Vec<u8>) -> Result<(), SubmitError> {
        self.session.draft(commands)
    }

    /// Takes back what was added to the draft last, and gives it.
    pub fn undo(&mut self) -> Option<Vec<u8>> {
        self.session.undo()
    }

    /// Hands in the draft; it leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::submit_draft`].
    pub fn submit_draft(&mut self) -> Result<TxHash, SubmitError> {
        self.session.submit_draft()
    }

    /// Gives up the match; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::resign`].
    pub fn resign(&mut self) -> Result<TxHash, SubmitError> {
        self.session.resign()
    }

    /// Proposes or consents to go back to the state after `to_turn`; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::propose_takeback`].
    pub fn propose_takeback(&mut self, to_turn: Turn) -> Result<TxHash, SubmitError> {
        self.session.propose_takeback(to_turn)
    }

    /// Wants another match in the same room; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::rematch`].
    pub fn rematch(&mut self) -> Result<(), SubmitError> {
        self.session.rematch()
    }

    /// Declines what others have proposed; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::decline_takeback`].
    pub fn decline_takeback(&mut self) -> Result<TxHash, SubmitError> {
        self.session.decline_takeback()
    }

    /// Puts a motion to the others, or consents to one; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::propose`].
    pub fn propose(&mut self, motion: Motion) -> Result<TxHash, SubmitError> {
        self.session.propose(motion)
    }

    /// Lends the seat of this identity.
    ///
    /// # Errors
    ///
    /// As [`Session::lend`].
    pub fn lend(&self, to: PublicKey) -> Result<SignedDelegation, LendError> {
        self.session.lend(to)
    }

    /// Says something to those who are in the room; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::say`].
    pub fn say(&mut self, text: Text) -> Result<TalkHash, SayError> {
        self.session.say(text)
    }

    /// Says something without words; leaves with the next call of [`Client::next`].
    ///
    /// # Errors
    ///
    /// As [`Session::say`].
    pub fn react(&mut self, reaction: Reaction) -> Result<TalkHash, SayError> {
        self.session.react(reaction)
    }

    /// Tells no more of what somebody says.
    pub fn mute(&mut self, author: PublicKey) {
        self.session.mute(author);
    }

    /// Tells again of what somebody says from now on.
    pub fn unmute(&mut self, author: PublicKey) {
        self.session.unmute(author);
    }

    /// Waits for the next event, connecting first if there is no connection, and again with growing pauses
    /// after one was lost. A future dropped half-way costs at most the connection.
    ///
    /// # Errors
    ///
    /// The session cannot go on: the server cannot be reached (at the first attempt, or for a quarter of an
    /// hour later on), or it is not to be trusted.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(event) = self.session.poll_event() {
                match event {
                    Event::Goodbye { reason: GoodbyeReason::Replaced, .. } => {
                        return Err(ClientError::Replaced);
                    }
                    Event::Goodbye { retry_after_ms, .. } => self.retry_after_ms = u64::from(retry_after_ms),
                    Event::Limited { limit, retry_after_ms } => {
                        self.retry_after_ms = u64::from(retry_after_ms);
                        self.lose(Limited { limit: limit.name().into(), retry_after_ms }.to_string());
                    }
                    Event::Connected { .. }
                    | Event::Lost { .. }
                    | Event::Lobby(_)
                    | Event::Match { .. }
                    | Event::Block { .. }
                    | Event::Joined { .. }
                    | Event::Shown { .. }
                    | Event::Desync(_)
                    | Event::CaughtUp
                    | Event::YourTurn { .. }
                    | Event::Relayed(_)
                    | Event::Takeback { .. }
                    | Event::Rematch { .. }
                    | Event::Motion { .. }
                    | Event::Mispredicted(_)
                    | Event::Undrafted { .. }
                    | Event::Receipt(_)
                    | Event::Evidence(_)
                    | Event::Refused { .. }
                    | Event::Ended { .. }
                    | Event::Failed(_)
                    | Event::Said { .. }
                    | Event::NotSaid { .. }
                    | Event::Conversing
                    | Event::TalkMissed { .. }
                    | Event::TalkBroken { .. }
                    | Event::Notice(_)
                    | Event::Seated { .. } => {}
                }
                return Ok(event);
            }
            if let Some(error) = self.failed.take() {
                return Err(ClientError::Session(error));
            }
            let Some(link) = &mut self.link else {
                self.connect().await?;
                continue;
            };
            match link.step(&mut self.session).await {
                Ok(()) => {}
                Err(StepError::Session(error)) => self.failed = Some(error),
                Err(StepError::Lost(reason)) => self.lose(reason),
            }
        }
    }

    fn lose(&mut self, reason: String) {
        self.link = None;
        self.lost = Some((Instant::now(), 0));
        self.session.disconnected(reason);
    }

    async fn connect(&mut self) -> Result<(), ClientError> {
        if let Some((since, attempts)) = &mut self.lost {
            // Added, so that those who were told the same time do not come at the same time.
            let asked = std::mem::take(&mut self.retry_after_ms).min(RETRY_MS_MAX);
            let pause = asked + backoff_ms(*attempts);
            *attempts = attempts.saturating_add(1);
            if since.elapsed() > Duration::from_millis(RETRY_MS_MAX) {
                return Err(ClientError::Unreachable("no answer for a quarter of an hour".into()));
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let open = Link::open(&self.url, self.trust, &self.identity);
        let opened = tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), open).await;
        match opened.unwrap_or_else(|_| Err(OpenError::Failed("no answer in time".into()))) {
            Ok(link) => {
                // Whatever was trusted at first use must not change later.
                self.trust = Trust::Pinned(link.root);
                self.session.connected(link.root, link.session);
                self.link = Some(link);
                self.lost = None;
                Ok(())
            }
            Err(OpenError::WrongRoot { pinned, got }) => Err(ClientError::WrongRoot { pinned, got }),
            Err(OpenError::Limited(limited)) => {
                self.retry_after_ms = u64::from(limited.retry_after_ms);
                self.lost.get_or_insert((Instant::now(), 0));
                self.session.disconnected(limited.to_string());
                Ok(())
            }
            Err(OpenError::Failed(reason)) if self.lost.is_none() => Err(ClientError::Unreachable(reason)),
            Err(OpenError::Failed(_)) => Ok(()),
        }
    }

    /// Sends what is queued and closes the connection in good order. What the server makes of it is not
    /// waited for.
    pub async fn close(mut self) {
        let Some(mut link) = self.link.take() else { return };
        let farewell = async {
            while let Some(message) = self.session.poll_send() {
                link.send(message).await?;
            }
            link.send(ClientMessage::Leave).await?;
            link.socket.close(None).await.map_err(|error| error.to_string())
        };
        // A server that is gone, or does not read, is left without a farewell.
        let _ = tokio::time::timeout(Duration::from_millis(CONNECT_MS_MAX), farewell).await;
    }
}

impl Link {
    async fn open(url: &ServerUrl, trust: Trust, identity: &SecretKey) -> Result<Self, OpenError> {
        let failed = |reason: String| OpenError::Failed(reason);
        let tcp = TcpStream::connect(url.authority()).await.map_err(|e| failed(e.to_string()))?;
        tcp.set_nodelay(true).map_err(|e| failed(e.to_string()))?;
        let mut request = format!("ws://{}/ws", url.authority())
            .into_client_request()
            .map_err(|e| failed(e.to_string()))?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (mut socket, _) = client_async_with_config(request, tcp, Some(websocket_config()))
            .await
            .map_err(|error| OpenError::of_upgrade(&error))?;

        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let (mut connection, m1) = Connection::start(url.authority(), trust, identity, &mut rng);
        socket.send(Message::binary(m1)).await.map_err(|e| failed(e.to_string()))?;
        loop {
            let message = next_binary(&mut socket).await.map_err(failed)?;
            match connection.receive(message, now()) {
                Ok(Received::Answer(m3)) => {
                    socket.send(Message::binary(m3)).await.map_err(|e| failed(e.to_string()))?;
                }
                Ok(Received::Accepted { root, session, limits }) => {
                    let at = Instant::now();
                    return Ok(Self {
                        socket,
                        connection,
                        root,
                        session,
                        outgoing: VecDeque::new(),
                        began: at,
                        heartbeat: Heartbeat::new(limits.heartbeat_ms, Duration::ZERO),
                        keyed: at,
                    });
                }
                Ok(Received::Nothing) => {}
                Ok(Received::Message(_)) => return Err(failed("message before the login".into())),
                Err(ConnectionError::Handshake(HandshakeError::RootNotPinned { pinned, got })) => {
                    return Err(OpenError::WrongRoot { pinned, got });
                }
                Err(error) => return Err(failed(describe(&error))),
            }
        }
    }

    /// Sends what the session wants sent, then waits for one message of the server or the next heartbeat.
    async fn step(&mut self, session: &mut Session) -> Result<(), StepError> {
        while let Some(message) = session.poll_send() {
            self.send(message).await.map_err(StepError::Lost)?;
        }
        if self.heartbeat.is_lost(self.began.elapsed()) {
            return Err(StepError::Lost("the server is silent".into()));
        }
        if let Some(number) = self.heartbeat.ask(self.began.elapsed()) {
            self.send(ClientMessage::Ping(number)).await.map_err(StepError::Lost)?;
        }
        let wake = self.began + self.heartbeat.wakes_at();
        let message = match tokio::time::timeout_at(wake, next_binary(&mut self.socket)).await {
            Err(_) => return Ok(()),
            Ok(message) => message.map_err(StepError::Lost)?,
        };
        self.heartbeat.heard(self.began.elapsed());
        match self.connection.receive(message, now()) {
            Ok(Received::Message(message)) => {
                if let ServerMessage::Pong(number) = message {
                    self.heartbeat.answered(number, self.began.elapsed());
                }
                session.receive(message, self.root).map_err(StepError::Session)
            }
            Ok(Received::Nothing) => Ok(()),
            Ok(Received::Answer(_) | Received::Accepted { .. }) => {
                Err(StepError::Lost("a second login".into()))
            }
            Err(error) => Err(StepError::Lost(describe(&error))),
        }
    }

    async fn send(&mut self, message: ClientMessage) -> Result<(), String> {
        if self.keyed.elapsed() > Duration::from_millis(KEY_MS_MAX) {
            self.outgoing.push_back(self.connection.update_key().map_err(|e| describe(&e))?);
            self.keyed = Instant::now();
        }
        self.connection.send(&message, &mut self.outgoing).map_err(|e| describe(&e))?;
        while let Some(frame) = self.outgoing.pop_front() {
            self.socket.feed(Message::binary(frame)).await.map_err(|e| e.to_string())?;
        }
        self.socket.flush().await.map_err(|e| e.to_string())?;
        Ok(())
    }
}

/// Opens a room on a connection of its own, with settings that may depend on the server's root key. Gives that key, and
/// whether the room was opened.
///
/// # Errors
///
/// The server cannot be reached, or is not the one that is trusted.
pub async fn create_room(
    url: &ServerUrl,
    trust: Trust,
    identity: &SecretKey,
    room: &RoomName,
    spec: impl FnOnce(PublicKey) -> RoomSpec,
) -> Result<(PublicKey, Result<(), Failure>), ClientError> {
    let limit = Duration::from_millis(CONNECT_MS_MAX);
    let lost = ClientError::Unreachable;
    let timed_out = |_| lost("no answer in time".into());
    let opened = tokio::time::timeout(limit, Link::open(url, trust, identity)).await.map_err(timed_out)?;
    let mut link = opened.map_err(|error| match error {
        OpenError::WrongRoot { pinned, got } => ClientError::WrongRoot { pinned, got },
        OpenError::Limited(limited) => ClientError::Limited(limited),
        OpenError::Failed(reason) => lost(reason),
    })?;
    let spec = spec(link.root);
    link.send(ClientMessage::Create { room: room.clone(), spec }).await.map_err(lost)?;
    let mut is_asked = false;
    loop {
        let next = match tokio::time::timeout(limit, next_binary(&mut link.socket)).await {
            // Before it opens a fork, the server executes the parent. It answers meanwhile if it is there.
            Err(_) if !is_asked => {
                is_asked = true;
                link.send(ClientMessage::Ping(0)).await.map_err(lost)?;
                continue;
            }
            next => next.map_err(timed_out)?,
        };
        is_asked = false;
        let received = link.connection.receive(next.map_err(lost)?, now());
        let answer = match received.map_err(|error| lost(describe(&error)))? {
            Received::Message(ServerMessage::Created { .. }) => Ok(()),
            Received::Message(ServerMessage::Failed(failure)) => Err(failure),
            Received::Message(ServerMessage::Limited { limit, retry_after_ms }) => {
                return Err(Limited { limit: limit.name().into(), retry_after_ms }.into());
            }
            Received::Message(_) | Received::Nothing | Received::Answer(_) | Received::Accepted { .. } => {
                continue;
            }
        };
        // The answer is in hand; how the connection ends changes nothing.
        let _ = link.socket.close(None).await;
        return Ok((link.root, answer));
    }
}

enum OpenError {
    WrongRoot { pinned: PublicKey, got: PublicKey },
    Limited(Limited),
    Failed(String),
}

impl OpenError {
    fn of_upgrade(error: &tungstenite::Error) -> Self {
        if let tungstenite::Error::Http(response) = error
            && response.status() == StatusCode::TOO_MANY_REQUESTS
        {
            return Self::Limited(Limited::of(response));
        }
        Self::Failed(error.to_string())
    }
}

/// The server refuses because of a limit, and says when to come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server's limit `{limit}` is reached; come again in {} s", retry_after_ms.div_ceil(1000))]
pub struct Limited {
    /// The operator's name of the limit.
    pub limit: String,
    /// Not before, in milliseconds.
    pub retry_after_ms: u32,
}

impl Limited {
    /// From a response with status 429.
    fn of(response: &Response<Option<Vec<u8>>>) -> Self {
        let header = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let retry_after_s = header(RETRY_AFTER.as_str()).and_then(|value| value.parse::<u32>().ok());
        // A name, so that nothing else from an unknown server reaches a screen.
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let limit = header(LIMIT_HEADER).filter(is_name).unwrap_or("unknown");
        Self { limit: limit.into(), retry_after_ms: retry_after_s.unwrap_or(1).saturating_mul(1000) }
    }
}

enum StepError {
    Session(SessionError),
    Lost(String),
}

/// Why a client stops.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached, or closes before the login.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server shows another root key than the one that is trusted.
    #[error("the server shows the root key {got}, but {pinned} is trusted")]
    WrongRoot {
        /// The key that is trusted.
        pinned: PublicKey,
        /// The key that the server showed.
        got: PublicKey,
    },
    /// The same identity connected from elsewhere, so that coming back would only drive that one away; or the seat that
    /// was lent is played for by its holder again, or by another substitute.
    #[error("the same identity connected from elsewhere, or the seat was lent and is not any more")]
    Replaced,
    /// The server refuses because of a limit.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The server is not to be trusted any more.
    #[error(transparent)]
    Session(SessionError),
}

async fn next_binary(socket: &mut WebSocketStream<TcpStream>) -> Result<Vec<u8>, String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Frame(_))) => return Err("a text message".into()),
            Some(Ok(Message::Close(_))) | None => return Err("closed by the server".into()),
            Some(Err(error)) => return Err(error.to_string()),
        }
    }
}

fn websocket_config() -> WebSocketConfig {
    tungstenite::protocol::WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(RECORD_BYTES_MAX))
        .max_frame_size(Some(RECORD_BYTES_MAX))
}

/// The clock that the server's certificate is checked against.
// The transport is the shell around the pure core; here is the one place where it reads the clock.
#[allow(clippy::disallowed_types)]
fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis::new(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Doubles up to the longest pause, less a random part, so that clients of a server that was away do not
/// come back all at once.
fn backoff_ms(attempts: u32) -> u64 {
    let longest = BACKOFF_MS_MAX.min(BACKOFF_MS_MIN << attempts.min(10));
    let mut random = [0; 8];
    // Without entropy there is no jitter; the handshake that follows will fail and say so.
    let _ = getrandom::fill(&mut random);
    longest / 2 + u64::from_le_bytes(random) % (longest / 2 + 1)
}

/// An error with its sources, on one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_a_host_and_a_port() {
        let authority = |text| ServerUrl::parse(text).map(|url| url.authority().to_owned());
        assert_eq!(authority("ws://127.0.0.1:7777"), Ok("127.0.0.1:7777".into()));
        assert_eq!(authority("http://localhost:80/"), Ok("localhost:80".into()));
        assert_eq!(authority("ws://[::1]:9"), Ok("[::1]:9".into()));
        for bad in
            ["", "127.0.0.1:7777", "wss://a:1", "ws://a", "ws://a:0", "ws://:1", "ws://a/b:1", "ws://u@a:1"]
        {
            assert_eq!(authority(bad), Err(UrlError), "{bad}");
        }
    }

    #[test]
    fn pauses_grow_and_stay_bounded() {
        for attempts in 0..100 {
            let pause = backoff_ms(attempts);
            assert!((BACKOFF_MS_MIN / 2..=BACKOFF_MS_MAX).contains(&pause), "{pause} after {attempts}");
        }
    }
}
