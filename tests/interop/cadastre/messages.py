"""What clients and servers say to each other. docs/protocol.md, "Messages"."""

import unicodedata
from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from .access import Access, EnterAs, is_room_name
from .access import Pass as ShownPass
from .codec import U8, U16, U32, U64, Array, Bytes, Fields, Hash, Key, Seat, decode_choice, encode, require
from .objects import (
    Agreements,
    Allowed,
    Bank,
    ChainStart,
    ChainState,
    DoubleTransactions,
    Forbidden,
    Forfeit,
    Later,
    Motion,
    Pass,
    PerTurn,
    ProvenBlock,
    ProvenReceipt,
    RandomnessMode,
    ServerProof,
    Shrink,
    TakeOver,
    Signed,
    SignedCertificate,
    SignedTransaction,
    Takebacks,
    TurnMode,
    Visibility,
    ascending,
    is_room_name,
    is_rules_name,
)
from .talk import LINES_KEPT, Line, Place, is_text

CLIENT_BYTES_MAX = 12_288
SERVER_BYTES_MAX = 65_536
CHUNKS_BYTES_MAX = 49_152


@dataclass(frozen=True)
class ForkPoint(Fields):
    match_id: Hash
    turn: U32


@dataclass(frozen=True)
class RoomSpec(Fields):
    rules: str
    size: U16 | None
    seats: U8
    mode: TurnMode
    last_turn: U32 | None
    deadline_ms: U32 | None
    spectators: Forbidden | Allowed | Later
    double_transactions: DoubleTransactions
    visibility: Visibility
    randomness: RandomnessMode
    takebacks: Takebacks
    agreements: Agreements
    clock: PerTurn | Bank
    absence: Pass | Forfeit | Shrink | TakeOver
    seats_min: U8
    access: Access
    fork: ForkPoint | None
    late_joins: bool
    grace_ms: U32


# From the client


@dataclass(frozen=True)
class Create(Fields):
    room: str
    spec: RoomSpec

    def check(self) -> None:
        require(is_room_name(self.room), "room name")
        require(1 <= len(self.spec.rules.encode()) <= 16, "rules name")


@dataclass(frozen=True)
class Enter(Fields):
    room: str
    enter_as: EnterAs
    name: str
    shown: ShownPass | None

    def check(self) -> None:
        require(is_room_name(self.room) and is_display_name(self.name), "room or display name")


@dataclass(frozen=True)
class Ready(Fields):
    ready: bool
    chain: ChainStart | None


@dataclass(frozen=True)
class Resume(Fields):
    match_id: Hash
    enter_as: EnterAs
    height: U64
    block: Hash
    shown: ShownPass | None


@dataclass(frozen=True)
class Submit(Fields):
    transaction: SignedTransaction


@dataclass(frozen=True)
class Leave(Fields):
    pass


@dataclass(frozen=True)
class Ping(Fields):
    number: U64


@dataclass(frozen=True)
class Pong(Fields):
    number: U64


# Comparing states

CHUNK_BYTES_MAX = 8192


@dataclass(frozen=True)
class ChunkProof(Fields):
    number: U16
    neighbours: Annotated[bytes, Array(16 * 32)]


@dataclass(frozen=True)
class Begin(Fields):
    turn: U32
    attempt: U32
    phases: tuple[Hash, ...]

    def check(self) -> None:
        require(1 <= len(self.phases) <= 32, "phases")


@dataclass(frozen=True)
class AskNodes(Fields):
    level: U8
    indices: tuple[U16, ...]

    def check(self) -> None:
        require(self.level in (4, 8, 12, 16), "nodes")
        require(1 <= len(self.indices) <= 100 and ascending(list(self.indices)), "nodes")


@dataclass(frozen=True)
class OwnChunk(Fields):
    proof: ChunkProof
    chunk: Bytes | None

    def check(self) -> None:
        require(self.chunk is None or len(self.chunk) <= CHUNK_BYTES_MAX, "chunk")


@dataclass(frozen=True)
class AskChunks(Fields):
    ids: tuple[U16, ...]

    def check(self) -> None:
        require(1 <= len(self.ids) <= 8 and ascending(list(self.ids)), "chunks")


@dataclass(frozen=True)
class Compare(Fields):
    request: Begin | AskNodes | OwnChunk | AskChunks


@dataclass(frozen=True)
class Phases(Fields):
    roots: tuple[Hash, ...]

    def check(self) -> None:
        require(1 <= len(self.roots) <= 32, "phases")


