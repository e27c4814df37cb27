import unittest
from collections.abc import Callable
from dataclasses import replace

from cadastre.certificate import CertificateError, verify_revocations
from cadastre.codec import decode
from cadastre.crypto import SigningKey
from cadastre.log import Bundle, Checkpoint, LogError, NoteKey, leaf_of, verify_bundle
from cadastre.objects import Revocations, Revoked, SignedCertificate, SignedRevocations
from vectors import load

LOG = load("log")
LOG_KEY, WITNESS = NoteKey.parse(LOG["log_vkey"]), NoteKey.parse(LOG["witness_vkey"])
ROOT_KEY = SigningKey(bytes([17] * 32)).public
BUNDLE = Bundle.parse(LOG["bundle"].encode())
CERTIFICATE_ENDS_MS = 2000


def check(
    bundle: Bundle = BUNDLE,
    root_key: bytes = ROOT_KEY,
    match_id: bytes = BUNDLE.entry.match_id,
    name: bytes = BUNDLE.entry.block,
    at_ms: int = CERTIFICATE_ENDS_MS - 1,
    revoked: Revocations | None = None,
    cosignatures_min: int = 0,
) -> None:
    blocks = {BUNDLE.entry.height: (name, at_ms)}
    verify_bundle(bundle, root_key, match_id, blocks.get, revoked, [WITNESS], cosignatures_min)


class Log(unittest.TestCase):
    def test_keys(self) -> None:
        for key, seed, text in ((LOG_KEY, 1, LOG["log_vkey"]), (WITNESS, 2, LOG["witness_vkey"])):
            self.assertEqual(key.key, SigningKey(bytes([seed] * 32)).public)
            self.assertEqual(str(key), text)

    def test_checkpoint(self) -> None:
        checkpoint = Checkpoint.parse(LOG["checkpoint"].encode())
        found = (checkpoint.origin, checkpoint.size, checkpoint.root.hex())
        self.assertEqual(found, ("log.example", 20, LOG["root_of_20"]))
        self.assertTrue(checkpoint.is_signed_by(LOG_KEY.key))
        self.assertFalse(checkpoint.is_signed_by(WITNESS.key))
        self.assertEqual(checkpoint.cosignatures([WITNESS]), 1)
        self.assertEqual(checkpoint.cosignatures([replace(WITNESS, name="another.example")]), 0)
        bent = Checkpoint.parse(LOG["checkpoint"].replace("\n20\n", "\n21\n").encode())
        self.assertFalse(bent.is_signed_by(LOG_KEY.key))
        self.assertEqual(bent.cosignatures([WITNESS]), 0)

    def test_entry_and_inclusion(self) -> None:
        self.assertEqual(leaf_of(bytes.fromhex(LOG["entry"])).hex(), LOG["leaf"])
        self.assertEqual((BUNDLE.entry.height, BUNDLE.index), (7, 7))
        self.assertTrue(BUNDLE.is_included())
        for hashes in (BUNDLE.hashes[1:], (*BUNDLE.hashes, BUNDLE.hashes[0]), BUNDLE.hashes[::-1]):
            self.assertFalse(replace(BUNDLE, hashes=hashes).is_included())
        self.assertFalse(replace(BUNDLE, index=6).is_included())
        self.assertFalse(replace(BUNDLE, index=20).is_included())

    def test_bundle(self) -> None:
        check()
        cosigned = Checkpoint.parse(LOG["checkpoint"].encode())
        check(replace(BUNDLE, checkpoint=cosigned), cosignatures_min=1)
        certificate = decode(SignedCertificate, bytes.fromhex(LOG["certificate"]))
        self.assertEqual(BUNDLE.certificate, certificate)

    def test_bundles_that_do_not_hold(self) -> None:
        later = Revocations(1, 0, (Revoked(3, CERTIFICATE_ENDS_MS),))
        other = replace(BUNDLE, checkpoint=replace(BUNDLE.checkpoint, origin="another.example"))
        cases: list[tuple[str, Callable[[], None]]] = [
            ("entry", lambda: check(match_id=bytes(32))),
            ("entry", lambda: check(name=bytes(32))),
            ("certificate", lambda: check(root_key=LOG_KEY.key)),
            ("certificate", lambda: check(at_ms=CERTIFICATE_ENDS_MS)),
            ("signature", lambda: check(other)),
            ("inclusion", lambda: check(replace(BUNDLE, index=8))),
            ("revoked", lambda: check(revoked=later)),
            ("cosignatures", lambda: check(cosignatures_min=1)),
        ]
        for word, refused in cases:
            with self.subTest(word), self.assertRaisesRegex(LogError, f"^{word}$"):
                refused()


class RevocationVectors(unittest.TestCase):
    def test_lists(self) -> None:
        for vector in load("objects")["revocations"]:
            signed = decode(SignedRevocations, bytes.fromhex(vector["signed"]))
            key = bytes.fromhex(vector["signed_by"])
            revocations = verify_revocations(signed, key)
            self.assertEqual(signed.body.hex(), vector["body"])
            first = revocations.revoked[0]
            self.assertTrue(revocations.revokes(first.serial, first.since))
            with self.assertRaisesRegex(CertificateError, "^BadSignature$"):
                verify_revocations(signed, LOG_KEY.key)
