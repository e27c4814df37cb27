//! A peer that says what it likes, from its first byte on.

use cadastre_client::SUBPROTOCOL;
use cadastre_protocol::{
    ClientHandshake, ClientMessage, ClientSession, Digest, DisplayName, EnterAs, Limit, Millis, Opener,
    Padding, Pass, RoomName, Sealer, SecretKey, ServerMessage, Trust, decode_exact, encode,
};
use futures_util::{SinkExt, StreamExt};
use rand_core::UnwrapErr;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::{Server, boxes, soon};

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With a close frame.
    Closed(Option<CloseFrame>),
    /// Without.
    Cut,
}

impl End {
    /// What every failure before the login looks like, and every broken record after it.
    pub(crate) fn refusal() -> Self {
        Self::Closed(Some(CloseFrame { code: CloseCode::Policy, reason: "".into() }))
    }
}

/// A WebSocket to the server, with nothing said on it yet.
pub(crate) struct Wire {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Wire {
    pub(crate) async fn dial(server: &Server) -> Self {
        let tcp = soon("a connection", TcpStream::connect(server.listen)).await.unwrap();
        Self::upgrade(server, tcp).await
    }

    pub(crate) async fn upgrade(server: &Server, tcp: TcpStream) -> Self {
        tcp.set_nodelay(true).unwrap();
        let mut request = format!("ws://{}/ws", server.listen).into_client_request().unwrap();
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) = soon("an upgrade", client_async(request, tcp)).await.unwrap();
        Self { socket }
    }

    pub(crate) async fn send(&mut self, message: Message) {
        // A server that has hung up meanwhile shows when its last words are read.
        let _ = soon("a message is sent", self.socket.send(message)).await;
    }

    pub(crate) async fn send_binary(&mut self, bytes: &[u8]) {
        self.send(Message::binary(bytes.to_vec())).await;
    }

    /// Begins a handshake; gives the own end of it, and M1.
    pub(crate) async fn send_m1(
        &mut self,
        server: &Server,
        identity: &SecretKey,
    ) -> (ClientHandshake, Vec<u8>) {
        let authority = server.listen.to_string();
        let mut rng = UnwrapErr(getrandom::SysRng);
        let (handshake, m1) =
            ClientHandshake::start(&authority, Trust::Pinned(server.root), identity, &mut rng);
        self.send_binary(&m1).await;
        (handshake, m1)
    }

    /// Sends bytes as they are, below the WebSocket.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let _ = soon("bytes are sent", self.socket.get_mut().write_all(bytes)).await;
    }

    /// The next binary message.
    pub(crate) async fn receive(&mut self) -> Result<Vec<u8>, End> {
        loop {
            match soon("a message", self.socket.next()).await {
                Some(Ok(Message::Binary(bytes))) => return Ok(bytes.into()),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(frame))) => return Err(End::Closed(frame)),
                Some(Err(_)) | None => return Err(End::Cut),
                Some(Ok(other @ (Message::Text(_) | Message::Frame(_)))) => panic!("{other:?}"),
            }
        }
    }

    /// Reads to the end, whatever comes before it.
    pub(crate) async fn end(mut self) -> End {
        loop {
            if let Err(end) = self.receive().await {
                return end;
            }
        }
    }
}

/// A peer that is logged in.
pub(crate) struct Peer {
    pub(crate) wire: Wire,
    sealer: Sealer,
    opener: Opener,
    /// Names the session.
    pub(crate) session: Digest,
    /// All that it sent in the handshake.
    pub(crate) sent: [Vec<u8>; 2],
}

impl Peer {
    pub(crate) async fn login(server: &Server, identity: &SecretKey) -> Self {
        Self::login_on(Wire::dial(server).await, server, identity).await
    }

    pub(crate) async fn login_on(mut wire: Wire, server: &Server, identity: &SecretKey) -> Self {
        let (handshake, m1) = wire.send_m1(server, identity).await;
        let m2 = wire.receive().await.unwrap();
        let (m3, session) = handshake.receive(&m2, now()).unwrap();
        wire.send_binary(&m3).await;
        let ClientSession { sealer, opener, session: name, .. } = session;
        let mut peer = Self { wire, sealer, opener, session: name, sent: [m1, m3] };
        let accept = peer.hear().await;
        assert!(matches!(accept, Ok(ServerMessage::Accept { session, .. }) if session == name), "{accept:?}");
        peer
    }

    /// Seals bytes as the records that carry them, without sending them.
    pub(crate) fn seal(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        self.sealer.seal(bytes, Padding::Block64, &mut records).unwrap();
        records
    }

    /// Sends bytes that are sealed well, whatever they are.
    pub(crate) async fn say_bytes(&mut self, bytes: &[u8]) {
        for record in self.seal(bytes) {
            self.wire.send_binary(&record).await;
        }
    }

    /// Goes on under the next key, as often as it likes.
    pub(crate) async fn update_key(&mut self) {
        let update = self.sealer.update_key().unwrap();
        self.wire.send_binary(&update).await;
    }

    pub(crate) async fn say(&mut self, message: &ClientMessage) {
        self.say_bytes(&encode(message)).await;
    }

    /// The next message of the server.
    pub(crate) async fn hear(&mut self) -> Result<ServerMessage, End> {
        loop {
            let record = self.wire.receive().await?;
            if let Some(message) = self.opener.open(record).unwrap() {
                return Ok(decode_exact(&message).unwrap());
            }
        }
    }

    /// Reads until a message is one that is waited for.
    pub(crate) async fn hear_until(&mut self, is_it: impl Fn(&ServerMessage) -> bool) -> ServerMessage {
        loop {
            let message = self.hear().await.unwrap();
            if is_it(&message) {
                return message;
            }
        }
    }

    pub(crate) async fn enter(&mut self, room: &str, enter_as: EnterAs) {
        self.enter_with(room, enter_as, None).await;
    }

    /// Enters with something to show at the door.
    pub(crate) async fn enter_with(&mut self, room: &str, enter_as: EnterAs, pass: Option<Pass>) {
        let (room, name) = (RoomName::new(room).unwrap(), DisplayName::new("peer").unwrap());
        self.say(&ClientMessage::Enter { room, enter_as, name, pass }).await;
    }

    /// Opens a room for two; gives the answer.
    pub(crate) async fn create(&mut self, room: &str) -> ServerMessage {
        let room = RoomName::new(room).unwrap();
        self.say(&ClientMessage::Create { room, spec: boxes(2, 4) }).await;
        self.hear().await.unwrap()
    }

    /// Says something again and again, until that is too much. Gives the limit, the time to wait, and how often
    /// it was answered before.
    pub(crate) async fn say_until_limited(&mut self, message: &ClientMessage) -> (Limit, u32, u32) {
        let limited = async {
            let mut done = 0;
            loop {
                self.say(message).await;
                match self.hear().await.unwrap() {
                    ServerMessage::Limited { limit, retry_after_ms } => return (limit, retry_after_ms, done),
                    _ => done += 1,
                }
            }
        };
        soon("a limit", limited).await
    }

    /// Hangs up, and waits until the server has noticed.
    pub(crate) async fn end_by_itself(mut self) {
        self.wire.send(Message::Close(None)).await;
        self.end().await;
    }

    /// Reads to the end, whatever comes before it.
    pub(crate) async fn end(self) -> End {
        self.wire.end().await
    }
}

pub(crate) fn now() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Millis::new(u64::try_from(since.as_millis()).unwrap())
}
