import unittest

from cadastre import codec
from cadastre.access import (
    ByInvitation,
    Door,
    EnterAs,
    Pass,
    ShownInvitation,
    Visit,
    password_key,
    prove_password,
    why_refused,
    wrong_with,
)
from vectors import load, unhex

ACCESS = load("access")


class Doors(unittest.TestCase):
    def test_passwords_come_to_keys_and_proofs(self) -> None:
        for vector in ACCESS["passwords"]:
            service, session = unhex([vector["service"], vector["session"]])
            key = password_key(vector["password"], service, vector["room"])
            self.assertEqual((key.seed.hex(), key.public.hex()), (vector["seed"], vector["key"]))
            self.assertEqual(prove_password(key, session, vector["room"]).proof.hex(), vector["proof"])

    def test_doors_let_in_whom_they_should(self) -> None:
        for vector in ACCESS["doors"]:
            data, passed = unhex([vector["door"], vector["pass"]])
            door = codec.decode_choice(Door, len(data), data)
            shown = codec.decode_choice(Pass | None, len(passed), passed)
            service, identity, session = unhex([vector["service"], vector["identity"], vector["session"]])
            enter_as = EnterAs[vector["enter_as"]]
            visit = Visit(service, vector["room"], identity, enter_as, vector["now_ms"], session)
            self.assertEqual(why_refused(door, visit, shown), vector["refused"], vector["name"])
            if vector["reason"] is not None:
                assert isinstance(door, ByInvitation) and isinstance(shown, ShownInvitation)
                self.assertEqual(wrong_with(shown.invitation, door.opener, visit), vector["reason"])
