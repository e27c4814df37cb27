"""The layouts of everything that is hashed, signed or stored. docs/protocol.md, "Certificate" and from
"Genesis" to "Block"."""

import string
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from .codec import (
    I64,
    U8,
    U16,
    U32,
    U64,
    Bytes,
    Fields,
    Hash,
    Key,
    Malformed,
    Nonce,
    Seat,
    Signature,
    encode,
    require,
)
from .crypto import H, enrol

COMMANDS_BYTES_MAX = 4096
ENTRIES_MAX = 48


@dataclass(frozen=True)
class Versioned(Fields):
    version: U8

    def check(self) -> None:
        require(self.version == 1, "version")


@dataclass(frozen=True)
class Signed(Fields):
    """`signed X`: the encoding of X as it came, and a signature."""

    body: Bytes
    signature: Signature


# Certificate


class Role(IntEnum):
    Handshake = 0
    Block = 1
    Log = 2


@dataclass(frozen=True)
class Certificate(Versioned):
    BYTES_MAX: ClassVar[int] = 57
    role: Role
    key: Key
    serial: U32
    valid_from: U64
    valid_to: U64

    def check(self) -> None:
        super().check()
        require(self.valid_from < self.valid_to, "validity")


@dataclass(frozen=True)
class SignedCertificate(Signed):
    BYTES_MAX: ClassVar[int] = 129


@dataclass(frozen=True)
class Revoked(Fields):
    serial: U32
    since: U64


@dataclass(frozen=True)
class Revocations(Versioned):
    BYTES_MAX: ClassVar[int] = 12_305
    issued: U64
    revoked: tuple[Revoked, ...]

    def check(self) -> None:
        super().check()
        require(len(self.revoked) <= 1024, "too many revocations")
        require(ascending([entry.serial for entry in self.revoked]), "serials not in ascending order")

    def revokes(self, serial: int, at_ms: int) -> bool:
        return any(entry.serial == serial and at_ms >= entry.since for entry in self.revoked)

    def lists(self, serial: int) -> bool:
        """Whether it is revoked from some time on."""
        return any(entry.serial == serial for entry in self.revoked)


@dataclass(frozen=True)
class SignedRevocations(Signed):
    BYTES_MAX: ClassVar[int] = 12_377


# Genesis


@dataclass(frozen=True)
class PlayerSeat(Fields):
    identity: Key


@dataclass(frozen=True)
class OpenSeat(Fields):
    pass


class TurnMode(IntEnum):
    Simultaneous = 0
    Alternating = 1


@dataclass(frozen=True)
class PerTurn(Fields):
    pass


@dataclass(frozen=True)
class Bank(Fields):
    initial: U32
    increment: U32

    def check(self) -> None:
        require(self.initial >= 100, "bank out of range")


@dataclass(frozen=True)
class Pass(Fields):
    abandon_after: U16

    def check(self) -> None:
        require(self.abandon_after > 0, "a limit of no turns")


@dataclass(frozen=True)
class Forfeit(Pass):
    forfeit_after: U16

    def check(self) -> None:
        super().check()
        require(self.forfeit_after > 0, "a limit of no turns")


@dataclass(frozen=True)
class Shrink(Pass):
    forfeit_after: U16 | None
    shortest_ms: U32

    def check(self) -> None:
        super().check()
        require(self.forfeit_after != 0, "a limit of no turns")
        require(self.shortest_ms >= 100, "shortest time out of range")


@dataclass(frozen=True)
class TakeOver(Shrink):
    take_over_after: U16


class DoubleTransactions(IntEnum):
    KeepFirst = 0
    EndMatch = 1


class Visibility(IntEnum):
    Held = 0
    Sealed = 1
    Open = 2


class RandomnessMode(IntEnum):
    Nothing = 0
    CommitReveal = 1


@dataclass(frozen=True)
class NoRandomness(Fields):
    pass


@dataclass(frozen=True)
class ChainStart(Fields):
    nonce: Hash
    anchor: Hash


@dataclass(frozen=True)
class CommitReveal(Fields):
    server: Hash
    seats: tuple[ChainStart, ...]


class Takebacks(IntEnum):
    Never = 0
    Unanimous = 1


