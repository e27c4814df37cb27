"""Judges the blocks of a match, one after the other. docs/protocol.md, "Transaction" to "Chain".

A block is judged against the chain before it, and taken only if every rule holds. After a block with a wrong
state root the game has gone on; the chain is then of no use any more.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .certificate import CertificateError, check_use, verify_certificate
from .codec import Refused, decode
from .crypto import H, enrol, verify
from .objects import (
    Abandoned,
    Absence,
    AbsenceReason,
    Agreed,
    Agreements,
    AllResigned,
    Bank,
    Block,
    ByPause,
    ByRules,
    Certificate,
    ChainState,
    Commit,
    CommitBlock,
    CommitReveal,
    Delegate,
    Delegation,
    DoubleTransaction,
    DoubleTransactions,
    End,
    Entry,
    Forfeit,
    Genesis,
    Grace,
    HeadState,
    Header,
    Join,
    KeyChange,
    LateJoin,
    Motion,
    Nothing,
    Operator,
    Pause,
    PlayerSeat,
    ProvenBlock,
    ProvenReceipt,
    Receipt,
    Reopen,
    Resign,
    Restart,
    Reveal,
    Role,
    Seal,
    SealReason,
    SeatState,
    SeenBlock,
    ServerProof,
    SessionState,
    Shrink,
    Signed,
    SignedCertificate,
    SignedTransaction,
    Skip,
    SkipPolicy,
    Standing,
    Start,
    Takeback,
    TakebackBlock,
    Takebacks,
    TakeOver,
    Tip,
    Transaction,
    Turn,
    TurnBody,
    TurnLimit,
    TurnMode,
    Visibility,
    block_name,
    exclude_each_other,
    match_id_of,
)
from .randomness import (
    follows,
    order_rank,
    roll_of_turn,
    roll_without,
    sealed_commands,
    seed_of_start,
    seed_without,
)
from .trees import Peaks, root, root_of_proof

REOPENS_MAX = 1_000
TAKEBACK_TURNS_MAX = 16
STANCES_PER_TURN_MAX = 4
SKIP_QUORUM_MIN = 2
U32_MAX = 2**32 - 1
U64_MAX = 2**64 - 1


class Game(Protocol):
    """What the chain asks of a game."""

    def state_root(self) -> bytes: ...

    def to_move(self) -> set[int]: ...

    def is_over(self) -> bool: ...

    def score(self, seat: int) -> int: ...

    def begin(self, seed: bytes) -> None:
        """Begins anew, from a seed that everybody has drawn."""

    def stand_in(self, seat: int) -> bytes:
        """The commands that the rules have for a seat that they play for."""

    def execute(self, orders: list[tuple[int, bytes]], roll: bytes) -> None:
        """Plays a turn: the commands of each seat that handed in some, in the block's order."""

    def save(self) -> Any:
        """The state, for `restore`."""

    def restore(self, state: Any) -> None: ...


class ChainError(Exception):
    """The word of the first rule that is broken."""


@dataclass(frozen=True)
class Head:
    height: int
    name: bytes
    turn: int
    attempt: int
    server_time: int
    deadline: int | None
    state_root: bytes


@dataclass(frozen=True)
class Session:
    epoch: int
    key: bytes
    valid_to: int | None


@dataclass(frozen=True)
class SeatLine:
    """A seat's transactions in the chain, and what it may do next."""

    next_seq: int
    prev_tx: bytes
    session: Session | None = None
    resigned: bool = False
    tip: Tip | None = None
    """Of its hash chain, with CommitReveal."""
    commitment: bytes | None = None
    """Of the open turn, in its second half."""
    bank_ms: int | None = None
    absent_turns: int = 0
    taken_by: bytes | None = None
    """Who has taken it, if it was open at the start."""


@dataclass
class OpenTurn:
    """The seats as the entries of the block that is judged move them on."""

    lines: list[SeatLine]
    acted: set[int] = field(default_factory=set)
    delegated: set[int] = field(default_factory=set)
    last_received: dict[int, int] = field(default_factory=dict)
    stances: dict[int, int] = field(default_factory=dict)
    """How often each seat has said what it wants."""
    wanted: dict[int, Transaction] = field(default_factory=dict)
    """By what seats want what they want."""


