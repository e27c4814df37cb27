"""Certificates, the checks before and at each use, and their revocation. docs/protocol.md, "Certificate"."""

from .codec import Refused, decode
from .crypto import H, enrol, verify
from .objects import Certificate, Revocations, Role, SignedCertificate, SignedRevocations


class CertificateError(Exception):
    """Why a certificate is refused, in the words of the vectors."""


def verify_certificate(signed: SignedCertificate, root_key: bytes) -> Certificate:
    try:
        certificate = decode(Certificate, signed.body)
    except Refused as error:
        raise CertificateError(f"Malformed.{error.word}") from error
    if not verify(root_key, "certificate", H("certificate", signed.body), signed.signature):
        raise CertificateError("BadSignature")
    if error_of_key := enrol(certificate.key):
        raise CertificateError(f"Key.{error_of_key.name}")
    return certificate


def check_use(certificate: Certificate, role: Role, at_ms: int) -> None:
    if certificate.role is not role:
        raise CertificateError("WrongRole")
    if at_ms < certificate.valid_from:
        raise CertificateError("NotYetValid")
    if at_ms >= certificate.valid_to:
        raise CertificateError("Expired")


def verify_revocations(signed: SignedRevocations, root_key: bytes) -> Revocations:
    try:
        revocations = decode(Revocations, signed.body)
    except Refused as error:
        raise CertificateError(f"Malformed.{error.word}") from error
    if not verify(root_key, "revocations", H("revocations", signed.body), signed.signature):
        raise CertificateError("BadSignature")
    return revocations
