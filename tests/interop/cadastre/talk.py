"""What people say to each other. docs/protocol.md, "Talk"."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

from .codec import U32, U64, Fields, Hash, Key, Nonce, Refused, decode, encode, require
from .crypto import H, SigningKey, verify
from .objects import Signed, Versioned, is_room_name

LINES_KEPT = 32
CHARACTERS_MAX = 280
BYTES_MAX = 840
WHITE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
NON_JOINER, JOINER, SELECTORS = "\u200c", "\u200d", "\ufe0e\ufe0f"
JOINING = NON_JOINER + JOINER + SELECTORS
HIDDEN = (
    (0x0000, 0x001F),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xE000, 0xF8FF),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFC),
    (0x1BCA0, 0x1BCA3),
    (0x1D159, 0x1D159),
    (0x1D173, 0x1D17A),
    (0x13430, 0x1345F),
    (0xE0000, 0xE0FFF),
    (0xF0000, 0x10FFFF),
)


def is_text(text: str) -> bool:
    if not 1 <= len(text) <= CHARACTERS_MAX or len(text.encode()) > BYTES_MAX:
        return False
    if text[0] in WHITE or text[-1] in WHITE or text[-1] in (NON_JOINER, JOINER):
        return False
    return all(map(shows, " " + text, text))


def shows(before: str, character: str) -> bool:
    if character in JOINING:
        joins_emoji = character == JOINER and before in SELECTORS
        return before not in WHITE and (before not in JOINING or joins_emoji)
    code = ord(character)
    return code & 0xFFFE != 0xFFFE and not any(first <= code <= last for first, last in HIDDEN)


@dataclass(frozen=True)
class LobbyPlace(Fields):
    service: Key
    room: str
    nonce: Nonce

    def check(self) -> None:
        require(is_room_name(self.room), "room name")


@dataclass(frozen=True)
class MatchPlace(Fields):
    match_id: Hash


Place = LobbyPlace | MatchPlace


def opening(place: Place) -> bytes:
    return H("talk place", encode(place, Place))


@dataclass(frozen=True)
class Seen(Fields):
    number: U64
    line: Hash


class Reaction(IntEnum):
    Applause = 0
    GoodGame = 1
    Thanks = 2
    Laugh = 3
    Surprise = 4
    Sorrow = 5
    Thinking = 6
    Hurry = 7


@dataclass(frozen=True)
class InWords(Fields):
    text: str

    def check(self) -> None:
        require(is_text(self.text), "text")


@dataclass(frozen=True)
class WithoutWords(Fields):
    reaction: Reaction


@dataclass(frozen=True)
class Talk(Versioned):
    BYTES_MAX: ClassVar[int] = 1024
    place: Place
    author: Key
    number: U32
    seen: Seen
    words: InWords | WithoutWords


@dataclass(frozen=True)
class Line(Fields):
    number: U64
    previous: Hash
    received: U64
    talk: Signed

    def name(self) -> bytes:
        numbers = self.number.to_bytes(8, "little") + self.received.to_bytes(8, "little")
        return H("talk line", self.previous + numbers + H("talk", self.talk.body) + self.talk.signature)


class LineError(Exception):
    """A line that is not the next one."""


@dataclass
class Conversation:
    place: Place
    seen: dict[int, bytes] = field(default_factory=dict)
    """Names of the lines, by number."""
    heard: list[tuple[Line, Talk]] = field(default_factory=list)
    last: int = 0

    def __post_init__(self) -> None:
        self.seen[0] = opening(self.place)

    def resume(self, lines: tuple[Line, ...]) -> None:
        """Takes the last lines in the place of what is known."""
        if lines and lines[0].number != 1:
            self.last = lines[0].number - 1
            self.seen = {self.last: lines[0].previous}
        for line in lines:
            self.append(line)

    def append(self, line: Line) -> Talk:
        if line.number != self.last + 1 or line.previous != self.seen[self.last]:
            raise LineError("NotNext")
        if self.heard and line.received < self.heard[-1][0].received:
            raise LineError("ClockBackwards")
        try:
            talk = decode(Talk, line.talk.body)
        except Refused:
            raise LineError("Talk.Malformed") from None
        if talk.place != self.place:
            raise LineError("Talk.WrongPlace")
        behind = self.last - talk.seen.number
        known = self.seen.get(talk.seen.number, talk.seen.line)
        if not 0 <= behind < LINES_KEPT or known != talk.seen.line:
            raise LineError("Talk.UnknownSeenLine")
        if talk.number <= self.number_of(talk.author):
            raise LineError("Talk.Repeated")
        if not verify(talk.author, "talk", H("talk", line.talk.body), line.talk.signature):
            raise LineError("Talk.BadSignature")
        self.last = line.number
        self.seen[line.number] = line.name()
        self.heard.append((line, talk))
        return talk

    def number_of(self, author: bytes) -> int:
        """The greatest one in the last lines."""
        numbers = [talk.number for _, talk in self.heard[-LINES_KEPT:] if talk.author == author]
        return max(numbers, default=0)

    def say(self, author: SigningKey, words: InWords | WithoutWords) -> Signed:
        number, seen = self.number_of(author.public) + 1, Seen(self.last, self.seen[self.last])
        body = encode(Talk(1, self.place, author.public, number, seen, words))
        return Signed(body, author.sign("talk", H("talk", body)))
