//! One connection: handshake, then sealed records. Bytes in, messages out.

use cadastre_protocol::{
    ClientHandshake, ClientMessage, CodecError, Digest, HandshakeError, Limits, Millis, Opener, Padding,
    PublicKey, RecordError, SealError, Sealer, SecretKey, ServerMessage, Trust, encode, read_server_message,
};
use rand_core::CryptoRng;

/// WebSocket subprotocol that client and server agree on.
pub const SUBPROTOCOL: &str = "cadastre.v1";

/// The client's end of one connection.
pub struct Connection(State);

enum State {
    AwaitM2(Box<ClientHandshake>),
    AwaitAccept(Box<Live>),
    Open(Box<Live>),
    Ended,
}

struct Live {
    sealer: Sealer,
    opener: Opener,
    root: PublicKey,
    session: Digest,
}

/// What a WebSocket message from the server came to.
#[derive(Debug)]
pub enum Received {
    /// The server proved who it is. This is the answer; what comes next is [`Received::Accepted`].
    Answer(Vec<u8>),
    /// The client is logged in.
    Accepted {
        /// The service's root key: pinned, or to be pinned now.
        root: PublicKey,
        /// Names the session, for its two ends only.
        session: Digest,
        /// What the server expects of this client.
        limits: Limits,
    },
    /// A message.
    Message(ServerMessage),
    /// A part of a message, or a change of keys.
    Nothing,
}

impl Connection {
    /// Starts a connection to the server at `authority`, host and port as they were dialled, and gives its
    /// first message.
    pub fn start(
        authority: &str,
        trust: Trust,
        identity: &SecretKey,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> (Self, Vec<u8>) {
        let (handshake, m1) = ClientHandshake::start(authority, trust, identity, rng);
        (Self(State::AwaitM2(Box::new(handshake))), m1)
    }

    /// Takes one binary WebSocket message.
    ///
    /// # Errors
    ///
    /// The connection is over: close it, and start another.
    pub fn receive(&mut self, message: Vec<u8>, now: Millis) -> Result<Received, ConnectionError> {
        let (next, received) = match std::mem::replace(&mut self.0, State::Ended) {
            State::AwaitM2(handshake) => {
                let (m3, session) = handshake.receive(&message, now).map_err(ConnectionError::Handshake)?;
                let live = Live {
                    sealer: session.sealer,
                    opener: session.opener,
                    root: session.root,
                    session: session.session,
                };
                (State::AwaitAccept(Box::new(live)), Received::Answer(m3))
            }
            State::AwaitAccept(mut live) => match live.open(message)? {
                Some(ServerMessage::Accept { session, limits, .. }) if session == live.session => {
                    let root = live.root;
                    (State::Open(live), Received::Accepted { root, session, limits })
                }
                Some(_) => return Err(ConnectionError::NotAccepted),
                None => (State::AwaitAccept(live), Received::Nothing),
            },
            State::Open(mut live) => {
                let received = live.open(message)?.map_or(Received::Nothing, Received::Message);
                (State::Open(live), received)
            }
            State::Ended => return Err(ConnectionError::Ended),
        };
        self.0 = next;
        Ok(received)
    }

    /// Seals a message into the WebSocket messages that carry it.
    ///
    /// # Errors
    ///
    /// [`ConnectionError::Ended`] when the client is not logged in; else the connection is over.
    pub fn send(
        &mut self,
        message: &ClientMessage,
        frames: &mut impl Extend<Vec<u8>>,
    ) -> Result<(), ConnectionError> {
        let State::Open(live) = &mut self.0 else { return Err(ConnectionError::Ended) };
        let padding = match message {
            ClientMessage::Submit(_) => Padding::Submission,
            ClientMessage::Create { .. }
            | ClientMessage::Enter { .. }
            | ClientMessage::Ready { .. }
            | ClientMessage::Resume { .. }
            | ClientMessage::Leave
            | ClientMessage::Ping(_)
            | ClientMessage::Pong(_)
            | ClientMessage::Compare(_)
            | ClientMessage::Follow { .. }
            | ClientMessage::Watch(_)
            | ClientMessage::Say(_)
            | ClientMessage::Rematch => Padding::Block64,
        };
        live.sealer.seal(&encode(message), padding, frames).map_err(ConnectionError::Seal)
    }

    /// Goes on under the next key; to be called when the present one has been in use for an hour.
    ///
    /// # Errors
    ///
    /// As [`Connection::send`].
    pub fn update_key(&mut self) -> Result<Vec<u8>, ConnectionError> {
        let State::Open(live) = &mut self.0 else { return Err(ConnectionError::Ended) };
        live.sealer.update_key().map_err(ConnectionError::Seal)
    }
}

impl Live {
    fn open(&mut self, record: Vec<u8>) -> Result<Option<ServerMessage>, ConnectionError> {
        let message = self.opener.open(record).map_err(ConnectionError::Record)?;
        message.map(|bytes| read_server_message(&bytes).map_err(ConnectionError::Encoding)).transpose()
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            State::AwaitM2(_) => "Connection(waits for the server's proof)",
            State::AwaitAccept(_) => "Connection(waits to be accepted)",
            State::Open(_) => "Connection(open)",
            State::Ended => "Connection(ended)",
        })
    }
}

/// Why a connection is over. The server's fault, or that of whoever sits between.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The server did not prove to be the one that is trusted.
    #[error("the handshake failed")]
    Handshake(#[source] HandshakeError),
    /// A record does not open.
    #[error("a record does not open")]
    Record(#[source] RecordError),
    /// A record opens, but holds no message.
    #[error("a message is malformed")]
    Encoding(#[source] CodecError),
    /// The server's first message is not the Accept of this session.
    #[error("the server did not accept the session")]
    NotAccepted,
    /// The own message cannot be sealed.
    #[error("the message cannot be sealed")]
    Seal(#[source] SealError),
    /// The connection was over before, or is not open yet.
    #[error("the connection is not open")]
    Ended,
}
