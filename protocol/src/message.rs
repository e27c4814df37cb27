//! What client and server say to each other inside the sealed records. `docs/protocol.md`, "Messages".

use bincode::{Decode, Encode};

use crate::{
    access::{Access, Pass},
    block::ProvenBlock,
    chain::{JoinPoint, TransactionError},
    codec::{DECODE_BYTES_MAX, Wire, strictly_ascending},
    compare::{CompareAnswer, CompareRequest},
    conversation::{LINES_KEPT, Line},
    genesis::{
        AbsencePolicy, AgreementPolicy, Clock, DoubleTransactionPolicy, RandomnessMode, SpectatorPolicy,
        TakebackPolicy, TurnMode, Visibility,
    },
    hash::Digest,
    hash_chain::ChainStart,
    ids::{BlockHash, Height, MatchId, Millis, SEATS_MAX, Seat, TalkHash, Turn, TxHash},
    keys::PublicKey,
    limit::Limit,
    receipt::ProvenReceipt,
    setup::{RULES_NAME_BYTES_MAX, is_rules_name},
    state_tree::{CHUNK_BYTES_MAX, ChunkId},
    talk::{SignedTalk, TalkPlace, TalkRefusal},
    text::Text,
    transaction::{Motion, SignedTransaction},
    view::{VIEWPORT_CHUNKS_MAX, View},
};

/// Longest room name, in bytes.
pub const ROOM_NAME_BYTES_MAX: usize = 32;

/// Longest display name, in bytes.
pub const DISPLAY_NAME_BYTES_MAX: usize = 32;

/// Longest explanation in a refusal, in bytes.
pub const REASON_BYTES_MAX: usize = 120;

/// Most bytes of chunks in one [`ServerMessage::Chunks`].
pub const CHUNKS_BYTES_MAX: usize = 48 * 1024;

/// Name of a room: 1 to 32 of `a`–`z`, `A`–`Z`, `0`–`9`, `-`, `_` and `.`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RoomName(String);

impl RoomName {
    /// `None` when `name` is not one.
    pub fn new(name: &str) -> Option<Self> {
        let name = Self(name.to_owned());
        name.is_valid().then_some(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_valid(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=ROOM_NAME_BYTES_MAX).contains(&self.0.len()) && self.0.bytes().all(plain)
    }
}

impl std::fmt::Display for RoomName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a player is called: 1 to 32 bytes of text without control characters. Never signed or hashed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DisplayName(String);

impl DisplayName {
    /// `None` when `name` is not one.
    pub fn new(name: &str) -> Option<Self> {
        let name = Self(name.to_owned());
        name.is_valid().then_some(name)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_valid(&self) -> bool {
        (1..=DISPLAY_NAME_BYTES_MAX).contains(&self.0.len()) && !self.0.chars().any(char::is_control)
    }
}

impl std::fmt::Display for DisplayName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a new room is to play.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoomSpec {
    /// Name of the rules; the server takes the newest version it has.
    pub rules: String,
    /// Size in the game's own unit; `None` for the usual one.
    pub size: Option<u16>,
    /// How many seats at most.
    pub seats: u8,
    /// Whose transactions a turn waits for.
    pub mode: TurnMode,
    /// Turns after which the match ends, if the rules have not ended it before.
    pub turns_max: Option<u32>,
    /// How long a turn is open; `None` for the server's default.
    pub deadline_ms: Option<u32>,
    /// May others watch, and how late?
    pub spectators: SpectatorPolicy,
    /// What two transactions of one seat for one turn lead to.
    pub double_transactions: DoubleTransactionPolicy,
    /// When the others see a seat's commands.
    pub visibility: Visibility,
    /// Where seed and block order come from.
    pub randomness: RandomnessMode,
    /// Whether turns can be taken back.
    pub takebacks: TakebackPolicy,
    /// What else the players can agree on.
    pub agreements: AgreementPolicy,
    /// How the time of a turn is counted.
    pub clock: Clock,
    /// What an absence leads to.
    pub absence: AbsencePolicy,
    /// How many seats have to be taken at least for the match to begin.
    pub seats_min: u8,
    /// Who may come in, and who hears of the room.
    pub access: Access,
    /// The match goes on from a turn of another one: then rules, size, seats and mode are those of that one, whatever
    /// is said here.
    pub fork: Option<ForkPoint>,
    /// Can the seats that are free when the match begins be taken later on?
    pub late_joins: bool,
    /// By so much the time of a turn is later, once, if a seat has lost its connection; in milliseconds, 0 for none.
    pub grace_ms: u32,
}

/// A turn of a match that another one goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ForkPoint {
    /// The match.
    pub match_id: MatchId,
    /// The turn, as it was played last.
    pub turn: Turn,
}

/// As what somebody enters a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum EnterAs {
    /// To take a seat, or go back to it.
    Player,
    /// To watch.
    Spectator,
    /// To watch without executing anything: by views instead of blocks.
    Light,
}