@dataclass(frozen=True)
class Nodes(Fields):
    nodes: tuple[Hash, ...]

    def check(self) -> None:
        require(len(self.nodes) <= 1600 and len(self.nodes) % 16 == 0, "nodes")


@dataclass(frozen=True)
class Chunk(Fields):
    proof: ChunkProof
    chunk: Bytes | None

    def check(self) -> None:
        require(self.chunk is None or len(self.chunk) <= CHUNK_BYTES_MAX, "chunk")


@dataclass(frozen=True)
class Unknown(Fields):
    pass


@dataclass(frozen=True)
class Compared(Fields):
    answer: Phases | Nodes | Chunk | Unknown


class Following(IntEnum):
    Blocks = 0
    Snapshot = 1


@dataclass(frozen=True)
class Follow(Fields):
    following: Following
    packed: bool


@dataclass(frozen=True)
class Watch(Fields):
    chunks: tuple[U16, ...] | None

    def check(self) -> None:
        if self.chunks is not None:
            require(1 <= len(self.chunks) <= 64 and ascending(list(self.chunks)), "viewport")


@dataclass(frozen=True)
class Say(Fields):
    talk: Signed


@dataclass(frozen=True)
class Rematch(Fields):
    pass


ClientMessage = (
    Create | Enter | Ready | Resume | Submit | Leave | Ping | Compare | Follow | Watch | Say | Pong | Rematch
)


# From the server


@dataclass(frozen=True)
class Limits(Fields):
    heartbeat_ms: U32
    message_bytes_max: U32


@dataclass(frozen=True)
class Accept(Fields):
    session: Hash
    limits: Limits
    server_time: U64


@dataclass(frozen=True)
class Created(Fields):
    room: str

    def check(self) -> None:
        require(is_room_name(self.room), "room name")


@dataclass(frozen=True)
class LobbySeat(Fields):
    seat: Seat
    identity: Key
    name: str
    ready: bool


@dataclass(frozen=True)
class Lobby(Fields):
    room: str
    spec: RoomSpec
    seats: tuple[LobbySeat, ...]

    def check(self) -> None:
        require(is_room_name(self.room) and is_rules_name(self.spec.rules), "lobby")
        require(ascending([seat.seat for seat in self.seats]), "lobby")
        require(all(is_display_name(seat.name) for seat in self.seats), "lobby")


@dataclass(frozen=True)
class GenesisMessage(Fields):
    genesis: Bytes
    names: tuple[str, ...]
    begun: bool

    def check(self) -> None:
        require(len(self.names) <= 8 and all(map(is_display_name, self.names)), "display names")


@dataclass(frozen=True)
class BlockMessage(Fields):
    block: ProvenBlock


@dataclass(frozen=True)
class CaughtUp(Fields):
    height: U64


@dataclass(frozen=True)
class ReceiptMessage(Fields):
    receipt: ProvenReceipt


@dataclass(frozen=True)
class NotEncoded(Fields):
    pass


@dataclass(frozen=True)
class NotYourSeat(Fields):
    pass


@dataclass(frozen=True)
class NoMatch(Fields):
    pass


@dataclass(frozen=True)
class WrongMatch(Fields):
    word = "tx-wrong-match"


@dataclass(frozen=True)
class NoSuchSeat(Fields):
    word = "tx-no-such-seat"


@dataclass(frozen=True)
class MatchOver(Fields):
    word = "tx-match-over"


@dataclass(frozen=True)
class WrongKind(Fields):
    word = "tx-wrong-kind"


@dataclass(frozen=True)
class WrongTurn(Fields):
    word = "tx-wrong-turn"
    expected: U32
    got: U32


@dataclass(frozen=True)
class WrongAttempt(Fields):
    word = "tx-wrong-attempt"


@dataclass(frozen=True)
class Resigned(Fields):
    word = "tx-resigned"


@dataclass(frozen=True)
class AlreadySubmitted(Fields):
    word = "tx-already-submitted"


@dataclass(frozen=True)
class NotToMove(Fields):
    word = "tx-not-to-move"


@dataclass(frozen=True)
class WrongEpoch(Fields):
    word = "tx-wrong-epoch"
    expected: U32
    got: U32


@dataclass(frozen=True)
class WrongSeq(Fields):
    word = "tx-wrong-seq"
    expected: U32
    got: U32


@dataclass(frozen=True)
class WrongLink(Fields):
    word = "tx-wrong-link"


@dataclass(frozen=True)
class UnknownSeenBlock(Fields):
    word = "tx-unknown-seen-block"


