"""Records in one direction. docs/protocol.md, "Records"."""

from collections.abc import Iterator
from enum import Enum

from .crypto import H, open_sealed, seal

WHOLE, PART, KEY_UPDATE = 1, 2, 3
BLOCK = 64
PLAINTEXT_MAX = 8192
WHOLE_MAX = PLAINTEXT_MAX - 4
PART_MAX = WHOLE_MAX - 8
MESSAGE_MAX = 131_072
RECORD_MAX = 1 + PLAINTEXT_MAX + 16
KEY_UPDATE_BYTES = 1 + BLOCK + 16
EPOCH_RECORDS_MAX = 2**24
EPOCH_BYTES_MAX = 2**30


class RecordError(Exception):
    """The check that failed, in the words of the vectors. The session is over."""


class Padding(Enum):
    Submission = 1
    Block64 = 2

    def pad(self, size: int) -> int:
        """Bytes of a plaintext of `size` bytes with its padding."""
        if self is Padding.Block64:
            return -(-size // BLOCK) * BLOCK
        return max(512, 1 << (size - 1).bit_length())


class Key:
    """A traffic key, and which record of it is the next."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.epoch = 0
        self.sequence = 0
        self.bytes = 0

    def nonce(self) -> bytes:
        return u32(self.epoch) + self.sequence.to_bytes(8, "little")

    def room_for(self, record_bytes: int, records: int = 1) -> bool:
        return self.sequence + records <= EPOCH_RECORDS_MAX and self.bytes + record_bytes <= EPOCH_BYTES_MAX

    def count(self, record_bytes: int) -> None:
        self.sequence += 1
        self.bytes += record_bytes

    def update(self) -> None:
        self.key = H("rekey", self.key)
        self.epoch += 1
        self.sequence = 0
        self.bytes = 0


class Sealer:
    def __init__(self, key: bytes) -> None:
        self.key = Key(key)

    def seal(self, message: bytes, padding: Padding) -> Iterator[bytes]:
        if len(message) <= WHOLE_MAX:
            yield from self._record(WHOLE, message, padding)
            return
        for offset in range(0, len(message), PART_MAX):
            part = u32(len(message)) + u32(offset) + message[offset : offset + PART_MAX]
            yield from self._record(PART, part, padding)

    def key_update(self) -> bytes:
        record = self._sealed(KEY_UPDATE, b"", Padding.Block64)
        self.key.update()
        return record

    def _record(self, kind: int, content: bytes, padding: Padding) -> Iterator[bytes]:
        if not self.key.room_for(RECORD_MAX + KEY_UPDATE_BYTES, records=2):
            yield self.key_update()
        yield self._sealed(kind, content, padding)

    def _sealed(self, kind: int, content: bytes, padding: Padding) -> bytes:
        plaintext = u32(len(content)) + content
        plaintext += bytes(padding.pad(len(plaintext)) - len(plaintext))
        nonce = self.key.nonce()
        self.key.count(1 + len(plaintext) + 16)
        return bytes([kind]) + seal(self.key.key, nonce, bytes([kind]) + u32(len(plaintext) + 16), plaintext)


class Opener:
    def __init__(self, key: bytes, message_max: int = MESSAGE_MAX) -> None:
        self.key = Key(key)
        self.message_max = message_max
        self.total = 0
        self.parts = b""

    def open(self, record: bytes) -> bytes | None:
        """The message that this record completes. After a `RecordError` nothing more may be opened."""
        kind, content, size = self._content(record)
        if kind == WHOLE:
            require(self.total == 0, "Interleaved")
            require(len(content) <= self.message_max, "MessageLength")
            return content
        if kind == PART:
            return self._part(content)
        require(not content and size == BLOCK, "KeyUpdate")
        require(self.key.epoch < 2**32 - 1, "KeyUpdate")
        self.key.update()
        return None

    def _content(self, record: bytes) -> tuple[int, bytes, int]:
        require(len(record) > 0, "Length")
        kind, size = record[0], len(record) - 17
        require(kind in (WHOLE, PART, KEY_UPDATE), "Kind")
        require(BLOCK <= size <= PLAINTEXT_MAX and size % BLOCK == 0, "Length")
        require(self.key.room_for(len(record)), "EpochFull")
        associated = record[:1] + u32(len(record) - 1)
        plaintext = open_sealed(self.key.key, self.key.nonce(), associated, record[1:])
        if plaintext is None:
            raise RecordError("Unauthentic")
        self.key.count(len(record))
        length = int.from_bytes(plaintext[:4], "little")
        require(length <= size - 4, "ContentLength")
        require(size in (Padding.Submission.pad(4 + length), Padding.Block64.pad(4 + length)), "Padding")
        require(not any(plaintext[4 + length :]), "Padding")
        return kind, plaintext[4 : 4 + length], size

    def _part(self, content: bytes) -> bytes | None:
        require(len(content) >= 8, "Part")
        total, offset = int.from_bytes(content[:4], "little"), int.from_bytes(content[4:8], "little")
        require(total <= self.message_max, "MessageLength")
        require(total > WHOLE_MAX and total == (self.total or total), "Part")
        require(offset == len(self.parts) and len(content) - 8 == min(PART_MAX, total - offset), "Part")
        self.total = total
        self.parts += content[8:]
        if len(self.parts) < total:
            return None
        message, self.total, self.parts = self.parts, 0, b""
        return message


def u32(number: int) -> bytes:
    return number.to_bytes(4, "little")


def require(holds: bool, error: str) -> None:
    if not holds:
        raise RecordError(error)
