//! Messages on their way to clients: encoded once, and compressed once, for all who get them.

use std::sync::{Arc, OnceLock};

use cadastre_protocol::{ServerMessage, encode, pack};

const LOBBY: &str = "lobby";
const GENESIS: &str = "genesis";
const BLOCK: &str = "block";
const RELAY: &str = "relay";
const TAKEBACK: &str = "takeback";
const MOTION: &str = "motion";
const SAID: &str = "said";

/// A message as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    kind: &'static str,
    is_public: bool,
    plain: Vec<u8>,
    /// Compressed when the first client wants it so; `None` where that does not help.
    packed: OnceLock<Option<Vec<u8>>>,
}

impl Outgoing {
    pub(crate) fn new(message: &ServerMessage) -> Self {
        let (kind, is_public) = kind_of(message);
        Self(Arc::new(Encoded { kind, is_public, plain: encode(message), packed: OnceLock::new() }))
    }

    /// One word for what it is.
    pub(crate) fn kind(&self) -> &'static str {
        self.0.kind
    }

    /// Does the next block go with it, and nothing else?
    pub(crate) fn is_block(&self) -> bool {
        self.kind() == BLOCK
    }

    /// Do the blocks after it belong to another match than those before?
    pub(crate) fn is_genesis(&self) -> bool {
        self.kind() == GENESIS
    }

    /// Is nothing of a match told after it that was played before?
    pub(crate) fn is_lobby(&self) -> bool {
        self.kind() == LOBBY
    }

    /// Is it told to a spectator who asks for what was missed?
    pub(crate) fn can_be_told_again(&self) -> bool {
        [BLOCK, RELAY, TAKEBACK, MOTION, SAID].contains(&self.kind())
    }

    /// Are these the same bytes in memory?
    #[cfg(test)]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Bytes without compression.
    pub(crate) fn plain_len(&self) -> usize {
        self.0.plain.len()
    }

    /// What to send to a client that takes compressed messages, or does not.
    pub(crate) fn bytes(&self, packed: bool) -> &[u8] {
        let encoded = &*self.0;
        if !packed || !encoded.is_public {
            return &encoded.plain;
        }
        let packed = encoded.packed.get_or_init(|| pack(&encoded.plain));
        packed.as_ref().unwrap_or(&encoded.plain)
    }
}

/// The kind of a message, and whether everybody in the room sees the same.
const fn kind_of(message: &ServerMessage) -> (&'static str, bool) {
    match message {
        ServerMessage::Accept { .. } => ("accept", false),
        ServerMessage::Created { .. } => ("created", false),
        ServerMessage::Lobby(_) => (LOBBY, false),
        ServerMessage::Genesis { .. } => (GENESIS, false),
        ServerMessage::Block(_) => (BLOCK, true),
        ServerMessage::CaughtUp { .. } => ("caught-up", false),
        ServerMessage::Receipt(_) => ("receipt", false),
        ServerMessage::Refused { .. } => ("refused", false),
        ServerMessage::Failed(_) => ("failed", false),
        ServerMessage::Ping(_) => ("ping", false),
        ServerMessage::Pong(_) => ("pong", false),
        ServerMessage::Goodbye { .. } => ("goodbye", false),
        ServerMessage::Relay(_) => (RELAY, false),
        ServerMessage::Compared(_) => ("compared", false),
        ServerMessage::Limited { .. } => ("limited", false),
        ServerMessage::Takeback { .. } => (TAKEBACK, false),
        ServerMessage::Motion { .. } => (MOTION, false),
        ServerMessage::Snapshot(_) => ("snapshot", true),
        ServerMessage::Chunks(_) => ("chunks", true),
        ServerMessage::Packed(_) => ("packed", false),
        ServerMessage::View(_) => ("view", true),
        ServerMessage::Conversation { .. } => ("conversation", false),
        ServerMessage::Said(_) => (SAID, false),
        ServerMessage::NotSaid { .. } => ("not-said", false),
        ServerMessage::Notice(_) => ("notice", false),
        ServerMessage::Rematch { .. } => ("rematch", false),
    }
}
