"""Hash chains, and what is drawn from them; what hides commands. docs/protocol.md, "Randomness"."""

from collections.abc import Mapping
from dataclasses import dataclass

from .codec import integer
from .crypto import H
from .objects import ChainStart, Tip


def element_before(element: bytes) -> bytes:
    return H("chain element", element)


def follows(tip: Tip, element: bytes) -> bool:
    """Whether an element is the next one of a chain."""
    return element_before(element) == tip.element


def last_of_seat(identity_seed: bytes, nonce: bytes) -> bytes:
    return H("seat chain", identity_seed + nonce)


def last_of_server(secret: bytes, nonce: bytes) -> bytes:
    return H("server chain", secret + nonce)


@dataclass(frozen=True)
class HashChain:
    """All elements of a chain, in the order in which they are revealed."""

    anchor: bytes
    elements: tuple[bytes, ...]

    @classmethod
    def before(cls, last: bytes, last_turn: int) -> "HashChain":
        """The chain with one element more than a match has turns."""
        backwards = [last]
        for _ in range(last_turn + 1):
            backwards.append(element_before(backwards[-1]))
        return cls(backwards[-1], tuple(reversed(backwards[:-1])))


def chain_start(identity_seed: bytes, nonce: bytes, last_turn: int) -> ChainStart:
    return ChainStart(nonce, HashChain.before(last_of_seat(identity_seed, nonce), last_turn).anchor)


def seed_without(match_id: bytes) -> bytes:
    """Seed of the game with randomness None, and with CommitReveal before the Start."""
    return H("seed", match_id)


def seed_of_start(match_id: bytes, server: bytes, seats: Mapping[int, bytes]) -> bytes:
    return H("seed", match_id + server + b"".join(seats[seat] for seat in sorted(seats)))


def roll_without(match_id: bytes, turn: int, attempt: int, seed: bytes) -> bytes:
    """Roll of a turn with randomness None."""
    return H("roll", match_id + integer(turn, 4) + integer(attempt, 4) + seed)


def roll_of_turn(
    match_id: bytes, seed: bytes, turn: int, attempt: int, server: bytes, seats: Mapping[int, bytes]
) -> bytes:
    """Roll of a turn with CommitReveal. `seats` are those that reveal an element in its block."""
    elements = b"".join(bytes([seat]) + seats[seat] for seat in sorted(seats))
    return H("roll", match_id + integer(turn, 4) + integer(attempt, 4) + seed + server + elements)


def order_rank(opened: bytes, mixing: bytes, seat: int) -> bytes:
    """Seats stand in a block in the ascending order of this."""
    return H("order", opened + mixing + bytes([seat]))


def sealed_commands(
    match_id: bytes, seat: int, turn: int, attempt: int, salt: bytes, commands: bytes
) -> bytes:
    """What a Commit carries in place of the commands."""
    where = match_id + bytes([seat]) + integer(turn, 4) + integer(attempt, 4)
    return H("sealed commands", where + salt + commands)


def salt_of(identity_seed: bytes, match_id: bytes, turn: int, attempt: int, commands: bytes) -> bytes:
    return H("salt", identity_seed + match_id + integer(turn, 4) + integer(attempt, 4) + commands)
