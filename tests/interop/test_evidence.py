import re
import unittest
from dataclasses import dataclass

from cadastre.codec import Refused
from cadastre.evidence import (
    AboutMatch,
    BlockSigner,
    Charge,
    Evidence,
    LogSigner,
    Outcome,
    Player,
    Verdict,
    judge,
)
from cadastre.objects import Revocations, Revoked, match_id_of
from vectors import ROOT

FOLDER = ROOT / "replay/tests/vectors/evidence"
SERVICE = bytes.fromhex("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
OUTCOMES = {
    "proven": Outcome.Proven,
    "not proven": Outcome.NotProven,
    "undecidable": Outcome.Undecidable,
}


@dataclass(frozen=True)
class Expected:
    name: str
    size: int
    kind: str
    match_id: str | None
    verdict: Verdict


def expected() -> list[Expected]:
    blocks = re.split(r"^(?=\S)", (FOLDER / "verdicts.txt").read_text(), flags=re.MULTILINE)[1:]
    return [parse(block.splitlines()) for block in blocks]


def parse(lines: list[str]) -> Expected:
    first = re.fullmatch(r"(\S+): (\d+) bytes, ([a-z-]+)(?:, match ([0-9a-f]{64}))?", lines[0])
    second = re.fullmatch(r"  (proven|not proven|undecidable): (.*)", lines[1])
    assert first and second
    charge = None
    if second[1] == "proven":
        third = re.match(r"  turn (\S+), height (\S+), seat (\S+): ", lines[2])
        assert third
        where = (None if value == "-" else int(value) for value in third.groups())
        charge = Charge(who(second[2]), *where)
    return Expected(first[1], int(first[2]), first[3], first[4], Verdict(OUTCOMES[second[1]], charge))


def who(text: str) -> Player | BlockSigner | LogSigner:
    if player := re.fullmatch(r"the player of seat (\d), identity ([0-9a-f]{64})", text):
        return Player(int(player[1]), bytes.fromhex(player[2]))
    server = re.fullmatch(r"the server, (block|log) signer (\d+)", text)
    assert server
    return BlockSigner(int(server[2])) if server[1] == "block" else LogSigner(int(server[2]))


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.cade").read_bytes()


def kind_of(evidence: Evidence) -> str:
    if not isinstance(evidence.about, AboutMatch):
        return "log-fork"
    return re.sub(r"(?<=.)(?=[A-Z])", "-", type(evidence.about.case).__name__).lower()


class EvidenceVectors(unittest.TestCase):
    def test_verdicts(self) -> None:
        names = {path.stem for path in FOLDER.glob("*.cade")}
        self.assertEqual({case.name for case in expected()}, names)
        for case in expected():
            with self.subTest(case.name):
                data = read(case.name)
                evidence = Evidence.parse(data)
                about = evidence.about
                match_id = match_id_of(about.genesis).hex() if isinstance(about, AboutMatch) else None
                found = (len(data), kind_of(evidence), match_id)
                self.assertEqual(found, (case.size, case.kind, case.match_id))
                verdict = judge(evidence, {SERVICE})
                self.assertEqual(Verdict(verdict.outcome, verdict.charge), case.verdict, verdict.reason)

    def test_a_service_that_nobody_trusts_is_not_charged(self) -> None:
        for case in expected():
            if case.verdict.charge is None:
                continue
            charges_player = isinstance(case.verdict.charge.who, Player)
            outcome = Outcome.Proven if charges_player else Outcome.Undecidable
            with self.subTest(case.name):
                self.assertIs(judge(Evidence.parse(read(case.name)), set()).outcome, outcome)

    def test_what_a_revoked_certificate_signed_is_undecidable(self) -> None:
        revoked = Revocations(1, 0, (Revoked(1, 0), Revoked(7, 2**64 - 1)))
        for case in expected():
            if case.verdict.charge is None or isinstance(case.verdict.charge.who, Player):
                continue
            with self.subTest(case.name):
                verdict = judge(Evidence.parse(read(case.name)), {SERVICE}, revoked)
                self.assertIs(verdict.outcome, Outcome.Undecidable)

    def test_no_bit_of_a_file_can_be_flipped(self) -> None:
        """Nobody can be charged with what he did not sign."""
        for case in expected():
            if case.verdict.charge is None:
                continue
            data = read(case.name)
            for place in range(0, len(data), 7):
                flipped = bytearray(data)
                flipped[place] ^= 1 << place % 8
                with self.subTest(case.name, byte=place):
                    self.assertFalse(charges(bytes(flipped), case.verdict))

    def test_files_cut_short_or_with_more_are_unreadable(self) -> None:
        for name in ("server-fork", "bad-state", "log-fork"):
            data = read(name)
            for bent in (data[:-1], data + b"\0", data[:12], data[:7], b"", b"\x09" + data[1:]):
                with self.subTest(name, size=len(bent)), self.assertRaises(Refused):
                    Evidence.parse(bent)


def charges(data: bytes, verdict: Verdict) -> bool:
    try:
        return judge(Evidence.parse(data), {SERVICE}).charge == verdict.charge
    except Refused:
        return False