class Chain:
    """A match, verified up to its head."""

    def __init__(self, genesis: bytes, trusted_root: bytes, game: Game) -> None:
        """Checks a genesis. The game must be the one that it starts."""
        self.genesis = decode(Genesis, genesis)
        self.match_id = match_id_of(genesis)
        require(self.genesis.service == trusted_root, "wrong-root-key")
        require(self.genesis.is_played(), "unsupported")
        require(enrol(self.genesis.service) is None, "genesis")
        self.signer_signed = self.genesis.signer
        self.signer = self._certificate(self.genesis.signer, self.genesis.created)
        self.signers = [self.signer]
        identities = [seat.identity for seat in self.genesis.seats if isinstance(seat, PlayerSeat)]
        require(all(enrol(identity) is None for identity in identities), "genesis")
        parent = self.genesis.parent
        require(parent is None or game.state_root() == parent.state_root, "state-root")
        self.game = game
        self.head = Head(0, self.match_id, 0, 0, self.genesis.created, None, game.state_root())
        self.seen = [self.head]
        self.peaks = Peaks("chain node")
        self.peaks.append(H("chain leaf", self.match_id))
        self.seed = seed_without(self.match_id)
        self.server: Tip | None = None
        clock = self.genesis.clock
        bank_ms = clock.initial if isinstance(clock, Bank) else None
        self.lines = [SeatLine(0, self.match_id, bank_ms=bank_ms) for _ in self.genesis.seats]
        if isinstance(self.genesis.randomness, CommitReveal):
            self.server = Tip(self.genesis.randomness.server, 0)
            starts = self.genesis.randomness.seats
            self.lines = [replace(line, tip=Tip(start.anchor, 0)) for line, start in zip(self.lines, starts)]
        self.revealing = False
        self.furthest = 0
        self.paused = 0
        """Height of the last pause."""
        self.graced = False
        """Whether what is open was given grace."""
        self.past: dict[int, Any] = {}
        """The states that the match can go back to."""
        self.idle_turns = 0
        self.sealed: SealReason | None = None
        self.desynced: list[tuple[int, int]] = []

    def _certificate(self, signed: SignedCertificate, at_ms: int) -> Certificate:
        try:
            certificate = verify_certificate(signed, self.genesis.service)
            check_use(certificate, Role.Block, at_ms)
        except CertificateError as error:
            raise ChainError("genesis") from error
        return certificate

    # What follows from the chain

    def holder_of(self, seat: int, lines: list[SeatLine]) -> bytes | None:
        """The identity that holds a seat, or nobody's yet."""
        at_start = self.genesis.seats[seat]
        return at_start.identity if isinstance(at_start, PlayerSeat) else lines[seat].taken_by

    def open_seats(self) -> set[int]:
        return {seat for seat in range(len(self.lines)) if self.holder_of(seat, self.lines) is None}

    def players(self) -> set[int]:
        """The seats that somebody plays."""
        return {seat for seat, line in enumerate(self.lines) if not line.resigned} - self.open_seats()

    def waited_for(self) -> set[int]:
        playing = self.players()
        if self.revealing:
            return {seat for seat in playing if self.lines[seat].commitment is not None}
        return playing & self._asked()

    def _asked(self) -> set[int]:
        simultaneous = self.genesis.turn_mode is TurnMode.Simultaneous
        return set(range(len(self.lines))) if simultaneous else self.game.to_move()

    def opened(self) -> int:
        """When the time of the open turn began."""
        assert self.head.deadline is not None
        return max(self.head.deadline - self.genesis.deadline_ms, 0)

    def allowance(self, seat: int) -> int:
        """For how long the open turn waits for a seat."""
        whole, line, absence = self.genesis.deadline_ms, self.lines[seat], self.genesis.absence
        allowed = whole
        if isinstance(absence, Shrink):
            allowed = min(whole, max(whole >> line.absent_turns, absence.shortest_ms))
        return allowed if line.bank_ms is None else min(allowed, line.bank_ms)

    def deadline_of(self, seat: int) -> int:
        return min(self.opened() + self.allowance(seat), U64_MAX)

    def seal_due(self) -> SealReason | None:
        if self.head.height == 0 or self.sealed is not None or self.revealing:
            return None
        playing, somebody_resigned = self.players(), any(line.resigned for line in self.lines)
        if self.game.is_over():
            return ByRules()
        if self.head.turn == self.genesis.last_turn:
            return TurnLimit()
        if not playing or (len(playing) == 1 and somebody_resigned):
            return AllResigned()
        if self.idle_turns >= self.genesis.absence.abandon_after:
            return Abandoned()
        return None

    def standings(self, reason: SealReason) -> tuple[Standing, ...]:
        worth = [
            (seat in self.players() and reason != DoubleTransaction(seat), self.game.score(seat))
            for seat in range(len(self.lines))
        ]
        return tuple(
            Standing(seat, 1 + sum(other > own for other in worth), own[1]) for seat, own in enumerate(worth)
        )

    @property
    def is_sealed_game(self) -> bool:
        """Whether turns have two halves."""
        return self.genesis.visibility is Visibility.Sealed

    @property
    def floor(self) -> int | None:
        """The earliest turn that the match can go back to."""
        if self.genesis.takebacks is Takebacks.Never:
            return None
        return max(0, self.furthest - TAKEBACK_TURNS_MAX)

    def agreed(self, turn: OpenTurn) -> Takeback | Motion | None:
        """What all who play want."""
        wanted = {self._wanted_by(turn, seat) for seat in self.players()}
        return wanted.pop() if len(wanted) == 1 else None

    def _wanted_by(self, turn: OpenTurn, seat: int) -> Takeback | Motion | None:
        tx = turn.wanted.get(seat)
        match tx.body if tx else None:
            case Motion(Skip()):
                return None
            case Motion(Pause()) as body:
                can_be = len(self.seen) - 1 < REOPENS_MAX
                return body if can_be and tx is not None and tx.seen_height >= self.paused else None
            case (Takeback() | Motion()) as body:
                return body
        return None

    def _is_skipped(self, turn: OpenTurn, seat: int, now: int) -> bool:
        """Whether the turn waits no longer for a seat whose time is not up."""
        if seat not in self.waited_for():
            return False
        others = self.players() - {seat}
        votes = 0
        for other in others & turn.wanted.keys():
            match turn.wanted[other].body:
                case Motion(Skip(seats)) if seats & 1 << seat:
                    votes += 1
        match self.genesis.agreements.skip:
            case SkipPolicy.Majority:
                decided = 2 * votes > len(others)
            case SkipPolicy.AllOthers:
                decided = votes == len(others)
            case _:
                decided = False
        half = self.opened() + (self.deadline_of(seat) - self.opened() + 1) // 2
        return decided and votes >= SKIP_QUORUM_MIN and half <= now < self.deadline_of(seat)

    def open_turn(self) -> OpenTurn:
        """The open turn, or half of one, without any transaction."""
        return OpenTurn(list(self.lines))

    def is_open(self) -> bool:
        """Whether transactions can come: a turn is open, or the Joins are awaited."""
        return self.sealed is None and self.seal_due() is None

    # Receipts

    def check_receipt(self, proven: ProvenReceipt) -> Receipt:
        receipt = decode(Receipt, proven.receipt)
        leaf = H("batch receipt", H("receipt", proven.receipt))
        signer = next((signer for signer in self.signers if signer.serial == proven.proof.serial), None)
        require(signer is not None and proof_holds(proven.proof, leaf, signer.key), "bad-proof")
        return receipt

    # Blocks

    def append(self, proven: ProvenBlock) -> tuple[Header, list[tuple[Entry, Transaction]]]:
        """Judges a block and goes on with it, or raises `ChainError` or `codec.Refused`."""
        block = decode(Block, proven.block)
        header = decode(Header, block.header)
        entries = [(entry, decode(Transaction, entry.transaction.body)) for entry in block.entries]
        name = block_name(block.header)
        signer = self._signer(header)
        require(proven.proof.serial == header.signer_serial, "bad-proof")
        require(proof_holds(proven.proof, H("batch block", name), signer.key), "bad-proof")
        self._check_place(header, signer)
        self._check_body_roots(header, block)
        self._check_kind(header, block)
        turn = self.open_turn()
        drawn = self._draw(header, entries)
        match header.kind:
            case Seal(DoubleTransaction(seat)):
                self._check_double(seat, header, entries)
            case _:
                self._check_entries(header, entries, turn, drawn)
        self._check_absences(header, block.absent, turn)
        self._check_consent(header, turn)
        if shows_consent(header):
            turn = self.open_turn()
        self._play(header, entries, block.absent, drawn)
        if drawn is not None and isinstance(header.kind, Start):
            self.seed = drawn
        self._go_on(header, name, signer, turn, entries)
        return header, entries

    def _draws_from_chains(self, header: Header) -> bool:
        return self.server is not None and isinstance(header.kind, Start | Turn)

    def _draw(self, header: Header, entries: list[tuple[Entry, Transaction]]) -> bytes | None:
        """The seed of a Start, or the roll of a Turn."""
        elements = {tx.seat: tx.chain_element for _, tx in entries if tx.chain_element is not None}
        where = header.turn, header.attempt
        match header.kind, self.server:
            case Turn(), None:
                return roll_without(self.match_id, *where, self.seed)
            case Turn(), Tip():
                return roll_of_turn(self.match_id, self.seed, *where, header.randomness, elements)
            case Start(), Tip():
                return seed_of_start(self.match_id, header.randomness, elements)
        return None

    def rank(self, header: Header, drawn: bytes | None, seat: int) -> bytes:
        """The place of a seat among the others in a block after the head."""
        mixing = drawn if drawn is not None and self._draws_from_chains(header) else bytes(32)
        return order_rank(self.seen[0].name, mixing, seat)

    def _play(
        self,
        header: Header,
        entries: list[tuple[Entry, Transaction]],
        absent: tuple[Absence, ...],
        drawn: bytes | None,
    ) -> None:
        match header.kind:
            case Turn() if drawn is not None:
                self.game.execute(orders_of(self.game, entries, absent), drawn)
            case Start() if drawn is not None:
                self.game.begin(drawn)
            case TakebackBlock(to_turn):
                self.game.restore(self.past[to_turn])
        require(self.game.state_root() == header.state_root, "state-root")

    def _signer(self, header: Header) -> Certificate:
        if not isinstance(header.kind, KeyChange):
            return self.signer
        try:
            certificate = verify_certificate(header.kind.certificate, self.genesis.service)
        except CertificateError as error:
            raise ChainError("key-change") from error
        require(certificate.serial > self.signer.serial, "key-change")
        return certificate

    def _check_place(self, header: Header, signer: Certificate) -> None:
        require(self.sealed is None, "after-seal")
        require(header.match_id == self.match_id, "wrong-match")
        require(header.height < U64_MAX, "exhausted")
        require(header.height == self.head.height + 1, "wrong-height")
        require(header.prev_block == self.head.name, "wrong-link")
        require(header.chain_root == self.peaks.root(), "chain-root")
        require(header.signer_serial == signer.serial, "wrong-signer")
        try:
            check_use(signer, Role.Block, header.server_time)
        except CertificateError as error:
            raise ChainError("wrong-signer") from error
        require(header.server_time >= self.head.server_time, "clock-backwards")
        goes_back = isinstance(header.kind, TakebackBlock)
        require(header.attempt == self.head.attempt + goes_back, "wrong-attempt")
        if self.server is not None and self._draws_from_chains(header):
            require(follows(self.server, header.randomness), "randomness")
        else:
            require(header.randomness == bytes(32), "randomness")

    def _check_body_roots(self, header: Header, block: Block) -> None:
        require(header.body_root == root("body node", [entry.leaf() for entry in block.entries]), "body-root")
        require(header.absent_root == block.absent_root(), "body-root")

    def _check_kind(self, header: Header, block: Block) -> None:
        require(self._can_come(header, block), "wrong-kind")
        match header.kind:
            case Turn():
                require(self.head.turn < U32_MAX, "exhausted")
                require(header.turn == self.head.turn + 1, "wrong-turn")
            case TakebackBlock(to_turn):
                require(header.turn == to_turn, "wrong-turn")
            case _:
                require(header.turn == self.head.turn, "wrong-turn")
        require(header.deadline == self._deadline(header), "wrong-deadline")
        if not isinstance(header.kind, Turn | TakebackBlock) and not self._draws_from_chains(header):
            require(header.state_root == self.head.state_root, "state-root")
        if isinstance(header.kind, Seal):
            require(header.kind.standings == self.standings(header.kind.reason), "wrong-standings")

    def _can_come(self, header: Header, block: Block) -> bool:
        started, due = self.head.height > 0, self.seal_due()
        extra_blocks = len(self.seen) - 1
        match header.kind:
            case Start():
                return not started and not block.absent
            case Turn():
                return started and due is None and self.revealing == self.is_sealed_game
            case CommitBlock():
                return started and due is None and not self.revealing and self.is_sealed_game
            case TakebackBlock(to_turn):
                is_back = self.floor is not None and self.floor <= to_turn < self.head.turn
                return started and due is None and not self.revealing and is_back and not block.absent
            case Reopen(ByPause()):
                return started and due is None and extra_blocks < REOPENS_MAX and not block.absent
            case Seal(Agreed()):
                return started and due is None and not block.absent
            case Seal(DoubleTransaction()):
                ends = self.genesis.double_transactions is DoubleTransactions.EndMatch
                return started and due is None and ends and not block.absent
        if block.entries or block.absent or not started:
            return False
        match header.kind:
            case Reopen(reason):
                has_grace = self.genesis.grace_ms > 0 and not self.graced
                goes_on = due is None and extra_blocks < REOPENS_MAX
                return goes_on and (reason == Restart() or has_grace)
            case KeyChange():
                return extra_blocks < REOPENS_MAX
            case Seal(reason):
                return reason == (Operator() if due is None else due)
        return False

    def _deadline(self, header: Header) -> int | None:
        match header.kind:
            case Seal():
                return None
            case KeyChange():
                return self.head.deadline
            case Reopen(ByPause(ms)) if self.head.deadline is not None:
                return min(self.head.deadline + ms, U64_MAX)
            case Reopen(Grace()) if self.head.deadline is not None:
                return min(self.head.deadline + self.genesis.grace_ms, U64_MAX)
        whole = min(header.server_time + self.genesis.deadline_ms, U64_MAX)
        if isinstance(header.kind, Reopen) and self.head.deadline is not None:
            return max(whole, self.head.deadline)
        return whole

    def _check_entries(
        self,
        header: Header,
        entries: list[tuple[Entry, Transaction]],
        turn: OpenTurn,
        drawn: bytes | None,
    ) -> None:
        ranks: list[tuple[bytes, int]] = []
        for entry, tx in entries:
            shown = shows_consent(header)
            require(not shown or isinstance(tx.body, Takeback | Motion | Delegate), "tx-wrong-kind")
            self.check_transaction(entry.received, entry.transaction, tx, turn, header.server_time, not shown)
            advance(turn, entry.received, entry.transaction, tx)
            ranks.append((self.rank(header, drawn, tx.seat), tx.seq))
            require(len(ranks) == 1 or ranks[-2] < ranks[-1], "wrong-order")

    def _check_double(self, seat: int, header: Header, entries: list[tuple[Entry, Transaction]]) -> None:
        """The two transactions for which a match ends, and before them the Delegate not yet in force."""
        require(seat < len(self.lines) and len(entries) in (2, 3), "no-double-tx")
        session = self.lines[seat].session
        for entry, tx in entries[:-2]:
            require(isinstance(tx.body, Delegate), "no-double-tx")
            turn = self.open_turn()
            self.check_transaction(entry.received, entry.transaction, tx, turn)
            advance(turn, entry.received, entry.transaction, tx)
            session = turn.lines[seat].session
        in_time = all(tx.seat == seat and entry.received <= header.server_time for entry, tx in entries)
        require(in_time, "no-double-tx")
        (first, one), (second, other) = entries[-2:]
        assert session is not None
        require(one.match_id == self.match_id and one.epoch == session.epoch, "no-double-tx")
        require(exclude_each_other(one, other), "no-double-tx")
        for entry in (first, second):
            signed = entry.transaction
            require(verify(session.key, "transaction", signed.name(), signed.signature), "no-double-tx")

    def _check_absences(self, header: Header, absent: tuple[Absence, ...], turn: OpenTurn) -> None:
        seats = set(range(len(self.lines)))
        if isinstance(header.kind, Start):
            require(turn.acted == self.players(), "missing-seat")
        if not isinstance(header.kind, Turn | CommitBlock):
            return
        missing = {absence.seat for absence in absent}
        require(turn.acted | missing == seats and not turn.acted & missing, "missing-seat")
        waited_for = self.waited_for()
        for absence in absent:
            is_skipped = self._is_skipped(turn, absence.seat, header.server_time)
            reason = AbsenceReason.Skipped if is_skipped else self._absence(absence.seat)
            require(absence.reason is reason, "wrong-absence")
            if absence.seat in waited_for and not is_skipped:
                require(header.server_time >= self.deadline_of(absence.seat), "early-absence")

    def _check_consent(self, header: Header, turn: OpenTurn) -> None:
        agreed = self.agreed(turn)
        match header.kind:
            case TakebackBlock(to_turn):
                require(agreed == Takeback(to_turn), "no-consent")
            case Reopen(ByPause(ms)):
                require(agreed == Motion(Pause(ms)), "no-consent")
            case Seal(Agreed()):
                require(agreed == Motion(End()), "no-consent")
            case Turn() | CommitBlock():
                require(not isinstance(agreed, Takeback), "takeback-due")
                require(agreed is None, "agreement-due")
            case Reopen(Grace()):
                require(any(self._is_missing(seat, header.server_time) for seat in self.waited_for()), "nobody-missing")

    def _is_missing(self, seat: int, now: int) -> bool:
        """Whether a seat was not absent before, and its time is up."""
        return self.lines[seat].absent_turns == 0 and self.deadline_of(seat) <= now

    def _absence(self, seat: int) -> AbsenceReason:
        if self.lines[seat].resigned:
            return AbsenceReason.Resigned
        if seat in self.open_seats():
            return AbsenceReason.OpenSeat
        if self.lines[seat].commitment is not None:
            return AbsenceReason.RevealMissing
        if seat not in self._asked():
            return AbsenceReason.NotToMove
        return AbsenceReason.TakenOver if self._is_taken_over(seat) else AbsenceReason.Deadline

    def _is_taken_over(self, seat: int) -> bool:
        absence = self.genesis.absence
        plays = not self.is_sealed_game or self.revealing
        return plays and isinstance(absence, TakeOver) and self.lines[seat].absent_turns >= absence.take_over_after

    def _go_on(
        self,
        header: Header,
        name: bytes,
        signer: Certificate,
        turn: OpenTurn,
        entries: list[tuple[Entry, Transaction]],
    ) -> None:
        for _, tx in entries if not isinstance(header.kind, Seal | Reopen) else []:
            seen = next(head for head in self.seen if head.height == tx.seen_height)
            if tx.seen_state_root != seen.state_root:
                self.desynced.append((tx.turn, tx.seat))
        lines = self._settled(header, turn, entries)
        asks_somebody = bool(self._asked() - self.open_seats())
        self.head = Head(
            header.height,
            name,
            header.turn,
            header.attempt,
            header.server_time,
            header.deadline,
            header.state_root,
        )
        self.peaks.append(H("chain leaf", name))
        self.lines = lines
        self.furthest = max(self.furthest, header.turn)
        if self.floor is not None:
            self.past[header.turn] = self.game.save()
            self.past = {turn: state for turn, state in self.past.items() if turn >= self.floor}
        if self.server is not None and self._draws_from_chains(header):
            self.server = Tip(header.randomness, self.server.revealed + 1)
        match header.kind:
            case Start() | Turn():
                self.seen = [self.head]
                self.signers = [self.signer]
                self.idle_turns = 0 if turn.acted else self.idle_turns + asks_somebody
                self.lines = [replace(line, commitment=None) for line in self.lines]
                self.revealing = self.graced = False
                return
            case TakebackBlock():
                self.seen = [self.head]
                self.graced = False
                self.signers = [self.signer]
                self.idle_turns = 0
                self.lines = [replace(line, commitment=None) for line in self.lines]
                return
            case CommitBlock():
                self.seen = [self.head]
                self.revealing, self.graced = True, False
                return
            case Seal(reason):
                self.sealed = reason
            case Reopen(ByPause()):
                self.paused = header.height
            case Reopen(Grace()):
                self.graced = True
            case KeyChange(certificate):
                self.signer, self.signer_signed = signer, certificate
                self.signers.append(signer)
        self.seen.append(self.head)

    def _settled(
        self, header: Header, turn: OpenTurn, entries: list[tuple[Entry, Transaction]]
    ) -> list[SeatLine]:
        """The seats after a Turn or Commit: what it cost them, and what comes of their absence."""
        lines = list(turn.lines)
        if not isinstance(header.kind, Turn | CommitBlock):
            return lines
        spent = {
            tx.seat: max(entry.received - self.opened(), 0)
            for entry, tx in entries
            if not isinstance(tx.body, Delegate | Takeback | Motion)
        }
        for seat in self.waited_for():
            bank_ms = lines[seat].bank_ms
            if bank_ms is not None:
                passed = min(header.server_time - self.opened(), self.allowance(seat))
                left = max(bank_ms - spent.get(seat, max(passed, 0)), 0)
                lines[seat] = replace(lines[seat], bank_ms=left)
        if isinstance(header.kind, Turn):
            for seat in self._asked() - self.open_seats():
                if not self.lines[seat].resigned:
                    lines[seat] = self._settled_seat(lines[seat], seat in turn.acted)
        return lines

    def _settled_seat(self, line: SeatLine, acted: bool) -> SeatLine:
        clock, absence = self.genesis.clock, self.genesis.absence
        forfeit_after = absence.forfeit_after if isinstance(absence, Forfeit | Shrink) else None
        bank_ms = line.bank_ms
        if isinstance(clock, Bank) and bank_ms is not None:
            bank_ms = min(bank_ms + clock.increment, U64_MAX)
        absent_turns = 0 if acted else min(line.absent_turns + 1, 2**16 - 1)
        forfeits = forfeit_after is not None and absent_turns >= forfeit_after
        return replace(line, bank_ms=bank_ms, absent_turns=absent_turns, resigned=line.resigned or forfeits)

    # Transactions

    def check_transaction(
        self,
        received: int,
        signed: SignedTransaction,
        tx: Transaction,
        turn: OpenTurn,
        server_time: int | None = None,
        follows_on: bool = True,
    ) -> None:
        """Judges a transaction, in a block made at `server_time`, after those that `turn` has counted in:
        directly after the last of its seat, or somewhere after it."""
        require(tx.match_id == self.match_id, "tx-wrong-match")
        require(tx.seat < len(self.lines), "tx-no-such-seat")
        require(self.is_open(), "tx-match-over")
        started = self.head.height > 0
        require(isinstance(tx.body, self._bodies(tx.seat)), "tx-wrong-kind")
        require(not started or self.head.turn < U32_MAX, "tx-exhausted")
        require(tx.turn == (self.head.turn + 1 if started else 0), "tx-wrong-turn")
        require(tx.attempt == self.head.attempt, "tx-wrong-attempt")
        lines = turn.lines if isinstance(tx.body, Takeback | Motion) else self.lines
        require(not lines[tx.seat].resigned, "tx-resigned")
        if isinstance(tx.body, LateJoin):
            holders = [self.holder_of(seat, turn.lines) for seat in range(len(self.lines))]
            require(holders[tx.seat] is None, "tx-seat-taken")
            require(tx.body.identity not in holders, "tx-already-seated")
        require(not is_said(turn, tx), "tx-already-submitted")
        if isinstance(tx.body, TurnBody | Commit | Reveal):
            require(tx.seat in self.waited_for(), "tx-not-to-move")
        if isinstance(tx.body, Takeback):
            assert self.floor is not None
            require(self.floor <= tx.body.turn <= self.head.turn, "tx-wrong-takeback")
        if isinstance(tx.body, Motion):
            require(self._can_be_moved(tx.seat, tx.body), "tx-wrong-motion")
        line = turn.lines[tx.seat]
        check_line(line, tx, follows_on)
        seen = [head for head in self.seen if (head.height, head.name) == (tx.seen_height, tx.seen_block)]
        require(bool(seen), "tx-unknown-seen-block")
        check_element(line, tx)
        if isinstance(tx.body, Reveal):
            shown = sealed_commands(tx.match_id, tx.seat, tx.turn, tx.attempt, tx.body.salt, tx.body.commands)
            require(shown == line.commitment, "tx-wrong-reveal")
        earliest = max(seen[0].server_time, turn.last_received.get(tx.seat, 0))
        require(received >= earliest, "tx-early")
        is_move = isinstance(tx.body, TurnBody | Commit | Reveal)
        deadline = self.deadline_of(tx.seat) if is_move else self.head.deadline
        require(deadline is None or received <= deadline, "tx-late")
        session = self._session(line, tx)
        require(session.valid_to is None or received <= session.valid_to, "tx-delegation-expired")
        require(tx.seq < U32_MAX, "tx-exhausted")
        require(verify(session.key, "transaction", signed.name(), signed.signature), "tx-bad-signature")
        require(server_time is None or received <= server_time, "tx-late")

    def _bodies(self, seat: int) -> tuple[type, ...]:
        """What can be handed in for a seat."""
        if self.head.height == 0:
            return () if seat in self.open_seats() else (Join,)
        if seat in self.open_seats():
            return (LateJoin,)
        if self.revealing:
            return Reveal, Delegate, Resign, LateJoin
        takeback = (Takeback,) if self.floor is not None else ()
        motion = (Motion,) if self.genesis.agreements != Agreements(0, False, SkipPolicy.Never) else ()
        return Commit if self.is_sealed_game else TurnBody, Delegate, Resign, LateJoin, *takeback, *motion

    def _can_be_moved(self, seat: int, body: Motion) -> bool:
        policy = self.genesis.agreements
        match body.motion:
            case Pause(ms):
                return 1 <= ms <= policy.pause_ms_max
            case End():
                return policy.end
            case Skip(seats):
                others = (1 << len(self.lines)) - 1 & ~(1 << seat)
                return policy.skip is not SkipPolicy.Never and seats != 0 and seats & ~others == 0
        return True

    def _session(self, line: SeatLine, tx: Transaction) -> Session:
        """The session that must have signed: the one in force, or the one that is brought."""
        if not isinstance(tx.body, Join | Delegate | LateJoin):
            assert line.session is not None
            return line.session
        late = isinstance(tx.body, LateJoin)
        holder = tx.body.identity if isinstance(tx.body, LateJoin) else self.holder_of(tx.seat, self.lines)
        require(holder is not None and not (late and enrol(holder)), "tx-bad-delegation")
        assert holder is not None
        delegation = self._delegation(tx.body.delegation, holder)
        where = (delegation.match_id, delegation.seat, delegation.epoch)
        require(where == (self.match_id, tx.seat, tx.epoch), "tx-bad-delegation")
        return session_of(delegation)

    def _delegation(self, signed: Signed, holder: bytes) -> Delegation:
        try:
            delegation = decode(Delegation, signed.body)
        except Refused as error:
            raise ChainError("tx-bad-delegation") from error
        digest = H("delegation", signed.body)
        holds = verify(holder, "delegation", digest, signed.signature)
        require(holds and enrol(delegation.session_key) is None, "tx-bad-delegation")
        return delegation

    def state(self) -> ChainState:
        """What is kept beside the game, as a store has it."""
        return ChainState(
            HeadState(*vars(self.head).values()),
            tuple(SeenBlock(head.name, head.server_time) for head in self.seen),
            self.seen[0].height,
            tuple(self.peaks.roots),
            tuple(
                SeatState(
                    SessionState(*vars(line.session).values()) if line.session else None,
                    line.next_seq,
                    line.prev_tx,
                    line.resigned,
                    line.tip,
                    line.commitment,
                    line.bank_ms,
                    line.absent_turns,
                    line.taken_by,
                )
                for line in self.lines
            ),
            self.idle_turns,
            self.sealed,
            self.signer_signed,
            self.seed,
            self.server,
            self.revealing,
            self.furthest,
            self.paused,
            self.graced,
        )


