"""The built-in player of the board game, over the vectors of the rules."""

import unittest

from cadastre.boxes import Boxes

from vectors import ROOT

VECTOR = ROOT / "simulations/tests/vectors/players-boxes-6-3.txt"


class BuiltInPlayer(unittest.TestCase):
    def test_it_plays_as_the_vector_says(self) -> None:
        first, *turns = VECTOR.read_text().splitlines()
        _, size, seats, _, root = first.split()
        game = Boxes(int(size), int(seats))
        self.assertEqual(game.state_root().hex(), root)
        for line in turns:
            root, _, *lists = line.split(" ")
            orders = [(int(seat), bytes.fromhex(commands)) for seat, commands in (it.split(":") for it in lists)]
            self.assertEqual([(seat, game.stand_in(seat)) for seat, _ in orders], orders)
            game.execute(orders, bytes(32))
            self.assertEqual(game.state_root().hex(), root)
        self.assertTrue(game.is_over())


if __name__ == "__main__":
    unittest.main()
