"""The board game. docs/games.md, "Boxes"."""

import itertools
from collections.abc import Mapping

from .objects import Genesis
from .trees import state_root

SIDE = 16
RIGHT, DOWN = 1, 2


class Boxes:
    def __init__(self, size: int, seats: int) -> None:
        self.size = size
        self.seats = seats
        self.mover = 0
        self.scores = [0] * 8
        self.edges_drawn = 0
        self.dots = [[0] * (size + 1) for _ in range(size + 1)]

    @classmethod
    def of(cls, genesis: Genesis) -> "Boxes":
        if (genesis.rules_name, genesis.rules_version) != ("boxes", 1) or len(genesis.options) != 2:
            raise ValueError("not a match of boxes, version 1")
        return cls(int.from_bytes(genesis.options, "little"), len(genesis.seats))

    def restore(self, chunks: Mapping[int, bytes]) -> None:
        """Goes on from a state in the middle of a match; `ValueError` if it is none."""
        summary, side = chunks.get(0, b""), self.size // SIDE + 1
        self.mover = summary[3] if len(summary) > 3 else 0
        numbers = [int.from_bytes(summary[at : at + 2], "little") for at in range(4, 22, 2)]
        self.edges_drawn, self.scores = numbers[0], numbers[1:]
        for y, x in itertools.product(range(self.size + 1), repeat=2):
            dots = chunks.get(1 + y // SIDE * side + x // SIDE, b"").ljust(SIDE * SIDE, b"\0")
            self.dots[y][x] = dots[y % SIDE * SIDE + x % SIDE]
        if self.chunks() != chunks or self.mover >= self.seats:
            raise ValueError("not a state of this match")

    def save(self) -> Mapping[int, bytes]:
        return self.chunks()

    def begin(self, _seed: bytes) -> None:
        """Nothing in this game is left to chance."""
        Boxes.__init__(self, self.size, self.seats)

    @property
    def edges(self) -> int:
        return 2 * self.size * (self.size + 1)

    def is_over(self) -> bool:
        return self.edges_drawn == self.edges

    def to_move(self) -> set[int]:
        return set() if self.is_over() else {self.mover}

    def score(self, seat: int) -> int:
        return self.scores[seat]

    def free_edges(self) -> list[int]:
        return [edge for edge in range(self.edges) if not self._is_drawn(*self._edge(edge))]

    def stand_in(self, seat: int) -> bytes:
        """What the built-in player would do."""
        if seat not in self.to_move():
            return b""
        for y, x in itertools.product(range(self.size), repeat=2):
            open_sides = [side for side in self._sides(x, y) if not self._is_drawn(*side)]
            if len(open_sides) == 1:
                return self._number(*open_sides[0]).to_bytes(2, "little")
        start = self.edges_drawn * 40_009 % self.edges
        free = [edge for edge in (*range(start, self.edges), *range(start)) if not self._is_drawn(*self._edge(edge))]
        safe = [edge for edge in free if self._is_safe(edge)]
        return (safe or free)[0].to_bytes(2, "little")

    def _is_safe(self, edge: int) -> bool:
        """Whether it leaves the next seat without a box to complete."""
        x, y, direction = self._edge(edge)
        beside = [(x, y), (x, y - 1) if direction == RIGHT else (x - 1, y)]
        boxes = [box for box in beside if 0 <= box[0] < self.size and 0 <= box[1] < self.size]
        return all(sum(self._is_drawn(*side) for side in self._sides(*box)) < 2 for box in boxes)

    @staticmethod
    def _sides(x: int, y: int) -> list[tuple[int, int, int]]:
        return [(x, y, RIGHT), (x, y + 1, RIGHT), (x, y, DOWN), (x + 1, y, DOWN)]

    def _number(self, x: int, y: int, direction: int) -> int:
        if direction == RIGHT:
            return y * self.size + x
        return self.size * (self.size + 1) + y * (self.size + 1) + x

    def execute(self, orders: list[tuple[int, bytes]], _roll: bytes) -> None:
        if self.is_over():
            return
        seat, drawn = self.mover, False
        for mover, commands in orders:
            if mover == seat and commands and not drawn:
                drawn = self._draw(commands)
        if not drawn:
            self.mover = (seat + 1) % self.seats

    def _draw(self, commands: bytes) -> bool:
        """Draws an edge and moves on, unless a box goes to the seat; `False` if the command is void."""
        edge = int.from_bytes(commands, "little")
        if len(commands) != 2 or edge >= self.edges or self._is_drawn(*self._edge(edge)):
            return False
        x, y, direction = self._edge(edge)
        self.dots[y][x] |= direction
        self.edges_drawn += 1
        beside = [(x, y), (x, y - 1) if direction == RIGHT else (x - 1, y)]
        closed = [box for box in beside if self._is_closed(*box)]
        for column, row in closed:
            self.dots[row][column] |= (1 + self.mover) << 4
            self.scores[self.mover] += 1
        if not closed:
            self.mover = (self.mover + 1) % self.seats
        return True

    def _edge(self, edge: int) -> tuple[int, int, int]:
        """The dot that an edge begins at, and its direction."""
        across = self.size * (self.size + 1)
        if edge < across:
            return edge % self.size, edge // self.size, RIGHT
        return (edge - across) % (self.size + 1), (edge - across) // (self.size + 1), DOWN

    def _is_drawn(self, x: int, y: int, direction: int) -> bool:
        return self.dots[y][x] & direction != 0

    def _is_closed(self, x: int, y: int) -> bool:
        if not (0 <= x < self.size and 0 <= y < self.size):
            return False
        return all(self._is_drawn(*side) for side in self._sides(x, y))

    def chunks(self) -> dict[int, bytes]:
        side = self.size // SIDE + 1
        chunks = {0: self._summary()}
        for number in range(side * side):
            top, left = number // side * SIDE, number % side * SIDE
            chunks[1 + number] = bytes(
                self.dots[y][x] if x <= self.size and y <= self.size else 0
                for y in range(top, top + SIDE)
                for x in range(left, left + SIDE)
            )
        return chunks

    def _summary(self) -> bytes:
        numbers = [self.size.to_bytes(2, "little"), bytes([self.seats, self.mover])]
        numbers += [number.to_bytes(2, "little") for number in (self.edges_drawn, *self.scores)]
        return b"".join(numbers)

    def state_root(self) -> bytes:
        return state_root(self.chunks())