def is_said(turn: OpenTurn, tx: Transaction) -> bool:
    """Whether the seat has said as much of this kind as it may in one turn."""
    match tx.body:
        case Takeback() | Motion():
            return turn.stances.get(tx.seat, 0) == STANCES_PER_TURN_MAX
        case Delegate():
            return tx.seat in turn.acted or tx.seat in turn.delegated
    return tx.seat in turn.acted


def shows_consent(header: Header) -> bool:
    """Whether the entries show what seats want, and take up nothing."""
    match header.kind:
        case Reopen(ByPause()) | Seal(Agreed()):
            return True
    return False


def check_line(line: SeatLine, tx: Transaction, follows_on: bool) -> None:
    """Epoch, number and link, as they follow from the seat's transaction before this one."""
    if isinstance(tx.body, Join | LateJoin):
        require(tx.epoch == 0, "tx-wrong-epoch")
    else:
        assert line.session is not None
        delegates = isinstance(tx.body, Delegate)
        require(not delegates or line.session.epoch < U32_MAX, "tx-exhausted")
        require(tx.epoch == line.session.epoch + delegates, "tx-wrong-epoch")
    require(tx.seq == line.next_seq or not follows_on and tx.seq > line.next_seq, "tx-wrong-seq")
    require(tx.prev_tx == line.prev_tx or not follows_on, "tx-wrong-link")


