"""The trees over blocks, bodies, batches and the log, and the tree of a game's state. docs/protocol.md,
"Trees" and "State root"."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

from .crypto import H

DEPTH = 16


def root(node: str, leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return H(node, b"")
    if len(leaves) == 1:
        return leaves[0]
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return H(node, root(node, leaves[:k]) + root(node, leaves[k:]))


def root_of_proof(node: str, leaf: bytes, index: int, size: int, hashes: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to; `None` if index or length are wrong."""
    return walk(lambda left, right: H(node, left + right), leaf, index, size, hashes)


def walk(
    join: Callable[[bytes, bytes], bytes], leaf: bytes, index: int, size: int, hashes: Sequence[bytes]
) -> bytes | None:
    if index >= size:
        return None
    at, last, result, rest = index, size - 1, leaf, list(hashes)
    while last > 0:
        if at % 2 == 1 or at < last:
            if not rest:
                return None
            neighbour = rest.pop(0)
            result = join(neighbour, result) if at % 2 == 1 else join(result, neighbour)
        at, last = at // 2, last // 2
    return result if not rest else None


class Peaks:
    """A growing tree, kept as the roots of its complete subtrees, the largest first."""

    def __init__(self, node: str, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        self.node = node
        self.size = size
        self.roots = list(roots)

    def append(self, leaf: bytes) -> None:
        self.roots.append(leaf)
        self.size += 1
        for _ in range((self.size & -self.size).bit_length() - 1):
            right = self.roots.pop()
            self.roots.append(H(self.node, self.roots.pop() + right))

    def root(self) -> bytes:
        result = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            result = H(self.node, left + result)
        return result


@cache
def empty(level: int) -> bytes:
    """Root of a subtree of the state tree that has no chunk, `level` levels above the leaves."""
    return H("state node", b"" if level == 0 else empty(level - 1) * 2)


def chunk_leaf(chunk: bytes) -> bytes:
    return H("state leaf", chunk)


def state_root(chunks: Mapping[int, bytes]) -> bytes:
    nodes = {number: chunk_leaf(chunk) for number, chunk in chunks.items()}
    for level in range(DEPTH):
        nodes = {
            parent: H(
                "state node",
                nodes.get(2 * parent, empty(level)) + nodes.get(2 * parent + 1, empty(level)),
            )
            for parent in {number // 2 for number in nodes}
        }
    return nodes.get(0, empty(DEPTH))


def state_root_of_proof(number: int, chunk: bytes | None, siblings: Sequence[bytes]) -> bytes:
    result = empty(0) if chunk is None else chunk_leaf(chunk)
    for level, sibling in enumerate(siblings):
        right = number >> level & 1
        result = H("state node", sibling + result if right else result + sibling)
    return result
