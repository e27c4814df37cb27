import unittest
from typing import Any

from cadastre.certificate import CertificateError, check_use, verify_certificate
from cadastre.crypto import SigningKey
from cadastre.handshake import Client, HandshakeError, Server, Session
from cadastre.objects import Role, SignedCertificate
from cadastre.record import Opener, Padding, RecordError, Sealer
from vectors import load

HANDSHAKE = load("handshake")


def field(name: str) -> bytes:
    return bytes.fromhex(HANDSHAKE[name])


def client() -> Client:
    identity = SigningKey(field("identity_seed"))
    return Client(HANDSHAKE["authority"], field("root_key"), identity, field("client_random"))


def server() -> Server:
    certificate = SignedCertificate(field("certificate_body"), field("certificate_signature"))
    key = SigningKey(field("server_seed"))
    return Server(HANDSHAKE["authority"], field("root_key"), certificate, key, field("server_random"))


class Handshake(unittest.TestCase):
    def test_whole_handshake(self) -> None:
        here, there = client(), server()
        m1 = here.m1()
        self.assertEqual(m1, field("m1"))
        m2 = there.m2(m1)
        self.assertEqual(m2, field("m2"))
        m3, ours = here.m3(m2, HANDSHAKE["now_ms"])
        self.assertEqual(m3, field("m3"))
        self.assertEqual(there.accept(m3), ours)
        for end in (here, there):
            self.assertEqual([th.hex() for th in end.transcript.history], HANDSHAKE["transcript"])
        self.check_session(ours)

    def check_session(self, session: Session) -> None:
        self.assertEqual(session.name, field("session"))
        self.assertEqual(session.client_traffic_key, field("client_traffic_key"))
        self.assertEqual(session.server_traffic_key, field("server_traffic_key"))
        to_client, to_server = Sealer(session.server_traffic_key), Sealer(session.client_traffic_key)
        welcome = list(to_client.seal(b"welcome", Padding.Block64))
        self.assertEqual(welcome, [field("first_record_to_client")])
        submission = list(to_server.seal(b"submission", Padding.Submission))
        self.assertEqual(submission, [field("first_record_to_server")])
        self.assertEqual(to_server.key_update(), field("key_update_to_server"))
        and_on = list(to_server.seal(b"and on", Padding.Block64))
        self.assertEqual(and_on, [field("record_to_server_after_key_update")])

    def test_refused(self) -> None:
        for vector in HANDSHAKE["refused"]:
            with self.subTest(vector["name"]), self.assertRaises(HandshakeError) as refused:
                self.feed(vector["message"], bytes.fromhex(vector["bytes"]))
            self.assertEqual(str(refused.exception), vector["error"], vector["name"])

    def feed(self, message: str, data: bytes) -> None:
        here, there = client(), server()
        match message:
            case "m1":
                there.m2(data)
            case "m2":
                here.m1()
                here.m3(data, HANDSHAKE["now_ms"])
            case "m3":
                there.m2(here.m1())
                there.accept(data)

    def test_another_root_key_is_refused(self) -> None:
        other = SigningKey(bytes([7] * 32)).public
        identity = SigningKey(field("identity_seed"))
        here = Client(HANDSHAKE["authority"], other, identity, field("client_random"))
        here.m1()
        with self.assertRaisesRegex(HandshakeError, "^RootNotPinned$"):
            here.m3(field("m2"), HANDSHAKE["now_ms"])

    def test_another_authority_is_refused(self) -> None:
        identity = SigningKey(field("identity_seed"))
        here = Client("elsewhere.example.org:7777", field("root_key"), identity, field("client_random"))
        with self.assertRaisesRegex(HandshakeError, "^Unauthentic$"):
            m2 = server().m2(here.m1())
            here.m3(m2, HANDSHAKE["now_ms"])


class Certificates(unittest.TestCase):
    def test_certificates(self) -> None:
        vectors = load("certificate")
        for vector in vectors["certificates"]:
            self.assertEqual(
                error_of(vector, bytes.fromhex(vectors["root_key"])), vector["error"], vector["name"]
            )


def error_of(vector: dict[str, Any], root_key: bytes) -> str | None:
    signed = SignedCertificate(bytes.fromhex(vector["body"]), bytes.fromhex(vector["signature"]))
    try:
        check_use(verify_certificate(signed, root_key), Role[vector["used_as"]], vector["at_ms"])
    except CertificateError as error:
        return str(error)
    return None


class Records(unittest.TestCase):
    def setUp(self) -> None:
        self.vectors = load("record")
        self.key = bytes.fromhex(self.vectors["key"])

    def test_sealed(self) -> None:
        sealer, opener = Sealer(self.key), Opener(self.key)
        for vector in self.vectors["sealed"]:
            expected = [bytes.fromhex(record) for record in vector["records"]]
            if vector["message_bytes"] is None:
                self.assertEqual([sealer.key_update()], expected)
                self.assertIsNone(opener.open(expected[0]))
                continue
            message = bytes(i % 251 for i in range(vector["message_bytes"]))
            self.assertEqual(list(sealer.seal(message, Padding[vector["padding"]])), expected)
            opened = [opener.open(record) for record in expected]
            self.assertEqual(opened, [None] * (len(expected) - 1) + [message])

    def test_refused(self) -> None:
        for vector in self.vectors["refused"]:
            opener = Opener(self.key)
            match vector["after"]:
                case "FirstPart":
                    opener.open(bytes.fromhex(self.vectors["first_part"]))
                case "KeyUpdate":
                    opener.open(bytes.fromhex(self.vectors["key_update"]))
            with self.assertRaises(RecordError, msg=vector["name"]) as refused:
                opener.open(bytes.fromhex(vector["record"]))
            self.assertEqual(str(refused.exception), vector["error"], vector["name"])

    def test_an_epoch_has_an_end(self) -> None:
        sealer = Sealer(self.key)
        sealer.key.bytes = 2**30 - 8209 - 81
        self.assertEqual(len(list(sealer.seal(b"", Padding.Block64))), 1)
        self.assertEqual(len(list(sealer.seal(b"", Padding.Block64))), 2)
        self.assertEqual((sealer.key.epoch, sealer.key.sequence), (1, 1))