def check_element(line: SeatLine, tx: Transaction) -> None:
    """The element of the seat's hash chain, where one belongs."""
    tip = line.tip if isinstance(tx.body, Join | TurnBody | Reveal) else None
    require(tx.chain_element is None or tip is not None, "tx-unexpected-chain-element")
    require(tx.chain_element is not None or tip is None, "tx-missing-chain-element")
    if tip is not None and tx.chain_element is not None:
        require(follows(tip, tx.chain_element), "tx-wrong-chain-element")


class StandIn(Protocol):
    def stand_in(self, seat: int) -> bytes:
        """The commands that the rules have for a seat that they play for."""


def orders_of(
    game: StandIn, entries: list[tuple[Entry, Transaction]], absent: Iterable[Absence]
) -> list[tuple[int, bytes]]:
    """What a block hands to the game, in its order."""
    given = [(tx.seat, tx.body.commands) for _, tx in entries if isinstance(tx.body, TurnBody | Reveal)]
    taken_over = [absence.seat for absence in absent if absence.reason is AbsenceReason.TakenOver]
    return given + [(seat, game.stand_in(seat)) for seat in taken_over]


def advance(turn: OpenTurn, received: int, signed: SignedTransaction, tx: Transaction) -> None:
    """Counts a transaction in, which has been checked."""
    line = replace(turn.lines[tx.seat], next_seq=tx.seq + 1, prev_tx=signed.name())
    if isinstance(tx.body, LateJoin):
        line = replace(line, taken_by=tx.body.identity)
    if isinstance(tx.body, Join | Delegate | LateJoin):
        line = replace(line, session=session_of(decode(Delegation, tx.body.delegation.body)))
    if tx.chain_element is not None and line.tip is not None:
        line = replace(line, tip=Tip(tx.chain_element, line.tip.revealed + 1))
    if isinstance(tx.body, Commit):
        line = replace(line, commitment=tx.body.commitment)
    turn.lines[tx.seat] = replace(line, resigned=isinstance(tx.body, Resign))
    turn.last_received[tx.seat] = received
    match tx.body:
        case Delegate():
            turn.delegated.add(tx.seat)
            return
        case Takeback() | Motion():
            turn.stances[tx.seat] = turn.stances.get(tx.seat, 0) + 1
            turn.wanted[tx.seat] = tx
            if tx.body in (Takeback(tx.turn - 1), Motion(Nothing())):
                del turn.wanted[tx.seat]
            return
        case _:
            turn.acted.add(tx.seat)
    plays_on = tx.seat in turn.wanted and isinstance(turn.wanted[tx.seat].body, Takeback)
    if plays_on or isinstance(tx.body, Resign):
        turn.wanted.pop(tx.seat, None)


def session_of(delegation: Delegation) -> Session:
    return Session(delegation.epoch, delegation.session_key, delegation.valid_to)


def proof_holds(proof: ServerProof, leaf: bytes, key: bytes) -> bool:
    batch_root = root_of_proof("batch node", leaf, proof.index, proof.size, proof.hashes)
    if batch_root is None:
        return False
    signed = proof.serial.to_bytes(4, "little") + proof.size.to_bytes(4, "little") + batch_root
    return verify(key, "batch", H("batch", signed), proof.signature)


def require(holds: bool, word: str) -> None:
    if not holds:
        raise ChainError(word)