@dataclass(frozen=True)
class UnexpectedChainElement(Fields):
    word = "tx-unexpected-chain-element"


@dataclass(frozen=True)
class MissingChainElement(Fields):
    word = "tx-missing-chain-element"


@dataclass(frozen=True)
class WrongChainElement(Fields):
    word = "tx-wrong-chain-element"


@dataclass(frozen=True)
class WrongReveal(Fields):
    word = "tx-wrong-reveal"


@dataclass(frozen=True)
class Early(Fields):
    word = "tx-early"


@dataclass(frozen=True)
class Late(Fields):
    word = "tx-late"


@dataclass(frozen=True)
class BadDelegation(Fields):
    word = "tx-bad-delegation"


@dataclass(frozen=True)
class DelegationExpired(Fields):
    word = "tx-delegation-expired"


@dataclass(frozen=True)
class BadSignature(Fields):
    word = "tx-bad-signature"


@dataclass(frozen=True)
class Exhausted(Fields):
    word = "tx-exhausted"


@dataclass(frozen=True)
class WrongTakeback(Fields):
    word = "tx-wrong-takeback"


@dataclass(frozen=True)
class WrongMotion(Fields):
    word = "tx-wrong-motion"


@dataclass(frozen=True)
class SeatTaken(Fields):
    word = "tx-seat-taken"


@dataclass(frozen=True)
class AlreadySeated(Fields):
    word = "tx-already-seated"


TransactionError = (
    WrongMatch
    | NoSuchSeat
    | MatchOver
    | WrongKind
    | WrongTurn
    | WrongAttempt
    | Resigned
    | AlreadySubmitted
    | NotToMove
    | WrongEpoch
    | WrongSeq
    | WrongLink
    | UnknownSeenBlock
    | UnexpectedChainElement
    | MissingChainElement
    | WrongChainElement
    | WrongReveal
    | Early
    | Late
    | BadDelegation
    | DelegationExpired
    | BadSignature
    | Exhausted
    | WrongTakeback
    | WrongMotion
    | SeatTaken
    | AlreadySeated
)


@dataclass(frozen=True)
class Chain(Fields):
    error: TransactionError


@dataclass(frozen=True)
class Command(Fields):
    number: U16
    reason: str

    def check(self) -> None:
        require(len(self.reason.encode()) <= 120 and not has_controls(self.reason), "reason")


@dataclass(frozen=True)
class Refused(Fields):
    transaction: Hash
    refusal: NotEncoded | NotYourSeat | NoMatch | Chain | Command


class Failure(IntEnum):
    RoomExists = 0
    NoSuchRoom = 1
    NoSuchMatch = 2
    BadSpec = 3
    TooManyRooms = 4
    RoomFull = 5
    NotSeated = 6
    NoSpectators = 7
    WrongState = 8
    UnknownHead = 9
    Unavailable = 10
    NotInvited = 11
    WrongPassword = 12


@dataclass(frozen=True)
class Failed(Fields):
    failure: Failure


class GoodbyeReason(IntEnum):
    Shutdown = 0
    Replaced = 1
    TooSlow = 2
    Silent = 3
    RoomClosed = 4
    TooFast = 5


@dataclass(frozen=True)
class Goodbye(Fields):
    reason: GoodbyeReason
    retry_after_ms: U32


class Limit(IntEnum):
    ConnectionsPerIdentity = 0
    RoomsPerIdentity = 1
    RoomsPerAddress = 2
    CreatesPerIdentity = 3
    CreatesPerAddress = 4
    EntersPerIdentity = 5
    SubmitsPerIdentity = 6
    ComparesPerIdentity = 7
    OthersPerIdentity = 8
    MessagesPerAddress = 9
    TalksPerIdentity = 10
    TalksPerAddress = 11
    PasswordsPerAddress = 12


@dataclass(frozen=True)
class Limited(Fields):
    limit: Limit
    retry_after_ms: U32


@dataclass(frozen=True)
class Relay(Fields):
    transaction: SignedTransaction
    receipt: ProvenReceipt


@dataclass(frozen=True)
class TakebackMessage(Fields):
    seat: Seat
    to_turn: U32 | None


@dataclass(frozen=True)
class ProvenHeader(Fields):
    header: Bytes
    proof: ServerProof


@dataclass(frozen=True)
class Snapshot(Fields):
    block: ProvenHeader
    state: ChainState
    place: tuple[Hash, ...]

    def check(self) -> None:
        require(len(self.place) <= 64, "place")