class SkipPolicy(IntEnum):
    Never = 0
    Majority = 1
    AllOthers = 2


@dataclass(frozen=True)
class Agreements(Fields):
    pause_ms_max: U32
    end: bool
    skip: SkipPolicy


@dataclass(frozen=True)
class Forbidden(Fields):
    pass


@dataclass(frozen=True)
class Allowed(Fields):
    delay: U16


@dataclass(frozen=True)
class Later(Fields):
    delay_s: U16


@dataclass(frozen=True)
class Parent(Fields):
    match_id: Hash
    height: U64
    block: Hash
    turn: U32
    state_root: Hash


@dataclass(frozen=True)
class Genesis(Versioned):
    BYTES_MAX: ClassVar[int] = 4096
    service: Key
    rules_name: str
    rules_version: U16
    options: Bytes
    seats: tuple[PlayerSeat | OpenSeat, ...]
    turn_mode: TurnMode
    deadline_ms: U32
    clock: PerTurn | Bank
    grace_ms: U32
    last_turn: U32 | None
    absence: Pass | Forfeit | Shrink | TakeOver
    double_transactions: DoubleTransactions
    visibility: Visibility
    randomness: NoRandomness | CommitReveal
    takebacks: Takebacks
    agreements: Agreements
    spectators: Forbidden | Allowed | Later
    parent: Parent | None
    signer: SignedCertificate
    created: U64
    nonce: Nonce

    def check(self) -> None:
        super().check()
        require(is_rules_name(self.rules_name) and self.rules_version > 0, "rules name or version")
        require(len(self.options) <= 64, "options too long")
        require(1 <= len(self.seats) <= 8, "number of seats")
        identities = [seat.identity for seat in self.seats if isinstance(seat, PlayerSeat)]
        require(len(set(identities)) == len(identities), "one identity on two seats")
        require(100 <= self.deadline_ms <= 2_678_400_000, "deadline out of range")
        require(self.grace_ms <= 600_000, "grace out of range")
        require(self.last_turn != 0, "a limit of no turns")
        require(self.agreements.pause_ms_max <= 2_678_400_000, "pause out of range")
        if isinstance(self.randomness, CommitReveal):
            require(len(self.randomness.seats) == len(self.seats), "number of hash chains")
            reached = self.last_turn is not None and self.last_turn <= 65_535
            require(reached, "a last turn that hash chains do not reach")

    def _hides_anything(self) -> bool:
        return isinstance(self.randomness, CommitReveal) or self.visibility is Visibility.Sealed

    def is_played(self) -> bool:
        """Whether all modes are among those that are played at present."""
        return (
            (all(isinstance(seat, PlayerSeat) for seat in self.seats) or not self._hides_anything())
            and (not isinstance(self.randomness, CommitReveal) or self._goes_with_chains())
            and self._can_be_watched()
        )

    def _can_be_watched(self) -> bool:
        match self.spectators:
            case Allowed(delay):
                return delay <= 100
            case Later(delay_s):
                return 1 <= delay_s <= 3_600
        return True

    def _goes_with_chains(self) -> bool:
        return self.takebacks is Takebacks.Never and self.parent is None


def is_rules_name(name: str) -> bool:
    return 1 <= len(name) <= 16 and set(name) <= set(string.ascii_lowercase + string.digits + "-")


def is_room_name(name: str) -> bool:
    return 1 <= len(name) <= 32 and set(name) <= set(string.ascii_letters + string.digits + "-_.")


def match_id_of(genesis: bytes) -> bytes:
    return H("genesis", genesis)


# Delegation, Transaction, Receipt


@dataclass(frozen=True)
class Delegation(Versioned):
    BYTES_MAX: ClassVar[int] = 128
    match_id: Hash
    seat: Seat
    epoch: U32
    session_key: Key
    valid_to: U64 | None


@dataclass(frozen=True)
class Join(Fields):
    delegation: Signed


@dataclass(frozen=True)
class Delegate(Fields):
    delegation: Signed


@dataclass(frozen=True)
class Commands(Fields):
    commands: Bytes

    def check(self) -> None:
        require(len(self.commands) <= COMMANDS_BYTES_MAX, "commands too long")