impl EnterAs {
    /// Is it to take a seat, and not only to watch, in whichever way?
    pub const fn is_to_play(self) -> bool {
        matches!(self, Self::Player)
    }
}

/// How a client wants to be told of what it has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Following {
    /// By every block.
    Blocks,
    /// By a snapshot and the blocks after it, where that is shorter.
    Snapshot,
}

/// From the client, after Accept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ClientMessage {
    /// Opens a room.
    Create {
        /// Its name.
        room: RoomName,
        /// What is played in it.
        spec: RoomSpec,
    },
    /// Enters a room. The first thing after it is [`ServerMessage::Lobby`], or the match from its genesis.
    Enter {
        /// Which.
        room: RoomName,
        /// As what.
        enter_as: EnterAs,
        /// Shown to the others.
        name: DisplayName,
        /// What lets in, where not everybody may.
        pass: Option<Pass>,
    },
    /// Says in the lobby whether the match may begin.
    Ready {
        /// May it?
        ready: bool,
        /// The seat's hash chain; a seat of a match with commit and reveal is not ready without.
        chain: Option<ChainStart>,
    },
    /// Comes back to a match after a lost connection, with the blocks up to `height` in hand.
    Resume {
        /// Which match.
        match_id: MatchId,
        /// As what.
        enter_as: EnterAs,
        /// Height of the own head.
        height: Height,
        /// The own head.
        block: BlockHash,
        /// What lets in, where not everybody may; whoever holds a seat needs none.
        pass: Option<Pass>,
    },
    /// Hands in a transaction. The same bytes may be handed in again at any time.
    Submit(SignedTransaction),
    /// Leaves the room. A seat in a running match stays the player's.
    Leave,
    /// Asks for a [`ServerMessage::Pong`] with the same number.
    Ping(u64),
    /// Compares states after a desync.
    Compare(CompareRequest),
    /// Says before Enter or Resume how the client wants to be told of the match. One that has said nothing gets
    /// every block as it is.
    Follow {
        /// Of what it has missed.
        following: Following,
        /// Whether it takes [`ServerMessage::Packed`].
        packed: bool,
    },
    /// Says of which chunks a guest who entered as [`EnterAs::Light`] wants to be shown; of all, if of none in
    /// particular. Ascending, and at most [`VIEWPORT_CHUNKS_MAX`].
    Watch(Option<Vec<ChunkId>>),
    /// Says something to those who are in the room. The same bytes may be said again at any time.
    Say(SignedTalk),
    /// Answers [`ServerMessage::Ping`].
    Pong(u64),
    /// Wants another match of the same kind in the same room, when one is over.
    Rematch,
}

