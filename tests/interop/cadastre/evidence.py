"""Judges evidence files. docs/protocol.md, "Evidence"."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from .boxes import Boxes
from .certificate import CertificateError, check_use, verify_certificate
from .chain import orders_of, proof_holds
from .codec import Bytes, Fields, Hash, Key, Reader, Refused, decode, require
from .crypto import H, enrol, verify
from .log import LogError, contradict
from .objects import (
    Absence,
    Block,
    Certificate,
    CommitBlock,
    Delegation,
    Entry,
    Genesis,
    Header,
    NoRandomness,
    PlayerSeat,
    ProvenBlock,
    ProvenHeader,
    ProvenReceipt,
    Receipt,
    Revocations,
    Role,
    ServerProof,
    Signed,
    SignedCertificate,
    SignedTransaction,
    Start,
    Transaction,
    Turn,
    Versioned,
    Visibility,
    ascending,
    block_name,
    exclude_each_other,
    match_id_of,
)
from .randomness import roll_of_turn, roll_without, seed_of_start, seed_without
from .trees import Peaks, root, root_of_proof, state_root

MAGIC = b"\x89CADE\r\n\n"
CORE_BYTES_MAX = 65_536
CHUNK_BYTES_MAX = 8192
STATEMENT_BYTES_MAX = 131_072
FILE_BYTES_MAX = 33_554_432 + CORE_BYTES_MAX + 12


# The file


@dataclass(frozen=True)
class PlayerDoubleTx(Fields):
    delegation: Signed
    first: SignedTransaction
    second: SignedTransaction


@dataclass(frozen=True)
class ServerFork(Fields):
    first: ProvenHeader
    second: ProvenHeader


@dataclass(frozen=True)
class Link(Fields):
    pass


@dataclass(frozen=True)
class Root(Fields):
    peaks: tuple[Hash, ...]

    def check(self) -> None:
        require(len(self.peaks) <= 64, "too many peaks")


@dataclass(frozen=True)
class Place(Fields):
    block: Hash
    proof: tuple[Hash, ...]

    def check(self) -> None:
        require(len(self.proof) <= 64, "proof too long")


@dataclass(frozen=True)
class ServerHeadLie(Fields):
    earlier: ProvenHeader
    later: ProvenHeader
    contradiction: Link | Root | Place


@dataclass(frozen=True)
class Omission(Fields):
    receipt: ProvenReceipt
    commit: ProvenBlock | None
    block: ProvenBlock


@dataclass(frozen=True)
class BadState(Fields):
    before: ProvenHeader | None
    start: ProvenBlock | None
    block: ProvenBlock


@dataclass(frozen=True)
class LateAccept(Fields):
    before: ProvenHeader
    block: ProvenBlock


@dataclass(frozen=True)
class Held(Fields):
    head: ProvenHeader
    receipts: tuple[ProvenReceipt, ...]

    def check(self) -> None:
        require(len(self.receipts) <= 4, "too many receipts")


Case = PlayerDoubleTx | ServerFork | ServerHeadLie | Omission | BadState | LateAccept | Held


@dataclass(frozen=True)
class AboutMatch(Fields):
    genesis: Bytes
    certificates: tuple[SignedCertificate, ...]
    case: Case

    def check(self) -> None:
        require(len(self.certificates) <= 8, "too many certificates")


@dataclass(frozen=True)
class AboutLog(Fields):
    service: Key
    certificate: SignedCertificate


@dataclass(frozen=True)
class Core(Versioned):
    BYTES_MAX: ClassVar[int] = CORE_BYTES_MAX
    about: AboutMatch | AboutLog


@dataclass(frozen=True)
class Evidence:
    about: AboutMatch | AboutLog
    genesis: Genesis | None
    """Of the match that it is about."""
    chunks: Mapping[int, bytes]
    statements: tuple[bytes, ...] = ()
    """Of the log that it is about."""

    @classmethod
    def parse(cls, data: bytes) -> "Evidence":
        """Raises `Refused` for an unreadable file."""
        require(len(data) <= FILE_BYTES_MAX, "too long")
        reader = Reader(data)
        require(reader.take(len(MAGIC)) == MAGIC, "magic")
        about = decode(Core, reader.take(reader.integer(4))).about
        if isinstance(about, AboutLog):
            statements = read_statement(reader), read_statement(reader)
            require(reader.at == len(data), "trailing bytes")
            return cls(about, None, {}, statements)
        has_chunks = isinstance(about.case, BadState) and reader.at < len(data)
        chunks = read_chunks(reader) if has_chunks else {}
        require(reader.at == len(data) and (not has_chunks or bool(chunks)), "trailing bytes")
        return cls(about, decode(Genesis, about.genesis), chunks)


def read_statement(reader: Reader) -> bytes:
    length = reader.integer(4)
    require(length <= STATEMENT_BYTES_MAX, "statement too long")
    return reader.take(length)


def read_chunks(reader: Reader) -> dict[int, bytes]:
    numbers, chunks = [], {}
    for _ in range(reader.integer(4)):
        numbers.append(reader.integer(2))
        length = reader.integer(2)
        require(length <= CHUNK_BYTES_MAX, "chunk too long")
        chunks[numbers[-1]] = reader.take(length)
    require(ascending(numbers), "chunks not in ascending order")
    return chunks


# The verdict


class Outcome(IntEnum):
    Proven = 0
    NotProven = 1
    Undecidable = 2


@dataclass(frozen=True)
class Player:
    seat: int
    identity: bytes


@dataclass(frozen=True)
class BlockSigner:
    serial: int


@dataclass(frozen=True)
class LogSigner:
    serial: int


@dataclass(frozen=True)
class Charge:
    """Who did something, and where in the match."""

    who: Player | BlockSigner | LogSigner
    turn: int | None = None
    height: int | None = None
    seat: int | None = None


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    charge: Charge | None = None
    """What is proven."""
    reason: str = ""


class NotProven(Exception):
    pass


class Undecidable(Exception):
    pass


def holds(condition: bool, what: str) -> None:
    if not condition:
        raise NotProven(what)


def judge(evidence: Evidence, trusted_roots: set[bytes], revocations: Revocations | None = None) -> Verdict:
    about = evidence.about
    try:
        if isinstance(about, AboutLog):
            service, charge = about.service, judge_log(about, evidence.statements, revocations)
        else:
            assert evidence.genesis is not None
            case = MatchCase(about, evidence.genesis, evidence.chunks, revocations)
            service, charge = evidence.genesis.service, case.judge(about.case)
        if not isinstance(charge.who, Player) and service not in trusted_roots:
            raise Undecidable("nobody trusts this service")
    except (NotProven, Refused, CertificateError, LogError) as error:
        return Verdict(Outcome.NotProven, reason=str(error))
    except Undecidable as error:
        return Verdict(Outcome.Undecidable, reason=str(error))
    return Verdict(Outcome.Proven, charge)


def judge_log(about: AboutLog, statements: tuple[bytes, ...], revocations: Revocations | None) -> Charge:
    certificate = verify_certificate(about.certificate, about.service)
    holds(certificate.role is Role.Log, "the certificate is not for a log")
    first, second = statements
    holds(contradict(first, second, certificate), "the two do not contradict each other")
    if revocations is not None and revocations.lists(certificate.serial):
        raise Undecidable("the certificate is revoked")
    return Charge(LogSigner(certificate.serial))


@dataclass(frozen=True)
class Told:
    """A block that the server signed."""

    name: bytes
    header: Header
    entries: list[tuple[Entry, Transaction]]
    absent: list[Absence]

    def follows(self, before: "Told") -> bool:
        return self.header.height == before.header.height + 1 and self.header.prev_block == before.name

    def charge(self, turn: int | None = None, seat: int | None = None) -> Charge:
        turn = self.header.turn if turn is None else turn
        return Charge(BlockSigner(self.header.signer_serial), turn, self.header.height, seat)


def elements_of(block: Told) -> dict[int, bytes]:
    """What the seats reveal in a block."""
    return {tx.seat: tx.chain_element for _, tx in block.entries if tx.chain_element is not None}


class MatchCase:
    def __init__(
        self,
        about: AboutMatch,
        genesis: Genesis,
        chunks: Mapping[int, bytes],
        revocations: Revocations | None,
    ) -> None:
        self.genesis = genesis
        self.match_id = match_id_of(about.genesis)
        self.certificates = (genesis.signer, *about.certificates)
        self.chunks = chunks
        self.revocations = revocations

    def judge(self, case: Case) -> Charge:
        if isinstance(case, PlayerDoubleTx):
            return self._double(case)
        if not self.genesis.is_played():
            raise Undecidable("the genesis names a mode that is not played")
        match case:
            case ServerFork():
                return self._fork(case)
            case ServerHeadLie():
                return self._head_lie(case)
            case Omission():
                return self._omission(case)
            case BadState():
                return self._bad_state(case)
            case LateAccept():
                return self._late_accept(case)
            case Held():
                return self._held(case)

    # What is signed

    def _signer(self, serial: int, at_ms: int) -> list[Certificate]:
        """Those that count, of all that have this serial."""
        counting = []
        for signed in self.certificates:
            try:
                certificate = verify_certificate(signed, self.genesis.service)
                check_use(certificate, Role.Block, at_ms)
            except CertificateError:
                continue
            if certificate.serial == serial:
                counting.append(certificate)
        return counting

    def _check_proof(self, proof: ServerProof, leaf: bytes, at_ms: int) -> None:
        signers = self._signer(proof.serial, at_ms)
        holds(
            any(proof_holds(proof, leaf, signer.key) for signer in signers), "a server's proof does not hold"
        )
        if self.revocations is not None and self.revocations.revokes(proof.serial, at_ms):
            raise Undecidable("the certificate is revoked")

    def _header(self, encoded: bytes, proof: ServerProof) -> Told:
        header, name = decode(Header, encoded), block_name(encoded)
        holds(header.match_id == self.match_id, "an object is of another match")
        holds(header.signer_serial == proof.serial, "a server's proof does not hold")
        self._check_proof(proof, H("batch block", name), header.server_time)
        return Told(name, header, [], [])

    def _proven(self, proven: ProvenHeader) -> Told:
        return self._header(proven.header, proven.proof)

    def _block(self, proven: ProvenBlock) -> Told:
        block = decode(Block, proven.block)
        told = self._header(block.header, proven.proof)
        leaves = [entry.leaf() for entry in block.entries]
        holds(told.header.body_root == root("body node", leaves), "a body is another")
        holds(told.header.absent_root == block.absent_root(), "a body is another")
        told.entries.extend((entry, decode(Transaction, entry.transaction.body)) for entry in block.entries)
        told.absent.extend(block.absent)
        return told

    def _receipt(self, proven: ProvenReceipt) -> Receipt:
        receipt = decode(Receipt, proven.receipt)
        holds(receipt.match_id == self.match_id, "an object is of another match")
        self._check_proof(proven.proof, H("batch receipt", H("receipt", proven.receipt)), receipt.received)
        return receipt

    # The cases

    def _double(self, case: PlayerDoubleTx) -> Charge:
        delegation = decode(Delegation, case.delegation.body)
        holds(delegation.match_id == self.match_id, "an object is of another match")
        holds(delegation.seat < len(self.genesis.seats), "there is no such seat")
        seat = self.genesis.seats[delegation.seat]
        holds(isinstance(seat, PlayerSeat), "there is no such player")
        assert isinstance(seat, PlayerSeat)
        digest = H("delegation", case.delegation.body)
        signed = verify(seat.identity, "delegation", digest, case.delegation.signature)
        holds(signed and enrol(delegation.session_key) is None, "the delegation does not hold")
        one, other = (self._transaction(signed, delegation) for signed in (case.first, case.second))
        holds(exclude_each_other(one, other), "the two do not exclude each other")
        return Charge(Player(delegation.seat, seat.identity), one.turn, None, delegation.seat)

    def _transaction(self, signed: SignedTransaction, delegation: Delegation) -> Transaction:
        tx = decode(Transaction, signed.body)
        holds(tx.match_id == self.match_id, "an object is of another match")
        holds((tx.seat, tx.epoch) == (delegation.seat, delegation.epoch), "of another seat or delegation")
        key = delegation.session_key
        holds(verify(key, "transaction", signed.name(), signed.signature), "a signature does not hold")
        return tx

    def _fork(self, case: ServerFork) -> Charge:
        one, other = self._proven(case.first), self._proven(case.second)
        holds(one.header.height == other.header.height and one.name != other.name, "no fork")
        return one.charge()

    def _head_lie(self, case: ServerHeadLie) -> Charge:
        earlier, later = self._proven(case.earlier), self._proven(case.later)
        height = earlier.header.height
        holds(0 < height < later.header.height, "the heights are others")
        directly = later.header.height == height + 1
        match case.contradiction:
            case Link():
                holds(directly and later.header.prev_block != earlier.name, "the later one follows")
            case Root(roots):
                holds(directly and len(roots) == height.bit_count(), "of another height")
                peaks = Peaks("chain node", height, roots)
                holds(peaks.root() == earlier.header.chain_root, "of another history")
                peaks.append(H("chain leaf", earlier.name))
                holds(peaks.root() != later.header.chain_root, "the later one follows")
            case Place(block, proof):
                holds(block != earlier.name, "the same block")
                leaf = H("chain leaf", block)
                found = root_of_proof("chain node", leaf, height, later.header.height, proof)
                holds(found == later.header.chain_root, "of another history")
        return later.charge()

    def _omission(self, case: Omission) -> Charge:
        receipt, block = self._receipt(case.receipt), self._block(case.block)
        of = (receipt.turn, receipt.attempt)
        is_turn = isinstance(block.header.kind, Turn) and (block.header.turn, block.header.attempt) == of
        holds(is_turn, "not the block of the turn")
        holds((case.commit is not None) == (self.genesis.visibility is Visibility.Sealed), "halves of a turn")
        entries = list(block.entries)
        if case.commit is not None:
            commit = self._block(case.commit)
            half = commit.header
            is_half = isinstance(half.kind, CommitBlock) and (half.turn + 1, half.attempt) == of
            holds(is_half, "not the first half of the turn")
            entries += commit.entries
        found = [(entry.transaction.name(), entry.received) for entry, _ in entries]
        holds((receipt.transaction, receipt.received) not in found, "the block has the transaction")
        return block.charge(seat=receipt.seat)

    def _bad_state(self, case: BadState) -> Charge:
        block = self._block(case.block)
        before = None if case.before is None else self._proven(case.before)
        if before is not None:
            holds(block.follows(before), "the two do not follow each other")
        match block.header.kind, before:
            case Start(), None:
                holds(block.header.height == 1, "the blocks are others")
                right = self._first_state().state_root()
            case Turn(), Told():
                holds(state_root(self.chunks) == before.header.state_root, "the state is another")
                right = self._execute(block, self._seed(case.start))
            case (Start(), _) | (_, None):
                raise NotProven("the blocks are others")
            case _:
                right = before.header.state_root
        holds(block.header.state_root != right, "it is the state that it commits to")
        return block.charge()

    def _first_state(self) -> Boxes:
        try:
            return Boxes.of(self.genesis)
        except ValueError as error:
            raise Undecidable(str(error)) from error

    def _execute(self, block: Told, seed: bytes) -> bytes:
        game = self._first_state()
        try:
            game.restore(self.chunks)
        except ValueError as error:
            raise NotProven(str(error)) from error
        game.execute(orders_of(game, block.entries, block.absent), self._roll(block, seed))
        return game.state_root()

    def _seed(self, start: ProvenBlock | None) -> bytes:
        without = self.genesis.randomness == NoRandomness()
        holds((start is None) == without, "the Start belongs to hash chains")
        if start is None:
            return seed_without(self.match_id)
        told = self._block(start)
        holds(isinstance(told.header.kind, Start) and told.header.height == 1, "not the Start")
        return seed_of_start(self.match_id, told.header.randomness, elements_of(told))

    def _roll(self, block: Told, seed: bytes) -> bytes:
        where = block.header.turn, block.header.attempt
        if self.genesis.randomness == NoRandomness():
            return roll_without(self.match_id, *where, seed)
        return roll_of_turn(self.match_id, seed, *where, block.header.randomness, elements_of(block))

    def _late_accept(self, case: LateAccept) -> Charge:
        before, block = self._proven(case.before), self._block(case.block)
        holds(block.follows(before), "the two do not follow each other")
        holds(isinstance(block.header.kind, Start | Turn | CommitBlock), "not a block that closes a turn")
        deadline = before.header.deadline
        late = [tx.seat for entry, tx in block.entries if deadline is not None and entry.received > deadline]
        holds(bool(late), "nothing was received after the deadline")
        return block.charge(seat=late[0])

    def _held(self, case: Held) -> Charge:
        head = self._proven(case.head)
        for receipt in case.receipts:
            holds(self._receipt(receipt).turn == head.header.turn + 1, "a receipt of another turn")
        raise Undecidable("what it holds contradicts nothing by itself")
