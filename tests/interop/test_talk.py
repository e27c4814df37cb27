"""What people say to each other, over the vectors."""

import copy
import unittest

from cadastre import codec
from cadastre.crypto import H, SigningKey
from cadastre.talk import WHITE, Conversation, Line, LineError, Place, Talk, is_text, opening
from vectors import load

VECTORS = load("talk")
KEYS = load("objects")["keys"]


def place(data: str) -> Place:
    value: Place = codec.decode_choice(Place, 1024, bytes.fromhex(data))
    return value


def line(data: str) -> Line:
    return codec.decode(Line, bytes.fromhex(data))


class Talks(unittest.TestCase):
    def conversation(self) -> Conversation:
        conversation = Conversation(place(VECTORS["place"]))
        for vector in VECTORS["lines"]:
            conversation.append(line(vector["line"]))
            self.assertEqual(line(vector["line"]).name().hex(), vector["hash"])
        return conversation

    def test_places(self) -> None:
        for vector in VECTORS["places"]:
            self.assertEqual(opening(place(vector["place"])).hex(), vector["opening"])

    def test_what_is_signed(self) -> None:
        author = SigningKey(bytes.fromhex(KEYS["identity of seat 1"]["seed"]))
        for vector in VECTORS["signed"]:
            body = bytes.fromhex(vector["body"])
            talk = codec.decode(Talk, body)
            self.assertEqual(codec.encode(talk), body, vector["name"])
            self.assertEqual(H("talk", body).hex(), vector["hash"])
            self.assertEqual(talk.author, author.public)
            self.assertEqual(author.sign("talk", H("talk", body)).hex(), vector["signature"])

    def test_texts(self) -> None:
        for vector in VECTORS["texts"]:
            text = bytes.fromhex(vector["text"]).decode().strip(WHITE)
            self.assertEqual(is_text(text), vector["error"] is None, vector)

    def test_whoever_comes_late_goes_on(self) -> None:
        whole = self.conversation()
        late = Conversation(whole.place)
        late.resume(tuple(heard for heard, _ in whole.heard[-32:]))
        self.assertEqual((late.last, late.seen[late.last]), (whole.last, whole.seen[whole.last]))

    def test_what_is_no_next_line(self) -> None:
        whole = self.conversation()
        for vector in VECTORS["refused"]:
            with self.subTest(vector["name"]), self.assertRaises(LineError) as refused:
                copy.deepcopy(whole).append(line(vector["line"]))
            self.assertEqual(str(refused.exception), vector["error"], vector["name"])


if __name__ == "__main__":
    unittest.main()