@dataclass(frozen=True)
class TurnBody(Commands):
    pass


@dataclass(frozen=True)
class Commit(Fields):
    commitment: Hash


@dataclass(frozen=True)
class Reveal(Fields):
    salt: Hash
    commands: Bytes

    def check(self) -> None:
        require(len(self.commands) <= COMMANDS_BYTES_MAX, "commands too long")


@dataclass(frozen=True)
class Takeback(Fields):
    turn: U32


@dataclass(frozen=True)
class Resign(Fields):
    pass


@dataclass(frozen=True)
class Nothing(Fields):
    pass


@dataclass(frozen=True)
class Pause(Fields):
    ms: U32


@dataclass(frozen=True)
class End(Fields):
    pass


@dataclass(frozen=True)
class Skip(Fields):
    seats: U8
    """A bit for each."""


@dataclass(frozen=True)
class Motion(Fields):
    motion: Nothing | Pause | End | Skip


@dataclass(frozen=True)
class LateJoin(Fields):
    identity: Key
    delegation: Signed


@dataclass(frozen=True)
class Transaction(Versioned):
    BYTES_MAX: ClassVar[int] = 4608
    match_id: Hash
    seat: Seat
    epoch: U32
    seq: U32
    prev_tx: Hash
    turn: U32
    attempt: U32
    seen_height: U64
    seen_block: Hash
    seen_state_root: Hash
    chain_element: Hash | None
    body: Join | Delegate | TurnBody | Commit | Reveal | Takeback | Resign | Motion | LateJoin


@dataclass(frozen=True)
class SignedTransaction(Signed):
    BYTES_MAX: ClassVar[int] = 4680

    def name(self) -> bytes:
        return H("transaction", self.body)


def exclude_each_other(first: Transaction, second: Transaction) -> bool:
    """Whether no honest player signs both under one delegation. docs/protocol.md, "Judging"."""
    return first != second and slot(first) is not None and slot(first) == slot(second)


def slot(tx: Transaction) -> tuple[bytes, int, int, int, int, str] | None:
    """What there can be one transaction of."""
    match tx.body:
        case Delegate():
            kind = "delegate"
        case Commit():
            kind = "commit"
        case Takeback() | Motion():
            return None
        case _:
            kind = "action"
    return tx.match_id, tx.seat, tx.epoch, tx.turn, tx.attempt, kind


@dataclass(frozen=True)
class Receipt(Versioned):
    BYTES_MAX: ClassVar[int] = 128
    match_id: Hash
    seat: Seat
    seq: U32
    transaction: Hash
    turn: U32
    attempt: U32
    received: U64


# Server proofs


@dataclass(frozen=True)
class ServerProof(Fields):
    BYTES_MAX: ClassVar[int] = 1108
    serial: U32
    index: U32
    size: U32
    hashes: tuple[Hash, ...]
    signature: Signature


@dataclass(frozen=True)
class ProvenReceipt(Fields):
    BYTES_MAX: ClassVar[int] = 1244
    receipt: Bytes
    proof: ServerProof


# Block


@dataclass(frozen=True)
class Start(Fields):
    pass


@dataclass(frozen=True)
class Turn(Fields):
    pass


@dataclass(frozen=True)
class CommitBlock(Fields):
    pass


@dataclass(frozen=True)
class Restart(Fields):
    pass


@dataclass(frozen=True)
class ByPause(Fields):
    ms: U32


@dataclass(frozen=True)
class Grace(Fields):
    pass


@dataclass(frozen=True)
class Reopen(Fields):
    reason: Restart | ByPause | Grace


@dataclass(frozen=True)
class TakebackBlock(Fields):
    turn: U32


@dataclass(frozen=True)
class KeyChange(Fields):
    certificate: SignedCertificate


@dataclass(frozen=True)
class ByRules(Fields):
    pass


@dataclass(frozen=True)
class TurnLimit(Fields):
    pass


@dataclass(frozen=True)
class AllResigned(Fields):
    """All, or all but one of several."""


@dataclass(frozen=True)
class Abandoned(Fields):
    pass


@dataclass(frozen=True)
class Operator(Fields):
    pass


@dataclass(frozen=True)
class DoubleTransaction(Fields):
    seat: Seat


