"""A player of boxes: joins a match, verifies every block, plays every turn, and comes back by itself.
docs/protocol.md, "A session in order"."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import messages
from .access import EnterAs
from .boxes import Boxes
from .chain import Chain, OpenTurn, SeatLine, advance
from .codec import decode, encode
from .connection import Connection, ConnectionLost
from .crypto import H, SigningKey, session_key
from .messages import (
    BlockMessage,
    CaughtUp,
    Chunks,
    ConversationMessage,
    Enter,
    Failed,
    ForkPoint,
    GenesisMessage,
    Goodbye,
    Limited,
    Lobby,
    MatchOver,
    MotionMessage,
    NotSaid,
    Notice,
    NumberedChunk,
    Pong,
    Ready,
    ReceiptMessage,
    RematchMessage,
    Refused,
    Relay,
    Resume,
    Said,
    Say,
    ServerMessage,
    Submit,
    TakebackMessage,
    WrongTurn,
)
from .objects import (
    ChainStart,
    Commit,
    CommitBlock,
    CommitReveal,
    Delegate,
    Delegation,
    Entry,
    Genesis,
    Join,
    OpenSeat,
    PlayerSeat,
    ProvenBlock,
    ProvenReceipt,
    RandomnessMode,
    Receipt,
    Reveal,
    Signed,
    SignedTransaction,
    Start,
    TakebackBlock,
    Takebacks,
    Transaction,
    Turn,
    TurnBody,
    Visibility,
)
from .randomness import HashChain, chain_start, last_of_seat, salt_of, sealed_commands
from .talk import Conversation, InWords, Line, LobbyPlace, Place

ATTEMPTS_MAX = 5
BACKOFF_S = 0.05

Choose = Callable[[Boxes], int]
Body = Join | Delegate | TurnBody | Commit | Reveal


class PlayerError(Exception):
    """What the server said or did cannot be, or must not be followed."""


@dataclass
class Match:
    """A match as a player at one seat has it."""

    chain: Chain
    game: Boxes
    seat: int
    hash_chain: HashChain | None
    relayed: OpenTurn
    """What the others have done in the open turn, in an Open match."""
    epoch: int = 0
    delegated: bool = False
    """In the open turn, in whichever half."""
    commands: bytes | None = None
    """To which this process has committed for the open turn."""
    caught_up: bool = True
    signed: list[SignedTransaction] = field(default_factory=list)
    """What was signed for the open turn, or half of one."""
    receipts: dict[bytes, Receipt] = field(default_factory=dict)
    """Of the open turn, or half of one, by name of the transaction."""
    receipts_kept: int = 0
    relays_kept: int = 0


@dataclass
class Awaited:
    """The genesis of a fork, and what has come of its first state."""

    genesis: bytes
    begun: bool
    chunks: dict[int, bytes] = field(default_factory=dict)


Hook = Callable[[Connection, Match, ServerMessage], None]
"""Called after a message. It may cut the connection, or raise to end the player."""
Gate = Callable[[Match], bool]
"""Whether the player acts now, if it can. It may raise to end the player."""


def nothing(_connection: Connection, _match: Match, _message: ServerMessage) -> None:
    pass


def at_once(_match: Match) -> bool:
    return True


class Player:
    """Holds what a process has in memory. Another one with the same identity has lost all but that."""

    def __init__(
        self, authority: str, root_key: bytes, identity: SigningKey, room: str, name: str, choose: Choose
    ) -> None:
        self.authority = authority
        self.root_key = root_key
        self.identity = identity
        self.room = room
        self.name = name
        self.choose = choose
        self.process_seed = secrets.token_bytes(32)
        """Of the session keys: another process knows nothing of what this one has signed."""
        self.signed: list[tuple[bytes, Transaction]] = []
        """All that this process has signed, with the session key."""
        self.match: Match | None = None
        self.awaited: Awaited | None = None
        self.lobby: Lobby | None = None
        self.ready: Ready | None = None
        """What was sent since the last Genesis."""
        self.connections = 0
        self.conversation: Conversation | None = None
        """Of the place where the player is."""
        self.says: str | None = None
        """Once at each match, if it can be said."""

    def again(self) -> "Player":
        """Another process of the same player."""
        return Player(self.authority, self.root_key, self.identity, self.room, self.name, self.choose)

    def play(self, after_message: Hook = nothing, acts: Gate = at_once) -> Match:
        """Plays until the Seal."""
        failed = 0
        while True:
            try:
                with Connection(self.authority, self.root_key, self.identity) as connection:
                    self.connections += 1
                    failed = 0
                    return self._session(connection, after_message, acts)
            except ConnectionLost as error:
                failed += 1
                if failed == ATTEMPTS_MAX:
                    raise PlayerError(f"{self.name} cannot come back: {error}") from error
                time.sleep(BACKOFF_S * 2**failed if failed > 1 else 0)

    def _session(self, connection: Connection, after_message: Hook, acts: Gate) -> Match:
        self.ready = None
        connection.send(self._greeting())
        while True:
            self._handle(connection, message := connection.receive())
            if self.match is None:
                continue
            if self.match.chain.sealed is not None:
                return self.match
            if isinstance(message, BlockMessage | CaughtUp | Relay) and acts(self.match):
                self._act(connection, self.match)
            after_message(connection, self.match, message)

    def _greeting(self) -> Enter | Resume:
        if self.match is None or self.match.chain.head.height == 0:
            return Enter(self.room, EnterAs.Player, self.name, None)
        self.match.caught_up = False
        head = self.match.chain.head
        return Resume(self.match.chain.match_id, EnterAs.Player, head.height, head.name, None)

    def _handle(self, connection: Connection, message: ServerMessage) -> None:
        match message, self.match:
            case Lobby(_, _, seats), _:
                if self.match is not None:
                    self.match, self.ready = None, None
                self.lobby = message
                seated = any(seat.identity == self.identity.public for seat in seats)
                if seated and self.ready is None:
                    self.ready = Ready(True, self._fresh_chain(message))
                    connection.send(self.ready)
            case GenesisMessage(genesis, _, begun), _:
                self.awaited = None
                if decode(Genesis, genesis).parent is None:
                    self._begin(connection, genesis, begun, {})
                else:
                    self.awaited = Awaited(genesis, begun)
            case Chunks(chunks), _ if self.awaited is not None:
                self._first_state(connection, self.awaited, chunks)
            case BlockMessage(proven), Match() as match_:
                self._block(match_, proven)
            case ReceiptMessage(proven), Match() as match_:
                self._receipt(match_, proven)
            case CaughtUp(height), Match() as match_:
                if match_.chain.head.height != height:
                    raise PlayerError("blocks are missing")
                match_.caught_up = True
                self._hand_in(connection, match_.signed)
            case Relay(signed, proven), Match() as match_:
                self._relay(match_, signed, proven)
            case ConversationMessage(place, lines), _:
                self._converse(connection, place, lines)
            case Said(line), _:
                if self.conversation is None:
                    raise PlayerError("a line of no conversation")
                self.conversation.append(line)
            case messages.Ping(number), _:
                connection.send(Pong(number))
            case (NotSaid() | Notice() | Pong() | RematchMessage() | TakebackMessage() | MotionMessage()), _:
                pass  # What others want is declined by saying nothing.
            case Goodbye(_, retry_after_ms), _:
                time.sleep(retry_after_ms / 1000)
                raise ConnectionLost("goodbye")
            case Limited(limit, retry_after_ms), _:
                time.sleep(retry_after_ms / 1000)
                raise ConnectionLost(f"limit {limit.name}")
            case Refused(_, messages.Chain(WrongTurn() | MatchOver())), Match():
                pass  # What was handed in crossed the block that closed its turn.
            case Refused(_, messages.Chain()), Match() as match_ if match_.delegated:
                pass  # The process before this one acted in this turn: another turn comes.
            case ((Refused() | Failed()), _):
                raise PlayerError(f"{self.name}: {message}")
            case _:
                raise PlayerError(f"{message} cannot come here")

    def _converse(self, connection: Connection, place: Place, lines: tuple[Line, ...]) -> None:
        match_id = None if self.match is None else self.match.chain.match_id
        here = (self.root_key, self.room) if isinstance(place, LobbyPlace) else match_id
        said = (place.service, place.room) if isinstance(place, LobbyPlace) else place.match_id
        if said != here:
            raise PlayerError("a conversation of another place")
        told, known = Conversation(place), self.conversation
        told.resume(lines)
        if known is not None and known.place == place:
            agrees = told.seen.get(known.last, known.seen[known.last]) == known.seen[known.last]
            if told.last < known.last or not agrees:
                raise PlayerError("the server has forgotten or changed what was said")
        self.conversation = told
        if self.says is not None and match_id == said and told.number_of(self.identity.public) == 0:
            connection.send(Say(told.say(self.identity, InWords(self.says))))

    def _first_state(self, connection: Connection, awaited: Awaited, chunks: tuple[NumberedChunk, ...]) -> None:
        """More of the state that a fork begins with: the chunks that the game has, in order."""
        numbers = list(Boxes.of(decode(Genesis, awaited.genesis)).chunks())
        for chunk in chunks:
            if len(awaited.chunks) == len(numbers) or chunk.id != numbers[len(awaited.chunks)]:
                raise PlayerError("a chunk that does not belong there")
            awaited.chunks[chunk.id] = chunk.chunk
        if len(awaited.chunks) == len(numbers):
            self.awaited = None
            self._begin(connection, awaited.genesis, awaited.begun, awaited.chunks)

    def _begin(self, connection: Connection, data: bytes, begun: bool, first: dict[int, bytes]) -> None:
        genesis = decode(Genesis, data)
        if not begun and (self.lobby is None or not leads_to(self.lobby, genesis)):
            raise PlayerError("the match is not the one that the lobby was about")
        game = Boxes.of(genesis)
        if first:
            game.restore(first)
        chain = Chain(data, self.root_key, game)
        seat = genesis.seats.index(PlayerSeat(self.identity.public))
        hash_chain = self._hash_chain(genesis, seat, begun)
        self.match = Match(chain, game, seat, hash_chain, chain.open_turn(), caught_up=not begun)
        if not begun:
            session = self._session_key(self.match, 0)
            self._sign(connection, self.match, session, Join(self._delegation(self.match, session)))

    def _fresh_chain(self, lobby: Lobby) -> ChainStart | None:
        if lobby.spec.randomness is RandomnessMode.Nothing or lobby.spec.last_turn is None:
            return None
        return chain_start(self.identity.seed, secrets.token_bytes(32), lobby.spec.last_turn)

    def _hash_chain(self, genesis: Genesis, seat: int, begun: bool) -> HashChain | None:
        """The seat's chain, made again from what stands in the genesis."""
        if not isinstance(genesis.randomness, CommitReveal) or genesis.last_turn is None:
            return None
        start = genesis.randomness.seats[seat]
        if not begun and (self.ready is None or self.ready.chain != start):
            raise PlayerError("the hash chain is not the one that was sent with the last Ready")
        chain = HashChain.before(last_of_seat(self.identity.seed, start.nonce), genesis.last_turn)
        if chain.anchor != start.anchor:
            raise PlayerError("the hash chain is not of this identity")
        return chain

    def _session_key(self, match: Match, epoch: int) -> SigningKey:
        return session_key(self.process_seed, match.chain.match_id, epoch)

    def _block(self, match: Match, proven: ProvenBlock) -> None:
        header, entries = match.chain.append(proven)
        if not isinstance(header.kind, Start | Turn | CommitBlock | TakebackBlock):
            return
        check_receipts(match, entries)
        match.signed.clear()
        match.receipts.clear()
        match.relayed = match.chain.open_turn()
        if not match.chain.revealing:
            match.commands, match.delegated = None, False

    def _receipt(self, match: Match, proven: ProvenReceipt) -> None:
        receipt = match.chain.check_receipt(proven)
        where = (receipt.match_id, receipt.seat, receipt.turn)
        if where != (match.chain.match_id, match.seat, match.chain.head.turn + 1):
            raise PlayerError("a receipt for another seat or turn")
        match.receipts[receipt.transaction] = receipt
        match.receipts_kept += 1

    def _relay(self, match: Match, signed: SignedTransaction, proven: ProvenReceipt) -> None:
        """Judges what another seat does in the open turn, and keeps the server's promise for it."""
        receipt, tx = match.chain.check_receipt(proven), decode(Transaction, signed.body)
        name = signed.name()
        promised = (receipt.match_id, receipt.seat, receipt.seq, receipt.transaction, receipt.turn)
        if promised != (tx.match_id, tx.seat, tx.seq, name, tx.turn) or receipt.attempt != tx.attempt:
            raise PlayerError("a receipt of another transaction")
        if match.chain.genesis.visibility is not Visibility.Open or tx.seat == match.seat:
            raise PlayerError("a transaction that nobody has to relay")
        if name in match.receipts:
            return
        match.chain.check_transaction(receipt.received, signed, tx, match.relayed)
        advance(match.relayed, receipt.received, signed, tx)
        match.receipts[name] = receipt
        match.relays_kept += 1

    def _act(self, connection: Connection, match: Match) -> None:
        chain = match.chain
        may = match.caught_up and chain.head.height > 0 and chain.is_open()
        if not may or match.signed or match.seat not in chain.waited_for():
            return
        line = chain.lines[match.seat]
        assert line.session is not None
        body = self._body(match, line)
        if body is None:
            return
        match.epoch = line.session.epoch
        session = self._session_key(match, match.epoch)
        if session.public != line.session.key:
            if match.delegated:
                return  # In vain: another process was faster, and two Delegates for one turn look like cheating.
            match.epoch, match.delegated = match.epoch + 1, True
            session = self._session_key(match, match.epoch)
            self._sign(connection, match, session, Delegate(self._delegation(match, session)))
        self._sign(connection, match, session, body)

    def _body(self, match: Match, line: SeatLine) -> Body | None:
        """What the open turn, or half of one, asks of the seat; `None` if another process hid others."""
        chain = match.chain
        if match.commands is None:
            match.commands = b""
            if match.seat in match.game.to_move():
                match.commands = self.choose(match.game).to_bytes(2, "little")
        commands = match.commands
        if not chain.is_sealed_game:
            return TurnBody(commands)
        turn, attempt = chain.head.turn + 1, chain.head.attempt
        salt = salt_of(self.identity.seed, chain.match_id, turn, attempt, commands)
        hidden = sealed_commands(chain.match_id, match.seat, turn, attempt, salt, commands)
        if not chain.revealing:
            return Commit(hidden)
        return Reveal(salt, commands) if hidden == line.commitment else None

    def _sign(self, connection: Connection, match: Match, session: SigningKey, body: Body) -> None:
        """Signs the next transaction of the open turn, keeps it, and hands it in."""
        chain, line = match.chain, match.chain.lines[match.seat]
        before = match.signed[-1].name() if match.signed else line.prev_tx
        tx = Transaction(
            version=1,
            match_id=chain.match_id,
            seat=match.seat,
            epoch=match.epoch,
            seq=line.next_seq + len(match.signed),
            prev_tx=before,
            turn=chain.head.turn + 1 if chain.head.height > 0 else 0,
            attempt=chain.head.attempt,
            seen_height=chain.head.height,
            seen_block=chain.head.name,
            seen_state_root=match.game.state_root(),
            chain_element=next_element(match, line) if isinstance(body, Join | TurnBody | Reveal) else None,
            body=body,
        )
        encoded = encode(tx)
        signed = SignedTransaction(encoded, session.sign("transaction", H("transaction", encoded)))
        self.signed.append((session.public, tx))
        match.signed.append(signed)
        self._hand_in(connection, [signed])

    def _hand_in(self, connection: Connection, signed: list[SignedTransaction]) -> None:
        for transaction in signed:
            connection.send(Submit(transaction))

    def _delegation(self, match: Match, session: SigningKey) -> Signed:
        delegation = Delegation(1, match.chain.match_id, match.seat, match.epoch, session.public, None)
        encoded = encode(delegation)
        return Signed(encoded, self.identity.sign("delegation", H("delegation", encoded)))


