"""Hashes, signatures and ciphers. docs/protocol.md, "Primitives", "Hashes and contexts" and "Signatures".

The equation of Ed25519 is OpenSSL's, which has no cofactor in it and refuses an `s` that is not reduced. What
it does not do, it is asked to do here: keys are enrolled, and `R` must not be of small order.
"""

from enum import Enum
from functools import cache

from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def context(name: str) -> str:
    return f"cadastre v1 2026-11 {name}"


def H(name: str, data: bytes) -> bytes:
    return blake3(data, derive_key_context=context(name)).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return blake3(data, key=key).digest()


def seal(key: bytes, nonce: bytes, associated: bytes, plaintext: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce, plaintext, associated)


def open_sealed(key: bytes, nonce: bytes, associated: bytes, ciphertext: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, associated)
    except InvalidTag:
        return None


def x25519_public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def x25519(secret: bytes, public: bytes) -> bytes | None:
    """`None` where the result is all zero."""
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return None


class SigningKey:
    def __init__(self, seed: bytes) -> None:
        self.seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, name: str, digest: bytes) -> bytes:
        return self._key.sign(signed_message(context(name), digest))


def session_key(seed: bytes, match_id: bytes, epoch: int) -> SigningKey:
    """The session key that comes from a seed, for one match and epoch."""
    return SigningKey(H("session seed", seed + match_id + epoch.to_bytes(4, "little")))


def verify(key: bytes, name: str, digest: bytes, signature: bytes) -> bool:
    """Whether the signature holds. A key that cannot be enrolled has no signatures."""
    return enrol(key) is None and holds(key, context(name), digest, signature)


def holds(key: bytes, whole_context: str, digest: bytes, signature: bytes) -> bool:
    return holds_over(key, signed_message(whole_context, digest), signature)


def holds_over(key: bytes, message: bytes, signature: bytes) -> bool:
    if signature[:32] in SMALL_ORDER:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def signed_message(whole_context: str, digest: bytes) -> bytes:
    return b" " * 64 + whole_context.encode() + b"\0" + digest


class EnrolmentError(Enum):
    """Why a public key is refused."""

    NotAPoint = 1
    NotCanonical = 2
    SmallOrder = 3
    MixedOrder = 4


@cache
def enrol(key: bytes) -> EnrolmentError | None:
    """`None` for a key under which signatures can be verified."""
    point = decompress(key)
    if point is None:
        return EnrolmentError.NotAPoint
    if compress(point) != key:
        return EnrolmentError.NotCanonical
    if multiply(8, point) == NEUTRAL:
        return EnrolmentError.SmallOrder
    if multiply(ORDER, point) != NEUTRAL:
        return EnrolmentError.MixedOrder
    return None


# The curve of RFC 8032, in affine coordinates. Slow, and used for public values only.

Point = tuple[int, int]

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)
NEUTRAL: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    product = D * a[0] * b[0] * a[1] * b[1] % PRIME
    x = (a[0] * b[1] + b[0] * a[1]) * pow(1 + product, -1, PRIME) % PRIME
    y = (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, PRIME) % PRIME
    return x, y


def multiply(scalar: int, point: Point) -> Point:
    result = NEUTRAL
    for bit in bin(scalar)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def decompress(encoded: bytes) -> Point | None:
    """The point of an encoding, which need not be the point's own."""
    number = int.from_bytes(encoded, "little")
    y, sign = number % 2**255 % PRIME, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * ROOT_OF_MINUS_ONE % PRIME
    if x * x % PRIME != square:
        return None
    return (PRIME - x) % PRIME if x % 2 != sign else x, y


def compress(point: Point) -> bytes:
    return (point[1] | (point[0] % 2) << 255).to_bytes(32, "little")


def small_order() -> set[bytes]:
    """The encodings of the eight points of small order: multiples of one of order eight."""
    eighth = decompress(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"))
    assert eighth is not None and multiply(4, eighth) != NEUTRAL == multiply(8, eighth)
    return {compress(multiply(n, eighth)) for n in range(8)}


SMALL_ORDER = small_order()