/// From the server.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ServerMessage {
    /// The handshake is complete, and the client logged in. Always the first message.
    Accept {
        /// Names this session in logs; equal to the exporter that both ends derive.
        session: Digest,
        /// What the server expects of the client.
        limits: Limits,
        /// The server's clock.
        server_time: Millis,
    },
    /// The room asked for is open.
    Created {
        /// Its name.
        room: RoomName,
    },
    /// Who is in the lobby, whenever that changes.
    Lobby(Lobby),
    /// The match that is about to begin, or runs: first of all blocks.
    Genesis {
        /// Encoding of the [`crate::Genesis`].
        genesis: Vec<u8>,
        /// How the players are called, by seat.
        names: Vec<DisplayName>,
        /// Does it run already? If not, the server waits for the Joins of all seats.
        begun: bool,
    },
    /// The next block.
    Block(ProvenBlock),
    /// Everything up to this height was sent; what follows is news.
    CaughtUp {
        /// Height of the server's head.
        height: Height,
    },
    /// A transaction was accepted, and is on disk.
    Receipt(ProvenReceipt),
    /// A transaction was refused. It leaves no trace: its number can be used again.
    Refused {
        /// Which.
        transaction: TxHash,
        /// Why.
        refusal: Refusal,
    },
    /// What was asked cannot be done.
    Failed(Failure),
    /// Answers [`ClientMessage::Ping`].
    Pong(u64),
    /// The server closes this connection in good order; come back after the time given.
    Goodbye {
        /// Why.
        reason: GoodbyeReason,
        /// Not before, in milliseconds from now.
        retry_after_ms: u32,
    },
    /// What another seat does in the open turn, in a match with open moves. It is on disk.
    Relay(Box<Relay>),
    /// Answers [`ClientMessage::Compare`].
    Compared(CompareAnswer),
    /// What was said last is beyond a limit, and is not done. The same can be said again after the time given.
    Limited {
        /// Which limit.
        limit: Limit,
        /// Not before, in milliseconds from now.
        retry_after_ms: u32,
    },
    /// What a seat wants in the open turn: on disk, and by the server's word only, for the seat's own may be of no
    /// account before the block.
    Takeback {
        /// Which seat.
        seat: Seat,
        /// The turn to go back to; `None` when it declines, or wants it no more.
        to_turn: Option<Turn>,
    },
    /// The match as it stands after a later block: the chunks of the game's state follow, and the blocks after it.
    Snapshot(Box<JoinPoint>),
    /// The next chunks of a snapshot, or of the state that a fork begins with: ascending, at most [`CHUNKS_BYTES_MAX`] bytes of them.
    Chunks(Vec<(ChunkId, Vec<u8>)>),
    /// A message, compressed: see [`crate::read_server_message`].
    Packed(Vec<u8>),
    /// A block and what it changed, for whoever entered as [`EnterAs::Light`].
    View(Box<View>),
    /// Where one talks from now on, with the last lines there.
    Conversation {
        /// Where.
        place: TalkPlace,
        /// The last lines that were told, each the next of the one before.
        lines: Vec<Line>,
    },
    /// The next line of the conversation.
    Said(Line),
    /// Something that was said is not passed on.
    NotSaid {
        /// What.
        talk: TalkHash,
        /// Why.
        refusal: TalkRefusal,
    },
    /// The server has something to say to everybody.
    Notice(Notice),
    /// Asks for a [`ClientMessage::Pong`] with the same number.
    Ping(u64),
    /// What a seat wants when a match is over: another one of the same kind.
    Rematch {
        /// Which seat.
        seat: Seat,
    },
    /// What a seat wants in the open turn: on disk, and by the server's word only, as Takeback is.
    Motion {
        /// Which seat.
        seat: Seat,
        /// What it said last.
        motion: Motion,
    },
}

/// What a server tells everybody, by its own word.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Notice {
    /// The words of the operator.
    Text(Text),
    /// The server stops.
    Shutdown {
        /// When, in milliseconds from now.
        in_ms: u32,
    },
}

/// What a seat does in a match with open moves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Relay {
    /// As it was signed.
    pub transaction: SignedTransaction,
    /// Of this transaction.
    pub receipt: ProvenReceipt,
}

/// What the server expects of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// How often either side sends a Ping, in milliseconds. After three times as long without a word of the other the
    /// connection is lost.
    pub heartbeat_ms: u32,
    /// Longest message, in bytes.
    pub message_bytes_max: u32,
}

