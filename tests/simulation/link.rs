//! One connection with both its ends: handshake, then sealed records.

use std::ops::Range;

use cadastre_client::Connection;
use cadastre_protocol::{
    AwaitM3, ClientMessage, Digest, Limits, Millis, Padding, PublicKey, SecretKey, ServerHandshake,
    ServerIdentity, ServerMessage, ServerSession, Trust, Wire, decode_exact, encode,
};

use super::random::Random;

const AUTHORITY: &str = "server.test:7777";

pub(crate) struct Link {
    pub(crate) client: usize,
    /// Life of the server in which it was made.
    pub(crate) incarnation: u64,
    /// How long a frame is under way, in milliseconds.
    pub(crate) latency_ms: Range<u64>,
    /// Nothing gets through any more.
    pub(crate) is_cut: bool,
    /// The server has closed it: what it sent before still arrives.
    pub(crate) is_closed: bool,
    /// The client is logged in, and its session knows of the connection.
    pub(crate) is_open: bool,
    /// Nothing overtakes: when the last frame of each direction arrives.
    pub(crate) at_server: Millis,
    pub(crate) at_client: Millis,
    pub(crate) near: Connection,
    far: FarEnd,
}

enum FarEnd {
    AwaitM1,
    AwaitM3(Box<AwaitM3>),
    Open(Box<ServerSession>),
    /// Something was not as it should be.
    Ended,
}

/// What a frame from the client comes to at the server.
#[allow(clippy::large_enum_variant, reason = "only in tests")]
pub(crate) enum Arrived {
    /// Frames to send back.
    Answer(Vec<Vec<u8>>),
    Message {
        identity: PublicKey,
        /// Name of the session.
        session: Digest,
        message: ClientMessage,
    },
    Nothing,
}

impl Link {
    /// A client dials. Gives its first frame too.
    pub(crate) fn dial(
        client: usize,
        incarnation: u64,
        root: PublicKey,
        identity: &SecretKey,
        now: Millis,
        random: &mut Random,
    ) -> (Self, Vec<u8>) {
        let (near, m1) = Connection::start(AUTHORITY, Trust::Pinned(root), identity, random);
        let latency_ms = match random.within(0..3) {
            0 => 1..20,
            1 => 1..300,
            _ => 50..600,
        };
        let link = Self {
            client,
            incarnation,
            latency_ms,
            is_cut: false,
            is_closed: false,
            is_open: false,
            at_server: now,
            at_client: now,
            near,
            far: FarEnd::AwaitM1,
        };
        (link, m1)
    }

    /// A frame arrives at the server.
    pub(crate) fn arrive(
        &mut self,
        frame: Vec<u8>,
        server: &ServerIdentity,
        now: Millis,
        random: &mut Random,
    ) -> Arrived {
        match std::mem::replace(&mut self.far, FarEnd::Ended) {
            FarEnd::AwaitM1 => {
                let (await_m3, m2) =
                    ServerHandshake::new(server, AUTHORITY).receive_m1(&frame, random).unwrap();
                self.far = FarEnd::AwaitM3(Box::new(await_m3));
                Arrived::Answer(vec![m2])
            }
            FarEnd::AwaitM3(await_m3) => {
                let session = await_m3.receive(&frame).unwrap();
                let accept = ServerMessage::Accept {
                    session: session.session,
                    limits: Limits {
                        heartbeat_ms: 15_000,
                        message_bytes_max: u32::try_from(ClientMessage::BYTES_MAX).unwrap(),
                    },
                    server_time: now,
                };
                self.far = FarEnd::Open(Box::new(session));
                Arrived::Answer(self.seal(&accept))
            }
            FarEnd::Open(mut session) => {
                let opened = session.opener.open(frame).unwrap();
                let (identity, name) = (session.identity.public(), session.session);
                self.far = FarEnd::Open(session);
                match opened {
                    Some(bytes) => {
                        Arrived::Message { identity, session: name, message: decode_exact(&bytes).unwrap() }
                    }
                    None => Arrived::Nothing,
                }
            }
            FarEnd::Ended => Arrived::Nothing,
        }
    }

    /// The frames of a message of the server.
    pub(crate) fn seal(&mut self, message: &ServerMessage) -> Vec<Vec<u8>> {
        let FarEnd::Open(session) = &mut self.far else { panic!("the server speaks before the login") };
        let mut frames = Vec::new();
        session.sealer.seal(&encode(message), Padding::Block64, &mut frames).unwrap();
        frames
    }
}
