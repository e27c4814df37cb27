import itertools
import unittest
from typing import Any

from cadastre import codec
from cadastre.boxes import Boxes
from cadastre.chain import Chain, ChainError
from cadastre.codec import encode
from cadastre.crypto import H
from cadastre.objects import Block, Genesis, Header, ProvenBlock
from vectors import ROOT, load

OBJECTS = load("objects")
ROOT_KEY = bytes.fromhex(OBJECTS["keys"]["root"]["key"])
PLAIN = (OBJECTS["genesis"][0], OBJECTS["blocks"], 5)
HIDDEN = (OBJECTS["genesis"][2], OBJECTS["hidden_blocks"], 2)
TIMED = (OBJECTS["genesis"][3], OBJECTS["timed_blocks"], 5)
TAKEN_BACK = (OBJECTS["genesis"][4], OBJECTS["taken_back_blocks"], 4)
FORK = (OBJECTS["genesis"][5], OBJECTS["fork_blocks"], 2)
AGREED = (OBJECTS["genesis"][6], OBJECTS["agreed_blocks"], 99)
TAKEN_OVER = (OBJECTS["genesis"][8], OBJECTS["taken_over_blocks"], 8)
LATE_JOINED = (OBJECTS["genesis"][7], OBJECTS["late_joined_blocks"], 4)
GRACED = (OBJECTS["genesis"][9], OBJECTS["graced_blocks"], 2)
ALL = (PLAIN, HIDDEN, TIMED, TAKEN_BACK, FORK, AGREED, LATE_JOINED, TAKEN_OVER, GRACED)


class NoGame:
    """What the match in the vectors has in place of a game."""

    def __init__(self, last_turn: int) -> None:
        self.turn, self.last_turn = 0, last_turn
        self.drawn: bytes | None = None
        """The last seed or roll that was handed to it."""

    def state_root(self) -> bytes:
        return H("state leaf", self.turn.to_bytes(4, "little"))

    def to_move(self) -> set[int]:
        return {0, 1, 2}

    def is_over(self) -> bool:
        return self.turn >= self.last_turn

    def score(self, seat: int) -> int:
        return seat * self.turn

    def begin(self, seed: bytes) -> None:
        self.turn, self.drawn = 0, seed

    def stand_in(self, _seat: int) -> bytes:
        return b""

    def execute(self, orders: list[tuple[int, bytes]], roll: bytes) -> None:
        self.turn, self.drawn = self.turn + 1, roll

    def save(self) -> int:
        return self.turn

    def restore(self, state: int) -> None:
        self.turn = state


Vectors = tuple[dict[str, Any], list[dict[str, Any]], int]


def chain_of(vectors: Vectors, blocks: int) -> Chain:
    genesis, following, last_turn = vectors
    chain = Chain(bytes.fromhex(genesis["bytes"]), ROOT_KEY, NoGame(last_turn))
    for vector in following[:blocks]:
        chain.append(codec.decode(ProvenBlock, bytes.fromhex(vector["proven"])))
    return chain


class ChainVectors(unittest.TestCase):
    def test_whole_matches(self) -> None:
        for vectors in ALL:
            chain = chain_of(vectors, 0)
            self.assertEqual(chain.seed.hex(), vectors[0]["seed"])
            for vector in vectors[1]:
                with self.subTest(vector["name"]):
                    self.check_block(chain, vector)
            self.assertIsNotNone(chain.sealed)

    def check_block(self, chain: Chain, vector: dict[str, Any]) -> None:
        proven = codec.decode(ProvenBlock, bytes.fromhex(vector["proven"]))
        header = codec.decode(Header, codec.decode(Block, proven.block).header)
        drawn = bytes.fromhex(vector["drawn"]) if vector["drawn"] else None
        self.assertEqual([chain.rank(header, drawn, seat).hex() for seat in range(3)], vector["order"])
        assert isinstance(chain.game, NoGame)
        chain.game.drawn = None
        chain.append(proven)
        self.assertEqual(chain.game.drawn, drawn)
        self.assertEqual(chain.head.name.hex(), vector["hash"])
        self.assertEqual(encode(chain.state()).hex(), vector["chain_state"])

    def test_the_seat_with_another_state_root_is_seen(self) -> None:
        self.assertEqual(chain_of(PLAIN, len(PLAIN[1])).desynced, [(2, 2)])

    def test_another_root_key_is_refused(self) -> None:
        other = bytes.fromhex(OBJECTS["keys"]["block signer"]["key"])
        with self.assertRaisesRegex(ChainError, "^wrong-root-key$"):
            Chain(bytes.fromhex(PLAIN[0]["bytes"]), other, NoGame(5))

    def test_a_fork_begins_with_the_state_of_its_parent(self) -> None:
        genesis = codec.decode(Genesis, bytes.fromhex(FORK[0]["bytes"]))
        assert genesis.parent is not None
        block = TAKEN_BACK[1][6]
        header = codec.decode(Header, bytes.fromhex(block["header"]))
        self.assertEqual((genesis.parent.height, genesis.parent.block.hex()), (header.height, block["hash"]))
        self.assertEqual((genesis.parent.turn, genesis.parent.state_root), (header.turn, header.state_root))
        elsewhere = NoGame(5)
        elsewhere.execute([], bytes(32))
        with self.assertRaisesRegex(ChainError, "^state-root$"):
            Chain(bytes.fromhex(FORK[0]["bytes"]), ROOT_KEY, elsewhere)

    def test_blocks_left_out_repeated_and_of_another_place_are_refused(self) -> None:
        for vectors in ALL:
            proven = [bytes.fromhex(vector["proven"]) for vector in vectors[1]]
            for have, given in itertools.permutations(range(len(proven)), 2):
                with self.assertRaises((ChainError, codec.Refused), msg=f"{given} after {have}"):
                    chain_of(vectors, have).append(codec.decode(ProvenBlock, proven[given]))

    def test_no_bit_of_a_block_can_be_flipped(self) -> None:
        for vectors in ALL:
            for have, vector in enumerate(vectors[1]):
                self.check_flips(chain_of(vectors, have), bytes.fromhex(vector["proven"]))

    def check_flips(self, chain: Chain, proven: bytes) -> None:
        for place in range(len(proven)):
            flipped = bytearray(proven)
            flipped[place] ^= 1 << (place + chain.head.height) % 8
            with self.assertRaises((ChainError, codec.Refused), msg=f"{chain.head.height + 1}, byte {place}"):
                chain.append(codec.decode(ProvenBlock, bytes(flipped)))
        chain.append(codec.decode(ProvenBlock, proven))


class BoxesVectors(unittest.TestCase):
    def test_states(self) -> None:
        for size, seats in ((5, 3), (40, 8)):
            path = ROOT / f"simulations/tests/vectors/boxes-{size}-{seats}.txt"
            start, *turns = path.read_text().splitlines()
            game = Boxes(size, seats)
            self.assertEqual(game.state_root().hex(), start.split()[-1])
            for number, turn in enumerate(turns, 1):
                root, _, *orders = turn.split()
                lists = [order.split(":") for order in orders]
                game.execute([(int(seat), bytes.fromhex(commands)) for seat, commands in lists], bytes(32))
                self.assertEqual(game.state_root().hex(), root, f"{path.name}, turn {number}")
