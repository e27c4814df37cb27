"""Checkpoints and bundles of the transparency log. docs/protocol.md, "Transparency log"."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from .certificate import CertificateError, verify_certificate
from .codec import U64, Hash, Refused, decode, encode
from .crypto import enrol, holds_over
from .objects import Certificate, Revocations, Role, SignedCertificate, Versioned
from .trees import walk

NOTE_BYTES_MAX = 131_072
SIGNATURES_MAX = 64
ED25519, COSIGNATURE_V1 = 1, 4
BUNDLE_HEADING = "c2sp.org/tlog-proof@v1"


class LogError(Exception):
    """The first thing that does not hold."""


def require(holds: bool, what: str) -> None:
    if not holds:
        raise LogError(what)


# Keys and notes


@dataclass(frozen=True)
class NoteKey:
    name: str
    kind: int
    key: bytes

    @classmethod
    def parse(cls, text: str) -> "NoteKey":
        name, identifier, encoded = text.split("+", 2)
        data = unbase64(encoded)
        parsed = cls(name, data[0], data[1:])
        require(identifier == parsed.identifier.hex() and len(parsed.key) == 32, "key")
        return parsed

    @property
    def identifier(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.identifier.hex()}+{b64encode(bytes([self.kind]) + self.key).decode()}"

    def signed(self, text: bytes, signature: bytes) -> bool:
        """Whether what a line of this key holds is its signature, or cosignature."""
        if enrol(self.key) is not None:
            return False
        if self.kind == ED25519:
            return len(signature) == 64 and holds_over(self.key, text, signature)
        at = int.from_bytes(signature[:8], "big")
        message = f"cosignature/v1\ntime {at}\n".encode() + text
        return len(signature) == 72 and at > 0 and holds_over(self.key, message, signature[8:])


@dataclass(frozen=True)
class Note:
    text: bytes
    """With the line feed at its end."""
    signatures: tuple[tuple[str, bytes], ...]
    """Names, and what stands behind them."""

    @classmethod
    def parse(cls, data: bytes) -> "Note":
        require(len(data) <= NOTE_BYTES_MAX, "note")
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise LogError("note") from error
        text, separator, lines = data.rpartition(b"\n\n")
        require(separator != b"" and lines.endswith(b"\n"), "note")
        signatures = tuple(signature_line(line) for line in lines.decode()[:-1].split("\n"))
        require(len(signatures) <= SIGNATURES_MAX, "note")
        return cls(text + b"\n", signatures)

    def is_signed_by(self, key: NoteKey) -> bool:
        """All lines of this name and id must hold, and there must be one."""
        mine = [data[4:] for name, data in self.signatures if (name, data[:4]) == (key.name, key.identifier)]
        return bool(mine) and all(key.signed(self.text, signature) for signature in mine)


def signature_line(line: str) -> tuple[str, bytes]:
    dash, name, encoded = (line.split(" ") + ["", ""])[:3]
    require(dash == "—" and name != "" and line.count(" ") == 2, "note")
    data = unbase64(encoded)
    require(len(data) > 4, "note")
    return name, data


def unbase64(text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise LogError("base64") from error
    require(b64encode(data).decode() == text, "base64")
    return data


def number(text: str) -> int:
    require(text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < 2**63, "number")
    return int(text)


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes
    note: Note

    @classmethod
    def parse(cls, data: bytes) -> "Checkpoint":
        note = Note.parse(data)
        lines = note.text.decode()[:-1].split("\n")
        require(len(lines) >= 3 and all(lines), "checkpoint")
        root = unbase64(lines[2])
        require(len(root) == 32, "checkpoint")
        return cls(lines[0], number(lines[1]), root, note)

    def is_signed_by(self, log: bytes) -> bool:
        """Whether the log of this origin, with this key, has signed it."""
        return self.note.is_signed_by(NoteKey(self.origin, ED25519, log))

    def cosignatures(self, witnesses: Sequence[NoteKey]) -> int:
        return sum(self.note.is_signed_by(witness) for witness in witnesses)


# The tree


def leaf_of(entry: bytes) -> bytes:
    return sha256(b"\0" + entry).digest()


def node_of(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


@dataclass(frozen=True)
class LogEntry(Versioned):
    BYTES_MAX = 73
    match_id: Hash
    height: U64
    block: Hash


# Bundles


@dataclass(frozen=True)
class Bundle:
    entry: LogEntry
    certificate: SignedCertificate
    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint

    @classmethod
    def parse(cls, data: bytes) -> "Bundle":
        head, separator, checkpoint = data.partition(b"\n\n")
        lines = head.decode(errors="replace").split("\n")
        require(separator != b"" and len(lines) >= 3 and lines[0] == BUNDLE_HEADING, "bundle")
        require(lines[1].startswith("extra ") and lines[2].startswith("index "), "bundle")
        extra = unbase64(lines[1].removeprefix("extra "))
        hashes = tuple(unbase64(line) for line in lines[3:])
        require(all(len(hash_) == 32 for hash_ in hashes), "bundle")
        try:
            entry, certificate = decode(LogEntry, extra[:73]), decode(SignedCertificate, extra[73:])
        except Refused as error:
            raise LogError("bundle") from error
        index = number(lines[2].removeprefix("index "))
        return cls(entry, certificate, index, hashes, Checkpoint.parse(checkpoint))

    def is_included(self) -> bool:
        leaf = leaf_of(encode(self.entry))
        return walk(node_of, leaf, self.index, self.checkpoint.size, self.hashes) == self.checkpoint.root


def verify_bundle(
    bundle: Bundle,
    root_key: bytes,
    match_id: bytes,
    block_at: Callable[[int], tuple[bytes, int] | None],
    revocations: Revocations | None = None,
    witnesses: Sequence[NoteKey] = (),
    cosignatures_min: int = 0,
) -> None:
    """`block_at` knows name and server time of each block of the match."""
    block = block_at(bundle.entry.height)
    require(
        block is not None and (bundle.entry.match_id, bundle.entry.block) == (match_id, block[0]), "entry"
    )
    assert block is not None
    try:
        certificate = verify_certificate(bundle.certificate, root_key)
    except CertificateError as error:
        raise LogError("certificate") from error
    require(certificate.role is Role.Log and block[1] < certificate.valid_to, "certificate")
    require(bundle.checkpoint.is_signed_by(certificate.key), "signature")
    require(bundle.is_included(), "inclusion")
    require(revocations is None or not revocations.lists(certificate.serial), "revoked")
    require(bundle.checkpoint.cosignatures(witnesses) >= cosignatures_min, "cosignatures")


# Contradictions


def statement(data: bytes, log: Certificate) -> tuple[Checkpoint, Bundle | None]:
    """A signed checkpoint, or a bundle that holds."""
    bundle = Bundle.parse(data) if data.startswith(BUNDLE_HEADING.encode() + b"\n") else None
    checkpoint = bundle.checkpoint if bundle else Checkpoint.parse(data)
    require(checkpoint.is_signed_by(log.key), "signature")
    require(bundle is None or bundle.is_included(), "inclusion")
    return checkpoint, bundle


def contradict(first: bytes, second: bytes, log: Certificate) -> bool:
    (one, here), (other, there) = statement(first, log), statement(second, log)
    if one.origin != other.origin or (one.size == other.size and one.root != other.root):
        return True
    if here is None or there is None:
        return False
    head, rival = here.entry, there.entry
    of_one_height = (head.match_id, head.height) == (rival.match_id, rival.height)
    return (here.index == there.index and head != rival) or (of_one_height and head.block != rival.block)
