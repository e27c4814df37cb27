"""Both ends of the handshake. docs/protocol.md, "Handshake"."""

import hmac
from dataclasses import dataclass

from .certificate import CertificateError, check_use, verify_certificate
from .crypto import H, SigningKey, enrol, mac, open_sealed, seal, verify, x25519, x25519_public
from .objects import Role, SignedCertificate

PROTOCOL = "cadastre.v1"
VERSION = 1
SUITE = 1
M1_BYTES = 256
M2_BYTES = 333
M2_CLEAR_BYTES = 66
M3_BYTES = 144
CERTIFICATE_BYTES = 57
NONCE = bytes(12)


class HandshakeError(Exception):
    """The check that failed, in the words of the vectors. The other end learns nothing of it."""


@dataclass(frozen=True)
class Session:
    """What both ends have once M3 is made or accepted."""

    name: bytes
    client_traffic_key: bytes
    server_traffic_key: bytes
    identity: bytes


class Transcript:
    def __init__(self, authority: str) -> None:
        self.th = bytes(32)
        self.history: list[bytes] = []
        self.absorb(PROTOCOL.encode())
        self.absorb(authority.encode())

    def absorb(self, item: bytes) -> bytes:
        """Each item has the next label."""
        label = bytes([len(self.history)])
        self.th = H("transcript", self.th + label + len(item).to_bytes(4, "little") + item)
        self.history.append(self.th)
        return self.th


class Keys:
    def __init__(self, shared_secret: bytes, th3: bytes) -> None:
        self.server_handshake = H("server handshake key", shared_secret + th3)
        self.client_handshake = H("client handshake key", shared_secret + th3)
        self.server_finished = H("server finished key", shared_secret + th3)
        self.client_finished = H("client finished key", shared_secret + th3)


class Client:
    """Call `m1` and `m3` in turn. `random` is the secret of `e_c` and then `r_c`."""

    def __init__(self, authority: str, root_key: bytes, identity: SigningKey, random: bytes) -> None:
        require(enrol(root_key) is None, "RootNotPinned")
        self.transcript = Transcript(authority)
        self.root_key = root_key
        self.identity = identity
        self.secret, self.nonce = random[:32], random[32:]
        self.public = x25519_public(self.secret)

    def m1(self) -> bytes:
        m1 = offer(VERSION) + offer(SUITE) + self.public + self.nonce
        m1 += bytes(M1_BYTES - len(m1))
        self.transcript.absorb(m1)
        return m1

    def m3(self, m2: bytes, now_ms: int) -> tuple[bytes, Session]:
        require(len(m2) == M2_BYTES, "Length")
        require(m2[0] == VERSION and m2[1] == SUITE, "NotOffered")
        shared_secret = agree(self.secret, self.public, m2[2:34])
        th3 = self.transcript.absorb(m2[:M2_CLEAR_BYTES])
        keys = Keys(shared_secret, th3)
        plaintext = open_sealed(keys.server_handshake, NONCE, th3, m2[M2_CLEAR_BYTES:])
        if plaintext is None:
            raise HandshakeError("Unauthentic")
        self._check_server(plaintext, keys, now_ms)
        return self._answer(shared_secret, keys)

    def _check_server(self, plaintext: bytes, keys: Keys, now_ms: int) -> None:
        root_key, length, rest = plaintext[:32], plaintext[32:34], plaintext[34:]
        body, certificate_signature = rest[:57], rest[57:121]
        signature, server_mac = rest[121:185], rest[185:]
        require(int.from_bytes(length, "little") == CERTIFICATE_BYTES, "CertificateLength")
        require(root_key == self.root_key, "RootNotPinned")
        try:
            certificate = verify_certificate(SignedCertificate(body, certificate_signature), root_key)
            check_use(certificate, Role.Handshake, now_ms)
        except CertificateError as error:
            raise HandshakeError(f"Certificate.{error}") from error
        th4 = self.transcript.absorb(root_key + body + certificate_signature)
        require(verify(certificate.key, "server auth", th4, signature), "BadSignature")
        th5 = self.transcript.absorb(signature)
        require(hmac.compare_digest(mac(keys.server_finished, th5), server_mac), "BadMac")
        self.transcript.absorb(server_mac)

    def _answer(self, shared_secret: bytes, keys: Keys) -> tuple[bytes, Session]:
        th6 = self.transcript.th
        th7 = self.transcript.absorb(self.identity.public)
        signature = self.identity.sign("client auth", th7)
        th8 = self.transcript.absorb(signature)
        client_mac = mac(keys.client_finished, th8)
        th9 = self.transcript.absorb(client_mac)
        m3 = seal(keys.client_handshake, NONCE, th6, self.identity.public + signature + client_mac)
        return m3, session(shared_secret, th9, self.identity.public)