/// A room before its match.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Lobby {
    /// The room.
    pub room: RoomName,
    /// What is to be played.
    pub spec: RoomSpec,
    /// The seats taken, ascending.
    pub seats: Vec<LobbySeat>,
}

/// A seat taken in the lobby.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LobbySeat {
    /// Which.
    pub seat: Seat,
    /// By whom.
    pub identity: PublicKey,
    /// How the player is called.
    pub name: DisplayName,
    /// May the match begin?
    pub ready: bool,
}

/// Why a transaction was refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// It is not a transaction at all.
    #[error("not the encoding of a transaction")]
    Malformed,
    /// The sender does not hold the seat it is for.
    #[error("the sender does not hold this seat")]
    NotYourSeat,
    /// No match runs here.
    #[error("no match is running here")]
    NoMatch,
    /// The chain does not take it.
    #[error(transparent)]
    Chain(TransactionError),
    /// The rules of the game do not allow a command.
    #[error("command {command}: {reason}")]
    Command {
        /// Which, counted from 0.
        command: u16,
        /// Why not, in the words of the game.
        reason: String,
    },
}

/// Why something asked for cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Failure {
    /// There is a room of this name.
    #[error("a room of this name is open already")]
    RoomExists,
    /// There is no room of this name.
    #[error("there is no room of this name")]
    NoSuchRoom,
    /// There is no match of this id, or it has not come so far as a fork wants to go on from.
    #[error("there is no match of this id, or not as far as this turn")]
    NoSuchMatch,
    /// The room cannot be opened with these settings.
    #[error("the room's settings are not possible: unknown rules, or size, seats or times out of range")]
    BadSpec,
    /// The server has as many rooms as it may.
    #[error("the server has as many rooms as its limit `rooms_max` allows")]
    TooManyRooms,
    /// All seats are taken.
    #[error("all seats of the room are taken")]
    RoomFull,
    /// The match has begun without this identity.
    #[error("the match has begun, and this identity holds no seat in it")]
    NotSeated,
    /// The room does not let anybody watch, or has as many watchers as it may.
    #[error("the room takes no (more) spectators")]
    NoSpectators,
    /// The connection is in a room already, or in none.
    #[error("not possible in this state of the connection")]
    WrongState,
    /// The client has blocks that the server does not have: one of them has lost its history.
    #[error("the client's head is not a block that the server knows at this height")]
    UnknownHead,
    /// The server cannot write to its store and accepts nothing.
    #[error("the server cannot write to its store")]
    Unavailable,
    /// The room is by invitation, and none was shown that lets in.
    #[error(
        "the room is by invitation, and there is none, or it is not for this room, player or role, or has expired"
    )]
    NotInvited,
    /// The room has a password, and no proof of it was shown.
    #[error("the room has a password, and this is not it")]
    WrongPassword,
}

/// Why the server closes a connection in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum GoodbyeReason {
    /// It shuts down.
    Shutdown,
    /// The same identity connected again; or the seat that was lent is another's to play for.
    Replaced,
    /// The client did not read fast enough.
    TooSlow,
    /// The client was silent for too long.
    Silent,
    /// The room is no more.
    RoomClosed,
    /// The client sent more than its limits allow.
    TooFast,
}

impl ServerMessage {
    /// The [`ServerMessage::Chunks`] that carry a state, ascending as it is.
    pub fn chunks_of(state: Vec<(ChunkId, Vec<u8>)>) -> Vec<Self> {
        let mut messages = Vec::new();
        let (mut chunks, mut bytes) = (Vec::new(), 0);
        for (id, chunk) in state {
            if bytes + chunk.len() > CHUNKS_BYTES_MAX {
                messages.push(Self::Chunks(std::mem::take(&mut chunks)));
                bytes = 0;
            }
            bytes += chunk.len();
            chunks.push((id, chunk));
        }
        if !chunks.is_empty() {
            messages.push(Self::Chunks(chunks));
        }
        messages
    }
}