def next_element(match: Match, line: SeatLine) -> bytes | None:
    if match.hash_chain is None or line.tip is None:
        return None
    return match.hash_chain.elements[line.tip.revealed]


def leads_to(lobby: Lobby, genesis: Genesis) -> bool:
    """Is the match of the genesis the one that the lobby was about? Boxes says by itself what its options mean."""
    spec = lobby.spec
    random = isinstance(genesis.randomness, CommitReveal)
    settings = (
        (spec.rules, genesis.rules_name),
        (True, spec.seats_min <= len(lobby.seats) <= spec.seats),
        (seats_of(lobby), genesis.seats),
        (spec.size, Boxes.of(genesis).size if spec.size is not None else None),
        (spec.mode, genesis.turn_mode),
        (spec.last_turn, genesis.last_turn),
        (spec.deadline_ms, genesis.deadline_ms if spec.deadline_ms is not None else None),
        (spec.clock, genesis.clock),
        (spec.grace_ms, genesis.grace_ms),
        (spec.absence, genesis.absence),
        (spec.spectators, genesis.spectators),
        (spec.double_transactions, genesis.double_transactions),
        (spec.visibility, genesis.visibility),
        (spec.randomness, RandomnessMode.CommitReveal if random else RandomnessMode.Nothing),
        (spec.takebacks, genesis.takebacks),
        (spec.agreements, genesis.agreements),
        (spec.fork, genesis.parent and ForkPoint(genesis.parent.match_id, genesis.parent.turn)),
    )
    return all(said == made for said, made in settings)


def seats_of(lobby: Lobby) -> tuple[PlayerSeat | OpenSeat, ...]:
    """Who sits where in the match: without the gaps, unless they can be filled later on."""
    sitting = {seat.seat: PlayerSeat(seat.identity) for seat in lobby.seats}
    if not lobby.spec.late_joins:
        return tuple(sitting.values())
    return tuple(sitting.get(seat, OpenSeat()) for seat in range(lobby.spec.seats))


def check_receipts(match: Match, entries: list[tuple[Entry, Transaction]]) -> None:
    """What has a receipt must stand in the block of its turn, received when the receipt says."""
    received = {entry.transaction.name(): entry.received for entry, _ in entries}
    for name, receipt in match.receipts.items():
        if received.get(name) != receipt.received:
            raise PlayerError("the server broke a promise: it left a transaction out, or moved it in time")
