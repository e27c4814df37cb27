"""Who may come into a room. docs/protocol.md, "Access"."""

import string
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from .codec import U8, U64, Fields, Hash, Key, Refused, Signature, decode, require
from .crypto import H, SigningKey, context, enrol, holds
from .objects import Signed


class EnterAs(IntEnum):
    Player = 0
    Spectator = 1
    Light = 2


@dataclass(frozen=True)
class OpenDoor(Fields):
    pass


@dataclass(frozen=True)
class ByInvitation(Fields):
    opener: Key


@dataclass(frozen=True)
class ByPassword(Fields):
    key: Key


Door = OpenDoor | ByInvitation | ByPassword


@dataclass(frozen=True)
class Access(Fields):
    door: OpenDoor | ByInvitation | ByPassword
    listed: bool


PUBLIC = Access(OpenDoor(), True)


@dataclass(frozen=True)
class Invitation(Fields):
    BYTES_MAX: ClassVar[int] = 128

    version: U8
    service: Key
    room: str
    guest: Key | None
    enter_as: EnterAs
    valid_to: U64

    def check(self) -> None:
        require(self.version == 1, "invitation version")
        require(is_room_name(self.room), "room name")


@dataclass(frozen=True)
class SignedInvitation(Signed):
    BYTES_MAX: ClassVar[int] = 200


@dataclass(frozen=True)
class ShownInvitation(Fields):
    invitation: SignedInvitation


@dataclass(frozen=True)
class ShownPassword(Fields):
    proof: Signature


@dataclass(frozen=True)
class ShownLoan(Fields):
    loan: Signed


Pass = ShownInvitation | ShownPassword | ShownLoan


@dataclass(frozen=True)
class Visit:
    service: bytes
    room: str
    identity: bytes
    enter_as: EnterAs
    now_ms: int
    session: Hash


def why_refused(door: Door, visit: Visit, shown: Pass | None) -> str | None:
    """The failure; `None` for whoever is let in."""
    match door, shown:
        case OpenDoor(), _:
            return None
        case ByInvitation(opener), _ if opener == visit.identity:
            return None
        case ByInvitation(opener), ShownInvitation(invitation):
            return "NotInvited" if wrong_with(invitation, opener, visit) else None
        case ByInvitation(), _:
            return "NotInvited"
        case ByPassword(key), ShownPassword(proof):
            proven = H("password proof", visit.session + visit.room.encode())
            knows = enrol(key) is None and holds(key, context("password proof"), proven, proof)
            return None if knows else "WrongPassword"
    return "WrongPassword"


def wrong_with(signed: SignedInvitation, opener: bytes, visit: Visit) -> str | None:
    try:
        invitation = decode(Invitation, signed.body)
    except Refused as refused:
        return f"Encoding.{refused.word}"
    digest = H("invitation", signed.body)
    if enrol(opener) is not None or not holds(opener, context("invitation"), digest, signed.signature):
        return "BadSignature"
    checks = (
        (invitation.service == visit.service, "OtherService"),
        (invitation.room == visit.room, "OtherRoom"),
        (invitation.guest in (None, visit.identity), "OtherGuest"),
        ((invitation.enter_as is EnterAs.Player) == (visit.enter_as is EnterAs.Player), "OtherRole"),
        (visit.now_ms < invitation.valid_to, "Expired"),
    )
    return next((error for is_right, error in checks if not is_right), None)


def password_key(password: str, service: bytes, room: str) -> SigningKey:
    salt = H("password salt", service + room.encode())
    argon2 = Argon2id(salt=salt, length=32, iterations=2, lanes=1, memory_cost=19_456)
    return SigningKey(argon2.derive(password.encode()))


def prove_password(key: SigningKey, session: bytes, room: str) -> ShownPassword:
    return ShownPassword(key.sign("password proof", H("password proof", session + room.encode())))


def is_room_name(name: str) -> bool:
    return 1 <= len(name) <= 32 and set(name) <= set(string.ascii_letters + string.digits + "-_.")