/// Are these chunks in order, each within its limit, and all together with `other` bytes within that of a message?
pub(crate) fn are_chunks(chunks: &[(ChunkId, Vec<u8>)], other: usize) -> bool {
    let bytes: usize = chunks.iter().map(|(_, chunk)| chunk.len()).sum();
    strictly_ascending(chunks.iter().map(|(id, _)| *id))
        && chunks.iter().all(|(_, chunk)| chunk.len() <= CHUNK_BYTES_MAX)
        && bytes.saturating_add(other) <= CHUNKS_BYTES_MAX
}

impl Wire for ClientMessage {
    const BYTES_MAX: usize = 12 * 1024;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Create { room, spec } => {
                if !room.is_valid() {
                    return Err("room name");
                }
                let rules_fit = (1..=RULES_NAME_BYTES_MAX).contains(&spec.rules.len());
                if rules_fit { Ok(()) } else { Err("rules name") }
            }
            Self::Enter { room, name, .. } => {
                if room.is_valid() && name.is_valid() {
                    Ok(())
                } else {
                    Err("room or display name")
                }
            }
            Self::Compare(request) => request.validate(),
            Self::Ready { .. }
            | Self::Resume { .. }
            | Self::Submit(_)
            | Self::Leave
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Follow { .. }
            | Self::Watch(None)
            | Self::Say(_)
            | Self::Rematch => Ok(()),
            Self::Watch(Some(chunks)) => {
                let fits = (1..=VIEWPORT_CHUNKS_MAX).contains(&chunks.len());
                if fits && strictly_ascending(chunks.iter().copied()) { Ok(()) } else { Err("viewport") }
            }
        }
    }
}

impl Wire for ServerMessage {
    const BYTES_MAX: usize = DECODE_BYTES_MAX;

    fn validate(&self) -> Result<(), &'static str> {
        match self {
            Self::Lobby(lobby) => {
                let players_fit = lobby.seats.iter().all(|seat| seat.name.is_valid());
                let names_fit = lobby.room.is_valid() && is_rules_name(&lobby.spec.rules) && players_fit;
                let seats = lobby.seats.iter().map(|seat| seat.seat);
                if names_fit && strictly_ascending(seats) { Ok(()) } else { Err("lobby") }
            }
            Self::Genesis { names, .. } => {
                let fits = names.len() <= usize::from(SEATS_MAX) && names.iter().all(DisplayName::is_valid);
                if fits { Ok(()) } else { Err("display names") }
            }
            Self::Created { room } => {
                if room.is_valid() {
                    Ok(())
                } else {
                    Err("room name")
                }
            }
            Self::Refused { refusal: Refusal::Command { reason, .. }, .. }
                if reason.len() > REASON_BYTES_MAX || reason.chars().any(char::is_control) =>
            {
                Err("reason")
            }
            Self::Compared(answer) => answer.validate(),
            Self::Snapshot(point) => point.validate(),
            Self::Chunks(chunks) => {
                if are_chunks(chunks, 0) && !chunks.is_empty() {
                    Ok(())
                } else {
                    Err("chunks")
                }
            }
            Self::View(view) => view.validate(),
            Self::Conversation { place, lines } => {
                if place.is_valid() && lines.len() <= LINES_KEPT {
                    Ok(())
                } else {
                    Err("conversation")
                }
            }
            Self::Notice(Notice::Text(text)) => text.check().map_err(|_| "text"),
            Self::Accept { .. }
            | Self::Block(_)
            | Self::CaughtUp { .. }
            | Self::Receipt(_)
            | Self::Refused { .. }
            | Self::Failed(_)
            | Self::Ping(_)
            | Self::Pong(_)
            | Self::Goodbye { .. }
            | Self::Relay(_)
            | Self::Limited { .. }
            | Self::Takeback { .. }
            | Self::Packed(_)
            | Self::Said(_)
            | Self::NotSaid { .. }
            | Self::Notice(Notice::Shutdown { .. })
            | Self::Rematch { .. }
            | Self::Motion { .. } => Ok(()),
        }
    }
}
