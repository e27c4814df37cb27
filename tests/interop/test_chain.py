import unittest

from cadastre import codec
from cadastre.boxes import Boxes
from cadastre.chain import Chain, ChainError
from cadastre.codec import encode
from cadastre.crypto import H
from cadastre.objects import ProvenBlock
from vectors import ROOT, load

OBJECTS = load("objects")
GENESIS = bytes.fromhex(OBJECTS["genesis"][0]["bytes"])
ROOT_KEY = bytes.fromhex(OBJECTS["keys"]["root"]["key"])
BLOCKS = [bytes.fromhex(block["proven"]) for block in OBJECTS["blocks"]]


class NoGame:
    """What the match in the vectors has in place of a game."""

    def __init__(self) -> None:
        self.turn = 0

    def state_root(self) -> bytes:
        return H("state leaf", self.turn.to_bytes(4, "little"))

    def to_move(self) -> set[int]:
        return {0, 1, 2}

    def is_over(self) -> bool:
        return self.turn >= 5

    def score(self, seat: int) -> int:
        return seat * self.turn

    def execute(self, orders: list[tuple[int, bytes]]) -> None:
        self.turn += 1


def chain_of(blocks: int) -> Chain:
    chain = Chain(GENESIS, ROOT_KEY, NoGame())
    for proven in BLOCKS[:blocks]:
        chain.append(codec.decode(ProvenBlock, proven))
    return chain


class ChainVectors(unittest.TestCase):
    def test_the_whole_match(self) -> None:
        chain = chain_of(0)
        for vector, proven in zip(OBJECTS["blocks"], BLOCKS, strict=True):
            with self.subTest(vector["name"]):
                chain.append(codec.decode(ProvenBlock, proven))
                self.assertEqual(chain.head.name.hex(), vector["hash"])
                self.assertEqual(encode(chain.state()).hex(), vector["chain_state"])
        self.assertIsNotNone(chain.sealed)

    def test_the_seat_with_another_state_root_is_seen(self) -> None:
        self.assertEqual(chain_of(len(BLOCKS)).desynced, [(2, 2)])

    def test_another_root_key_is_refused(self) -> None:
        other = bytes.fromhex(OBJECTS["keys"]["block signer"]["key"])
        with self.assertRaisesRegex(ChainError, "^wrong-root-key$"):
            Chain(GENESIS, other, NoGame())

    def test_blocks_left_out_repeated_and_of_another_place_are_refused(self) -> None:
        for have in range(len(BLOCKS)):
            for given, proven in enumerate(BLOCKS):
                # The key of the KeyChange is in force at once, and the one before it no more.
                if given == have:
                    continue
                with self.assertRaises((ChainError, codec.Refused), msg=f"{given} after {have}"):
                    chain_of(have).append(codec.decode(ProvenBlock, proven))

    def test_no_bit_of_a_block_can_be_flipped(self) -> None:
        for have, proven in enumerate(BLOCKS):
            chain = chain_of(have)
            for place in range(len(proven)):
                flipped = bytearray(proven)
                flipped[place] ^= 1 << (place + have) % 8
                with self.assertRaises((ChainError, codec.Refused), msg=f"block {have + 1}, byte {place}"):
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
                game.execute([(int(seat), bytes.fromhex(commands)) for seat, commands in lists])
                self.assertEqual(game.state_root().hex(), root, f"{path.name}, turn {number}")