@dataclass(frozen=True)
class Agreed(Fields):
    pass


SealReason = ByRules | TurnLimit | AllResigned | Abandoned | Operator | DoubleTransaction | Agreed


@dataclass(frozen=True)
class Standing(Fields):
    seat: Seat
    place: U8
    score: I64


@dataclass(frozen=True)
class Seal(Fields):
    reason: SealReason
    standings: tuple[Standing, ...]

    def check(self) -> None:
        require(all(1 <= standing.place <= 8 for standing in self.standings), "standings")
        require(ascending([standing.seat for standing in self.standings]), "standings")


@dataclass(frozen=True)
class Header(Versioned):
    BYTES_MAX: ClassVar[int] = 1024
    match_id: Hash
    height: U64
    prev_block: Hash
    kind: Start | Turn | CommitBlock | Reopen | TakebackBlock | KeyChange | Seal
    turn: U32
    attempt: U32
    server_time: U64
    deadline: U64 | None
    body_root: Hash
    absent_root: Hash
    randomness: Hash
    state_root: Hash
    chain_root: Hash
    signer_serial: U32


@dataclass(frozen=True)
class Entry(Fields):
    received: U64
    transaction: SignedTransaction

    def leaf(self) -> bytes:
        return H(
            "body leaf",
            self.received.to_bytes(8, "little") + self.transaction.body + self.transaction.signature,
        )


class AbsenceReason(IntEnum):
    Deadline = 0
    NotToMove = 1
    Resigned = 2
    Skipped = 3
    RevealMissing = 4
    OpenSeat = 5
    TakenOver = 6


@dataclass(frozen=True)
class Absence(Fields):
    seat: Seat
    reason: AbsenceReason


AbsentList = tuple[Absence, ...]


@dataclass(frozen=True)
class Block(Fields):
    BYTES_MAX: ClassVar[int] = 49_152
    header: Bytes
    entries: tuple[Entry, ...]
    absent: AbsentList

    def check(self) -> None:
        require(len(self.entries) <= ENTRIES_MAX, "too many entries")
        require(ascending([absence.seat for absence in self.absent]), "absent list not in ascending order")

    def absent_root(self) -> bytes:
        return H("absent", encode(self.absent, AbsentList))


@dataclass(frozen=True)
class ProvenBlock(Fields):
    BYTES_MAX: ClassVar[int] = 50_268
    block: Bytes
    proof: ServerProof


@dataclass(frozen=True)
class ProvenHeader(Fields):
    header: Bytes
    proof: ServerProof


def block_name(header: bytes) -> bytes:
    return H("block", header)


def ascending(numbers: list[int]) -> bool:
    return all(a < b for a, b in zip(numbers, numbers[1:]))


# Store


@dataclass(frozen=True)
class HeadState(Fields):
    height: U64
    name: Hash
    turn: U32
    attempt: U32
    server_time: U64
    deadline: U64 | None
    state_root: Hash


@dataclass(frozen=True)
class SeenBlock(Fields):
    name: Hash
    server_time: U64


@dataclass(frozen=True)
class SessionState(Fields):
    epoch: U32
    session_key: Key
    valid_to: U64 | None

    def check(self) -> None:
        if enrol(self.session_key) is not None:
            raise Malformed("a session key that cannot be enrolled")


@dataclass(frozen=True)
class Tip(Fields):
    element: Hash
    revealed: U32


@dataclass(frozen=True)
class SeatState(Fields):
    session: SessionState | None
    next_seq: U32
    prev_tx: Hash
    resigned: bool
    tip: Tip | None
    commitment: Hash | None
    bank_ms: U64 | None
    absent_turns: U16
    taken_by: Key | None


@dataclass(frozen=True)
class ChainState(Fields):
    BYTES_MAX: ClassVar[int] = 65_536
    head: HeadState
    seen: tuple[SeenBlock, ...]
    first_seen_height: U64
    peaks: tuple[Hash, ...]
    seats: tuple[SeatState, ...]
    idle_turns: U16
    sealed: SealReason | None
    signer: SignedCertificate
    seed: Hash
    server: Tip | None
    revealing: bool
    furthest: U32
    paused: U64
    graced: bool