@dataclass(frozen=True)
class NumberedChunk(Fields):
    id: U16
    chunk: Bytes


@dataclass(frozen=True)
class Chunks(Fields):
    chunks: tuple[NumberedChunk, ...]

    def check(self) -> None:
        require(len(self.chunks) > 0 and ascending([chunk.id for chunk in self.chunks]), "chunks")
        require(all(len(chunk.chunk) <= CHUNK_BYTES_MAX for chunk in self.chunks), "chunks")
        require(sum(len(chunk.chunk) for chunk in self.chunks) <= CHUNKS_BYTES_MAX, "chunks")


@dataclass(frozen=True)
class Packed(Fields):
    message: Bytes


@dataclass(frozen=True)
class Before(Fields):
    pass


@dataclass(frozen=True)
class Nothing(Fields):
    signer: SignedCertificate
    place: tuple[Hash, ...]


@dataclass(frozen=True)
class View(Fields):
    block: ProvenHeader
    since: Before | Nothing
    beside: tuple[Hash, ...]
    chunks: tuple[NumberedChunk, ...]
    more: U32

    def check(self) -> None:
        require(ascending([chunk.id for chunk in self.chunks]), "view")
        require(all(len(chunk.chunk) <= CHUNK_BYTES_MAX for chunk in self.chunks), "view")
        chunks = sum(len(chunk.chunk) for chunk in self.chunks)
        require(chunks + 32 * len(self.beside) <= CHUNKS_BYTES_MAX, "view")
        require(not isinstance(self.since, Nothing) or len(self.since.place) <= 64, "view")


@dataclass(frozen=True)
class ConversationMessage(Fields):
    place: Place
    lines: tuple[Line, ...]

    def check(self) -> None:
        require(len(self.lines) <= LINES_KEPT, "conversation")


@dataclass(frozen=True)
class Said(Fields):
    line: Line


@dataclass(frozen=True)
class TalkLimited(Fields):
    limit: Limit
    retry_after_ms: U32


@dataclass(frozen=True)
class TalkMalformed(Fields):
    pass


@dataclass(frozen=True)
class NotTheAuthor(Fields):
    pass


@dataclass(frozen=True)
class WrongPlace(Fields):
    pass


@dataclass(frozen=True)
class OnlyListening(Fields):
    pass


@dataclass(frozen=True)
class UnknownSeenLine(Fields):
    pass


@dataclass(frozen=True)
class Repeated(Fields):
    pass


@dataclass(frozen=True)
class TalkBadSignature(Fields):
    pass


TalkRefusal = (
    TalkLimited
    | TalkMalformed
    | NotTheAuthor
    | WrongPlace
    | OnlyListening
    | UnknownSeenLine
    | Repeated
    | TalkBadSignature
)


@dataclass(frozen=True)
class NotSaid(Fields):
    talk: Hash
    refusal: TalkRefusal


@dataclass(frozen=True)
class TextNotice(Fields):
    text: str

    def check(self) -> None:
        require(is_text(self.text), "text")


@dataclass(frozen=True)
class ShutdownNotice(Fields):
    in_ms: U32


@dataclass(frozen=True)
class Notice(Fields):
    notice: TextNotice | ShutdownNotice


@dataclass(frozen=True)
class RematchMessage(Fields):
    seat: Seat


@dataclass(frozen=True)
class MotionMessage(Fields):
    seat: Seat
    motion: Motion


ServerMessage = (
    Accept
    | Created
    | Lobby
    | GenesisMessage
    | BlockMessage
    | CaughtUp
    | ReceiptMessage
    | Refused
    | Failed
    | Pong
    | Goodbye
    | Relay
    | Compared
    | Limited
    | TakebackMessage
    | Snapshot
    | Chunks
    | Packed
    | View
    | ConversationMessage
    | Said
    | NotSaid
    | Notice
    | Ping
    | RematchMessage
    | MotionMessage
)


def encode_client_message(message: ClientMessage) -> bytes:
    return encode(message, ClientMessage)


def decode_client_message(data: bytes) -> ClientMessage:
    message: ClientMessage = decode_choice(ClientMessage, CLIENT_BYTES_MAX, data)
    return message


def decode_server_message(data: bytes) -> ServerMessage:
    message: ServerMessage = decode_choice(ServerMessage, SERVER_BYTES_MAX, data)
    return message


def is_display_name(name: str) -> bool:
    return 1 <= len(name.encode()) <= 32 and not has_controls(name)


def has_controls(text: str) -> bool:
    return any(unicodedata.category(character) == "Cc" for character in text)
