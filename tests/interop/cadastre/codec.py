"""The encoding of everything but handshake and records. docs/protocol.md, "Encoding".

A type is described once, by annotations: `encode` and `decode` read them. What they do not say, the rules of
a type, stands in its method `check`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from enum import IntEnum
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


class Refused(Exception):
    """Bytes that are no encoding of the type asked for."""

    word = ""


class TooLong(Refused):
    word = "TooLong"


class Malformed(Refused):
    word = "Malformed"


class Trailing(Refused):
    word = "Trailing"


class NotCanonical(Refused):
    word = "NotCanonical"


class Invalid(Refused):
    word = "Invalid"


@dataclass(frozen=True)
class Integer:
    size: int
    signed: bool = False
    greatest: int | None = None


@dataclass(frozen=True)
class Array:
    size: int


class Blob:
    pass


U8 = Annotated[int, Integer(1)]
U16 = Annotated[int, Integer(2)]
U32 = Annotated[int, Integer(4)]
U64 = Annotated[int, Integer(8)]
I64 = Annotated[int, Integer(8, signed=True)]
Seat = Annotated[int, Integer(1, greatest=7)]
Nonce = Annotated[bytes, Array(16)]
Hash = Annotated[bytes, Array(32)]
Key = Annotated[bytes, Array(32)]
Signature = Annotated[bytes, Array(64)]
Bytes = Annotated[bytes, Blob()]


@dataclass(frozen=True)
class Fields:
    """A type that is its fields, one after the other. Subclasses are frozen dataclasses."""

    def check(self) -> None:
        """Raises `Invalid` if a rule of the type is broken."""


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise Malformed("the bytes end before the value does")
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)


@dataclass(frozen=True)
class Codec:
    write: Callable[[Any], bytes]
    read: Callable[[Reader], Any]


def encode(value: Any, kind: Any = None) -> bytes:
    """`kind` is needed for what is not an instance of `Fields`: choices and lists."""
    layout: Any = type(value) if kind is None else kind
    return codec_of(layout).write(value)


def decode(kind: type[T], data: bytes) -> T:
    """Reads the one encoding of a value, or raises `Refused`."""
    if len(data) > getattr(kind, "BYTES_MAX", len(data)):
        raise TooLong(kind.__name__)
    return cast(T, _decode(kind, data))


def decode_choice(kind: Any, bytes_max: int, data: bytes) -> Any:
    """`decode` for a choice, which is no class of its own."""
    if len(data) > bytes_max:
        raise TooLong
    return _decode(kind, data)


def _decode(kind: Any, data: bytes) -> Any:
    codec, reader = codec_of(kind), Reader(data)
    value = codec.read(reader)
    if reader.at < len(data):
        raise Trailing
    if codec.write(value) != data:
        raise NotCanonical
    check(value)
    return value


def check(value: Any) -> None:
    """Applies the rules of a value's type, those of its parts first."""
    if isinstance(value, tuple):
        for item in value:
            check(item)
    elif is_dataclass(value):
        for field in fields(value):
            check(getattr(value, field.name))
        cast(Fields, value).check()


@cache
def codec_of(kind: Any) -> Codec:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return annotated(args[0], args[1])
    if origin in (Union, UnionType):
        if NoneType in args:
            return option(codec_of(Union[tuple(arg for arg in args if arg is not NoneType)]))
        return choice(args)
    if origin is tuple:
        return sequence(codec_of(args[0]))
    if kind is bool:
        return Codec(lambda value: bytes([value]), lambda reader: below(reader.integer(1), 2) == 1)
    if kind is str:
        return Codec(lambda value: blob(value.encode()), read_text)
    if issubclass(kind, IntEnum):
        return Codec(
            lambda value: integer(value, 4), lambda reader: kind(below(reader.integer(4), len(kind)))
        )
    if issubclass(kind, Fields):
        return record(kind)
    raise TypeError(kind)


def annotated(inner: Any, layout: Any) -> Codec:
    if isinstance(layout, Integer):
        return Codec(
            lambda value: integer(value, layout.size, layout.signed),
            lambda reader: at_most(reader.integer(layout.size, layout.signed), layout.greatest),
        )
    if isinstance(layout, Array):
        return Codec(lambda value: exactly(value, layout.size), lambda reader: reader.take(layout.size))
    if isinstance(layout, Blob):
        return Codec(blob, lambda reader: reader.take(reader.integer(8)))
    return codec_of(inner)


def option(inner: Codec) -> Codec:
    return Codec(
        lambda value: b"\0" if value is None else b"\1" + inner.write(value),
        lambda reader: inner.read(reader) if below(reader.integer(1), 2) else None,
    )


def sequence(inner: Codec) -> Codec:
    # Elements have at least one byte each: a length that the bytes do not have costs no memory.
    return Codec(
        lambda value: integer(len(value), 8) + b"".join(map(inner.write, value)),
        lambda reader: tuple(inner.read(reader) for _ in range(sensible(reader))),
    )


def sensible(reader: Reader) -> int:
    length = reader.integer(8)
    if length > len(reader.data) - reader.at:
        raise Malformed("a length that the bytes do not have")
    return length


def choice(variants: tuple[Any, ...]) -> Codec:
    """The tag of a variant is its place in the union."""
    codecs = [codec_of(variant) for variant in variants]
    return Codec(
        lambda value: integer(tag := variants.index(type(value)), 4) + codecs[tag].write(value),
        lambda reader: codecs[below(reader.integer(4), len(codecs))].read(reader),
    )


def record(kind: type[Fields]) -> Codec:
    hints = get_type_hints(kind, include_extras=True)
    parts = [(field.name, codec_of(hints[field.name])) for field in fields(kind)]
    return Codec(
        lambda value: b"".join(codec.write(getattr(value, name)) for name, codec in parts),
        lambda reader: kind(**{name: codec.read(reader) for name, codec in parts}),
    )


def integer(value: int, size: int, signed: bool = False) -> bytes:
    return value.to_bytes(size, "little", signed=signed)


def blob(value: bytes) -> bytes:
    return integer(len(value), 8) + value


def exactly(value: bytes, size: int) -> bytes:
    assert len(value) == size
    return value


def read_text(reader: Reader) -> str:
    try:
        return reader.take(reader.integer(8)).decode()
    except UnicodeDecodeError as error:
        raise Malformed("text that is not UTF-8") from error


def below(value: int, limit: int) -> int:
    if value >= limit:
        raise Malformed("an unknown tag, or a bool or option other than 0 and 1")
    return value


def at_most(value: int, greatest: int | None) -> int:
    if greatest is not None and value > greatest:
        raise Malformed("out of range")
    return value


def require(holds: bool, rule: str) -> None:
    if not holds:
        raise Invalid(rule)