class Server:
    """Call `m2` and `accept` in turn. `random` is the secret of `e_s` and then `r_s`."""

    def __init__(
        self, authority: str, root_key: bytes, certificate: SignedCertificate, key: SigningKey, random: bytes
    ) -> None:
        self.transcript = Transcript(authority)
        self.root_key = root_key
        self.certificate = certificate
        self.key = key
        self.secret, self.nonce = random[:32], random[32:]
        self.public = x25519_public(self.secret)

    def m2(self, m1: bytes) -> bytes:
        require(len(m1) == M1_BYTES, "Length")
        versions, suites = read_offer(m1[:5]), read_offer(m1[5:10])
        require(not any(m1[74:]), "Offer")
        require(VERSION in versions, "NoCommonVersion")
        require(SUITE in suites, "NoCommonSuite")
        self.shared_secret = agree(self.secret, self.public, m1[10:42])
        self.transcript.absorb(m1)
        clear = bytes([VERSION, SUITE]) + self.public + self.nonce
        th3 = self.transcript.absorb(clear)
        self.keys = Keys(self.shared_secret, th3)
        th4 = self.transcript.absorb(self.root_key + self.certificate.body + self.certificate.signature)
        signature = self.key.sign("server auth", th4)
        th5 = self.transcript.absorb(signature)
        server_mac = mac(self.keys.server_finished, th5)
        self.transcript.absorb(server_mac)
        length = CERTIFICATE_BYTES.to_bytes(2, "little")
        plaintext = self.root_key + length + self.certificate.body + self.certificate.signature
        return clear + seal(self.keys.server_handshake, NONCE, th3, plaintext + signature + server_mac)

    def accept(self, m3: bytes) -> Session:
        require(len(m3) == M3_BYTES, "Length")
        plaintext = open_sealed(self.keys.client_handshake, NONCE, self.transcript.th, m3)
        if plaintext is None:
            raise HandshakeError("Unauthentic")
        identity, signature, client_mac = plaintext[:32], plaintext[32:96], plaintext[96:]
        if error := enrol(identity):
            raise HandshakeError(f"Identity.{error.name}")
        th7 = self.transcript.absorb(identity)
        require(verify(identity, "client auth", th7, signature), "BadSignature")
        th8 = self.transcript.absorb(signature)
        require(hmac.compare_digest(mac(self.keys.client_finished, th8), client_mac), "BadMac")
        return session(self.shared_secret, self.transcript.absorb(client_mac), identity)


def agree(secret: bytes, own_public: bytes, other_public: bytes) -> bytes:
    require(own_public != other_public, "Reflected")
    shared_secret = x25519(secret, other_public)
    if shared_secret is None:
        raise HandshakeError("SmallOrder")
    return shared_secret


def session(shared_secret: bytes, th9: bytes, identity: bytes) -> Session:
    master = H("master", shared_secret + th9)
    return Session(H("exporter", master), H("client traffic", master), H("server traffic", master), identity)


def offer(number: int) -> bytes:
    return bytes([1, number, 0, 0, 0])


def read_offer(field: bytes) -> list[int]:
    count, places = field[0], field[1:]
    require(1 <= count <= 4, "Offer")
    offered = list(places[:count])
    require(offered[0] >= 1 and all(a < b for a, b in zip(offered, offered[1:])), "Offer")
    require(not any(places[count:]), "Offer")
    return offered


def require(holds: bool, error: str) -> None:
    if not holds:
        raise HandshakeError(error)
