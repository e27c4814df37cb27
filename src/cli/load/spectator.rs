//! A light spectator that opens what it is sent, and looks no further: so that many fit on one machine.

use std::time::Duration;

use cadastre_client::SUBPROTOCOL;
use cadastre_protocol::{
    ClientHandshake, ClientMessage, ClientSession, EnterAs, Following, Padding, RECORD_BYTES_MAX, RoomName,
    ServerMessage, decode_exact, encode,
};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    time::{Instant, timeout_at},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::{
    super::connect::{Server, display_name, throw_away_identity},
    figures::Figures,
};
use crate::clock;

/// What a spectator that does not read lets pile up on its side, in bytes.
const STALLED_BUFFER_BYTES: u32 = 4096;

/// Time between two signs of life of a spectator that does not read: how soon it notices that it was parted with.
const STALLED_PING_MS: u64 = 5_000;

pub(super) struct Spectator {
    socket: WebSocketStream<TcpStream>,
    session: ClientSession,
    heartbeat: Duration,
}

impl Spectator {
    /// Enters a room.
    pub(super) async fn enter(server: &Server, room: &RoomName, is_stalled: bool) -> Result<Self, String> {
        let authority = server.url.authority();
        let mut addresses = lookup_host(authority).await.map_err(|error| error.to_string())?;
        let address = addresses.next().ok_or("no address")?;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let socket = socket.map_err(|error| error.to_string())?;
        if is_stalled {
            socket.set_recv_buffer_size(STALLED_BUFFER_BYTES).map_err(|error| error.to_string())?;
        }
        let tcp = socket.connect(address).await.map_err(|error| error.to_string())?;
        tcp.set_nodelay(true).map_err(|error| error.to_string())?;
        let mut request = server.url.to_string().into_client_request().map_err(|error| error.to_string())?;
        *request.uri_mut() = format!("ws://{authority}/ws").parse().map_err(|_| "no such URL")?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(4 * 1024)
            .max_write_buffer_size(64 * 1024)
            .max_message_size(Some(RECORD_BYTES_MAX))
            .max_frame_size(Some(RECORD_BYTES_MAX));
        let opened = client_async_with_config(request, tcp, Some(config)).await;
        let (mut socket, _) = opened.map_err(|error| error.to_string())?;

        let identity = throw_away_identity().map_err(|error| error.message)?;
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let (handshake, m1) = ClientHandshake::start(authority, server.trust, &identity, &mut rng);
        socket.send(Message::binary(m1)).await.map_err(|error| error.to_string())?;
        let m2 = next_binary(&mut socket).await?;
        let (m3, session) = handshake.receive(&m2, clock::now()).map_err(|error| error.to_string())?;
        socket.send(Message::binary(m3)).await.map_err(|error| error.to_string())?;
        let mut spectator = Self { socket, session, heartbeat: Duration::from_millis(STALLED_PING_MS) };
        let accept = loop {
            let record = next_binary(&mut spectator.socket).await?;
            let opened = spectator.session.opener.open(record).map_err(|error| error.to_string())?;
            if let Some(bytes) = opened {
                break bytes;
            }
        };
        let Ok(ServerMessage::Accept { limits, .. }) = decode_exact(&accept) else {
            return Err("not accepted".into());
        };
        if !is_stalled {
            spectator.heartbeat = Duration::from_millis(u64::from(limits.heartbeat_ms));
        }
        spectator.send(&ClientMessage::Follow { following: Following::Snapshot, packed: true }).await?;
        let (room, name) = (room.clone(), display_name("spectator"));
        spectator.send(&ClientMessage::Enter { room, enter_as: EnterAs::Light, name, pass: None }).await?;
        Ok(spectator)
    }

    /// Opens and counts what comes, until the connection ends. Says why it does.
    pub(super) async fn read(mut self, figures: &Figures) -> String {
        let mut ping_at = Instant::now() + self.heartbeat;
        loop {
            let Ok(next) = timeout_at(ping_at, next_binary(&mut self.socket)).await else {
                if let Err(error) = self.send(&ClientMessage::Ping(0)).await {
                    return error;
                }
                ping_at = Instant::now() + self.heartbeat;
                continue;
            };
            match next.map(|record| self.session.opener.open(record)) {
                Ok(Ok(Some(_))) => figures.opened(),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(error) => return error,
            }
        }
    }

    /// Gives signs of life and reads nothing, until the connection ends.
    pub(super) async fn stall(mut self) {
        loop {
            tokio::time::sleep(self.heartbeat).await;
            if self.send(&ClientMessage::Ping(0)).await.is_err() {
                return;
            }
        }
    }

    async fn send(&mut self, message: &ClientMessage) -> Result<(), String> {
        let mut frames = Vec::new();
        let sealed = self.session.sealer.seal(&encode(message), Padding::Block64, &mut frames);
        sealed.map_err(|error| error.to_string())?;
        for frame in frames {
            self.socket.send(Message::binary(frame)).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
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
