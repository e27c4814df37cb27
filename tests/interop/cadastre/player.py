"""A player of boxes: joins a match, verifies every block, plays every turn, and comes back by itself.
docs/protocol.md, "A session in order"."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import messages
from .boxes import Boxes
from .chain import Chain
from .codec import decode, encode
from .connection import Connection, ConnectionLost
from .crypto import H, SigningKey
from .messages import (
    BlockMessage,
    CaughtUp,
    Enter,
    EnterAs,
    Failed,
    GenesisMessage,
    Goodbye,
    Lobby,
    MatchOver,
    Pong,
    Ready,
    ReceiptMessage,
    Refused,
    Resume,
    ServerMessage,
    Submit,
    WrongTurn,
)
from .objects import (
    Allowed,
    CommitReveal,
    Delegate,
    Delegation,
    Entry,
    Genesis,
    Join,
    PerTurn,
    PlayerSeat,
    ProvenBlock,
    ProvenReceipt,
    RandomnessMode,
    Receipt,
    Signed,
    SignedTransaction,
    Takebacks,
    Transaction,
    TurnBody,
)

ATTEMPTS_MAX = 5
BACKOFF_S = 0.05

Choose = Callable[[Boxes], int]


class PlayerError(Exception):
    """What the server said or did cannot be, or must not be followed."""


@dataclass
class Match:
    """A match as a player at one seat has it."""

    chain: Chain
    game: Boxes
    seat: int
    epoch: int = 0
    must_delegate: bool = False
    delegated: bool = False
    """In the open turn."""
    caught_up: bool = True
    signed: list[SignedTransaction] = field(default_factory=list)
    """What was signed for the open turn."""
    receipts: dict[bytes, Receipt] = field(default_factory=dict)
    """Of the open turn, by name of the transaction."""
    receipts_kept: int = 0


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
        self.match: Match | None = None
        self.lobby: Lobby | None = None
        self.connections = 0

    def play(
        self, after_block: Callable[[Connection, Match], None] = lambda _connection, _match: None
    ) -> Match:
        """Plays until the Seal. `after_block` may cut the connection, or raise to end the player."""
        failed = 0
        while True:
            try:
                with Connection(self.authority, self.root_key, self.identity) as connection:
                    self.connections += 1
                    failed = 0
                    return self._session(connection, after_block)
            except ConnectionLost as error:
                failed += 1
                if failed == ATTEMPTS_MAX:
                    raise PlayerError(f"{self.name} cannot come back: {error}") from error
                time.sleep(BACKOFF_S * 2**failed if failed > 1 else 0)

    def _session(self, connection: Connection, after_block: Callable[[Connection, Match], None]) -> Match:
        connection.send(self._greeting())
        while True:
            self._handle(connection, message := connection.receive())
            if self.match is not None and isinstance(message, BlockMessage):
                if self.match.chain.sealed is not None:
                    return self.match
                after_block(connection, self.match)

    def _greeting(self) -> Enter | Resume:
        if self.match is None or self.match.chain.head.height == 0:
            return Enter(self.room, EnterAs.Player, self.name)
        self.match.caught_up = False
        head = self.match.chain.head
        return Resume(self.match.chain.match_id, EnterAs.Player, head.height, head.name)

    def _handle(self, connection: Connection, message: ServerMessage) -> None:
        match message, self.match:
            case Lobby(_, _, seats), _:
                self.match = None
                self.lobby = message
                if any(seat.identity == self.identity.public and not seat.ready for seat in seats):
                    connection.send(Ready(True, None))
            case GenesisMessage(genesis, _, begun), _:
                self._begin(connection, genesis, begun)
            case BlockMessage(proven), Match() as match_:
                self._block(match_, proven)
                self._act(connection, match_)
            case ReceiptMessage(proven), Match() as match_:
                self._receipt(match_, proven)
            case CaughtUp(height), Match() as match_:
                if match_.chain.head.height != height:
                    raise PlayerError("blocks are missing")
                match_.caught_up = True
                self._hand_in(connection, match_.signed)
                self._act(connection, match_)
            case Pong(), _:
                pass
            case Goodbye(_, retry_after_ms), _:
                time.sleep(retry_after_ms / 1000)
                raise ConnectionLost("goodbye")
            case Refused(_, messages.Chain(WrongTurn() | MatchOver())), Match():
                pass  # What was handed in crossed the block that closed its turn.
            case Refused(_, messages.Chain()), Match() as match_ if match_.delegated:
                pass  # The process before this one acted in this turn: another turn comes.
            case ((Refused() | Failed()), _):
                raise PlayerError(f"{self.name}: {message}")
            case _:
                raise PlayerError(f"{message} cannot come here")

    def _begin(self, connection: Connection, data: bytes, begun: bool) -> None:
        genesis = decode(Genesis, data)
        if not begun and (self.lobby is None or not leads_to(self.lobby, genesis)):
            raise PlayerError("the match is not the one that the lobby was about")
        game = Boxes.of(genesis)
        chain = Chain(data, self.root_key, game)
        seat = genesis.seats.index(PlayerSeat(self.identity.public))
        self.match = Match(chain, game, seat, must_delegate=begun, caught_up=not begun)
        if not begun:
            session = self.identity.session(chain.match_id, 0)
            self._sign(connection, self.match, session, Join(self._delegation(self.match, session)))

    def _block(self, match: Match, proven: ProvenBlock) -> None:
        turn = match.chain.head.turn
        header, entries = match.chain.append(proven)
        if header.turn > turn or header.height == 1:
            check_receipts(match, entries)
            match.signed.clear()
            match.receipts.clear()
            match.delegated = False

    def _receipt(self, match: Match, proven: ProvenReceipt) -> None:
        receipt = match.chain.check_receipt(proven)
        where = (receipt.match_id, receipt.seat, receipt.turn)
        if where != (match.chain.match_id, match.seat, match.chain.head.turn + 1):
            raise PlayerError("a receipt for another seat or turn")
        match.receipts[receipt.transaction] = receipt
        match.receipts_kept += 1

    def _act(self, connection: Connection, match: Match) -> None:
        chain = match.chain
        may = match.caught_up and chain.head.height > 0 and chain.is_open()
        if not may or match.signed or match.seat not in chain.waited_for():
            return
        line = chain.lines[match.seat]
        assert line.session is not None
        match.epoch = line.session.epoch
        if match.must_delegate:
            match.epoch += 1
            session = self.identity.session(chain.match_id, match.epoch)
            self._sign(connection, match, session, Delegate(self._delegation(match, session)))
            match.must_delegate, match.delegated = False, True
        commands = b""
        if match.seat in match.game.to_move():
            commands = self.choose(match.game).to_bytes(2, "little")
        session = self.identity.session(chain.match_id, match.epoch)
        self._sign(connection, match, session, TurnBody(commands))

    def _sign(
        self, connection: Connection, match: Match, session: SigningKey, body: Join | Delegate | TurnBody
    ) -> None:
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
            chain_element=None,
            body=body,
        )
        encoded = encode(tx)
        signed = SignedTransaction(encoded, session.sign("transaction", H("transaction", encoded)))
        match.signed.append(signed)
        self._hand_in(connection, [signed])

    def _hand_in(self, connection: Connection, signed: list[SignedTransaction]) -> None:
        for transaction in signed:
            connection.send(Submit(transaction))

    def _delegation(self, match: Match, session: SigningKey) -> Signed:
        delegation = Delegation(1, match.chain.match_id, match.seat, match.epoch, session.public, None)
        encoded = encode(delegation)
        return Signed(encoded, self.identity.sign("delegation", H("delegation", encoded)))


def leads_to(lobby: Lobby, genesis: Genesis) -> bool:
    """Is the match of the genesis the one that the lobby was about? Boxes says by itself what its options mean."""
    spec = lobby.spec
    random = isinstance(genesis.randomness, CommitReveal)
    settings = (
        (spec.rules, genesis.rules_name),
        (spec.seats, len(genesis.seats)),
        (tuple(PlayerSeat(seat.identity) for seat in lobby.seats), genesis.seats),
        (spec.size, Boxes.of(genesis).size if spec.size is not None else None),
        (spec.mode, genesis.turn_mode),
        (spec.last_turn, genesis.last_turn),
        (spec.deadline_ms, genesis.deadline_ms if spec.deadline_ms is not None else None),
        (PerTurn(), genesis.clock),
        (spec.spectators, isinstance(genesis.spectators, Allowed)),
        (spec.double_transactions, genesis.double_transactions),
        (spec.visibility, genesis.visibility),
        (spec.randomness, RandomnessMode.CommitReveal if random else RandomnessMode.Nothing),
        (Takebacks.Never, genesis.takebacks),
        (None, genesis.parent),
    )
    return all(said == made for said, made in settings)


def check_receipts(match: Match, entries: list[tuple[Entry, Transaction]]) -> None:
    """What has a receipt must stand in the block of its turn, received when the receipt says."""
    received = {entry.transaction.name(): entry.received for entry, _ in entries}
    for name, receipt in match.receipts.items():
        if received.get(name) != receipt.received:
            raise PlayerError("the server broke a promise: it left a transaction out, or moved it in time")
