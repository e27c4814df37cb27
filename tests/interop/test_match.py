"""Whole matches against the real server, `$CADASTRE`."""

import itertools
import json
import os
import secrets
import subprocess
import tempfile
import threading
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from cadastre.access import PUBLIC
from cadastre.boxes import Boxes
from cadastre.chain import Chain
from cadastre.codec import decode
from cadastre.connection import Connection
from cadastre.crypto import SigningKey
from cadastre.evidence import Charge, Evidence, Outcome, Verdict, judge
from cadastre.evidence import Player as Charged
from cadastre.handshake import HandshakeError
from cadastre.messages import (
    BlockMessage,
    Create,
    Created,
    Refused,
    RoomSpec,
    ServerMessage,
)
from cadastre.objects import (
    Absence,
    AbsenceReason,
    Agreements,
    Bank,
    Block,
    ByRules,
    DoubleTransaction,
    DoubleTransactions,
    Forbidden,
    Forfeit,
    Pass,
    PerTurn,
    RandomnessMode,
    Reveal,
    Shrink,
    SkipPolicy,
    Takebacks,
    Transaction,
    TurnBody,
    TurnLimit,
    TurnMode,
    Visibility,
    exclude_each_other,
)
from cadastre.player import Gate, Hook, Match, Player, at_once, nothing
from cadastre.randomness import seed_without
from cadastre.talk import InWords

BOUND_S = 120


class Forgot(Exception):
    """A player's process that ended, with all that it knew."""


class Cheat(Player):
    """Signs two transactions for one turn."""

    def _act(self, connection: Connection, match: Match) -> None:
        super()._act(connection, match)
        if match.chain.head.height >= 6 and match.signed and not cheats(self.signed):
            session = self._session_key(match, match.epoch)
            self._sign(connection, match, session, TurnBody(b"another"))

    def _handle(self, connection: Connection, message: ServerMessage) -> None:
        if not isinstance(message, Refused):
            super()._handle(connection, message)


class Matches(unittest.TestCase):
    def setUp(self) -> None:
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.folder = Path(folder)
        # Ended after the server, since players without one give up.
        self.threads = self.enterContext(ThreadPoolExecutor())
        self.server = self.start(
            "--log", "warn", "serve", "--listen", "127.0.0.1:0", "--data", folder + "/data"
        )
        assert self.server.stdout is not None
        ready = json.loads(self.server.stdout.readline())
        self.authority, self.root_key = ready["listen"], bytes.fromhex(ready["root_key"])

    def test_two_players_against_each_other(self) -> None:
        self.open_room("alternating", 2, TurnMode.Alternating, PerTurn(), Pass(100))
        cutter, forgetful = self.player("alternating", first), self.player("alternating", last)
        cutter.says, forgetful.says = "good luck", "viel Glück 🍀"
        one = self.threads.submit(cutter.play, cut_every(7))
        other = self.threads.submit(play_and_forget, [forgetful, forgetful.again()], acts=forget_at(20))
        matches = [one.result(BOUND_S), other.result(BOUND_S)]
        self.assertGreater(cutter.connections, 5)
        self.assertEqual(matches[1].epoch, 1)
        self.check_match("alternating", matches)
        assert cutter.conversation is not None
        heard = {talk.author: talk.words for _, talk in cutter.conversation.heard}
        said = {player.identity.public: InWords(player.says) for player in (cutter, forgetful) if player.says}
        self.assertEqual(heard, said)

    def test_restarts_within_a_turn(self) -> None:
        """Two processes of a player end in one turn, and each has signed for it."""
        self.open_room("restarts", 2, TurnMode.Simultaneous, PerTurn(), Pass(100))
        waiting, restarted = self.player("restarts", first), self.player("restarts", last)
        processes = [restarted, restarted.again(), restarted.again()]
        acted_thrice = threading.Event()

        def wait(match: Match) -> bool:
            return match.chain.head.height != 10 or acted_thrice.wait(BOUND_S)

        def forget(_connection: Connection, match: Match, _message: ServerMessage) -> None:
            if match.chain.head.height == 10 and match.signed:
                raise Forgot

        def remain(_connection: Connection, match: Match, _message: ServerMessage) -> None:
            if match.chain.head.height == 10 and match.signed:
                acted_thrice.set()

        one = self.threads.submit(waiting.play, acts=wait)
        other = self.threads.submit(play_and_forget, processes, forget, at_last=remain)
        matches = [one.result(BOUND_S), other.result(BOUND_S)]
        self.check_match("restarts", matches)
        signed = [tx for process in processes for tx in process.signed]
        self.assertGreaterEqual(sum(tx.turn == 10 for _, tx in signed), 5)
        self.assertEqual(cheats(signed), [])

    def test_a_restart_after_a_commitment(self) -> None:
        """Another process cannot know of it, and delegates once in this turn, not in both halves."""
        modes = ("--mode", "simultaneous", "--visibility", "sealed", "--turns", "12")
        self.create("committed", *modes, "--deadline", "5000")
        waiting, restarted = self.player("committed", first), self.player("committed", last)
        again = restarted.again()
        acted_twice = threading.Event()

        def wait(match: Match) -> bool:
            return match.chain.head.height != 11 or acted_twice.wait(BOUND_S)

        def forget(_connection: Connection, match: Match, _message: ServerMessage) -> None:
            if match.chain.head.height == 11 and match.signed:
                raise Forgot

        def remain(_connection: Connection, match: Match, message: ServerMessage) -> None:
            if isinstance(message, Refused) or match.chain.head.height > 11:
                acted_twice.set()

        one = self.threads.submit(waiting.play, acts=wait)
        other = self.threads.submit(play_and_forget, [restarted, again], forget, at_last=remain)
        matches = [one.result(BOUND_S), other.result(BOUND_S)]
        self.assertEqual(matches[0].chain.head, matches[1].chain.head)
        self.assertEqual(matches[0].chain.sealed, TurnLimit())
        self.assertEqual(cheats(restarted.signed + again.signed), [])
        self.assertGreater(len(again.signed), 2)

    def test_sealed_moves_and_common_randomness(self) -> None:
        """One player ends between the halves of a turn, and another process shows what it had hidden."""
        self.create("sealed", "--visibility", "sealed", "--randomness", "commit-reveal", "--turns", "100")
        cutter, forgetful = self.player("sealed", first), self.player("sealed", last)
        again = forgetful.again()
        one = self.threads.submit(cutter.play, cut_every(7))
        other = self.threads.submit(play_and_forget, [forgetful, again], acts=forget_between_halves(20))
        matches = [one.result(BOUND_S), other.result(BOUND_S)]
        chain = self.check_match("sealed", matches)
        self.assertEqual(matches[1].epoch, 1)
        self.assertIsInstance(again.signed[1][1].body, Reveal)
        self.assertNotEqual(chain.seed, seed_without(chain.match_id))
        assert chain.server is not None
        self.assertEqual(chain.server.revealed, chain.head.turn + 1)
        self.assertEqual(cheats(forgetful.signed + again.signed), [])

    def test_a_process_that_does_not_have_the_hidden_commands_reveals_nothing(self) -> None:
        sealed = ("--visibility", "sealed", "--randomness", "commit-reveal", "--turns", "40")
        self.create("missing", *sealed, "--deadline", "2000")
        witness, forgetful = self.player("missing", first), self.player("missing", first)
        again = forgetful.again()
        again.choose = last
        absences: list[Absence] = []

        def note(_connection: Connection, _match: Match, message: ServerMessage) -> None:
            if isinstance(message, BlockMessage):
                absences.extend(decode(Block, message.block.block).absent)

        one = self.threads.submit(witness.play, note)
        other = self.threads.submit(play_and_forget, [forgetful, again], acts=forget_between_halves(10))
        matches = [one.result(BOUND_S), other.result(BOUND_S)]
        self.assertEqual(matches[0].chain.head, matches[1].chain.head)
        self.assertEqual(matches[0].chain.sealed, TurnLimit())
        self.assertIn(Absence(matches[1].seat, AbsenceReason.RevealMissing), absences)
        self.assertEqual(cheats(forgetful.signed + again.signed), [])
        self.check_audit("missing", matches[0].chain)

    def test_two_transactions_for_one_turn_end_the_match(self) -> None:
        self.create("double", "--double-transactions", "end-match")
        honest, cheat = self.player("double", first), self.player("double", last, Cheat)
        playing = [self.threads.submit(player.play) for player in (honest, cheat)]
        one, other = (match.result(BOUND_S) for match in playing)
        self.assertEqual(one.chain.head, other.chain.head)
        self.assertEqual(one.chain.sealed, DoubleTransaction(other.seat))
        [(tx, _)] = cheats(cheat.signed)
        file = self.get(f"/matches/{one.chain.match_id.hex()}/evidence/{other.seat}")
        charge = Charge(Charged(other.seat, cheat.identity.public), tx.turn, None, other.seat)
        self.assertEqual(judge(Evidence.parse(file), set()), Verdict(Outcome.Proven, charge))
        self.check_audit("double", one.chain)

    def test_open_moves(self) -> None:
        self.create("open", "--visibility", "open", "--mode", "simultaneous", "--seats", "3")
        watcher, cutter, forgetful = (self.player("open", choose) for choose in (first, last, first))
        processes = [forgetful, forgetful.again()]
        playing = [
            self.threads.submit(watcher.play, cut_every(11), after_all_others),
            self.threads.submit(cutter.play, cut_every(7)),
            self.threads.submit(play_and_forget, processes, acts=forget_at(20)),
        ]
        matches = [match.result(BOUND_S) for match in playing]
        self.check_match("open", matches)
        turns = matches[0].chain.head.turn
        self.assertGreaterEqual(matches[0].relays_kept, 2 * turns)
        self.assertGreater(len(processes[1].signed), turns // 2)
        self.assertEqual(cheats([tx for process in processes for tx in process.signed]), [])

    def test_a_fork(self) -> None:
        self.create("other", "--mode", "simultaneous", "--seats", "2")
        parent = self.play_both("other")
        parent_id = parent.chain.match_id.hex()
        self.run_to_the_end(
            *("room", "create", "--server", f"ws://{self.authority}", "--root-key", self.root_key.hex()),
            *("--fork", f"{parent_id}@9", "fork"),
        )
        fork = self.play_both("fork")
        goes_on_from = fork.chain.genesis.parent
        assert goes_on_from is not None
        self.assertEqual((goes_on_from.match_id.hex(), goes_on_from.turn), (parent_id, 9))
        self.assertLess(fork.chain.head.turn, parent.chain.head.turn)

    def play_both(self, room: str) -> Match:
        players = [self.player(room, first), self.player(room, last)]
        playing = [self.threads.submit(player.play, cut_every(7)) for player in players]
        matches = [match.result(BOUND_S) for match in playing]
        self.check_match(room, matches)
        return matches[0]

    def create(self, room: str, *arguments: str) -> None:
        self.run_to_the_end(
            *("room", "create", "--server", f"ws://{self.authority}", "--root-key", self.root_key.hex()),
            *("--rules", "boxes", "--size", "5", *arguments, room),
        )

    def test_two_players_beside_a_bot(self) -> None:
        self.open_room("simultaneous", 3, TurnMode.Simultaneous, Bank(600_000, 500), Shrink(100, 9, 1_000))
        players = [self.player("simultaneous", first), self.player("simultaneous", last)]
        bot = self.start(
            *("bot", "--server", f"ws://{self.authority}", "--root-key", self.root_key.hex()),
            *("--room", "simultaneous"),
        )
        playing = [self.threads.submit(player.play, cut_every(9)) for player in players]
        matches = [match.result(BOUND_S) for match in playing]
        self.assertEqual(bot.wait(BOUND_S), 0)
        self.assertGreater(sum(match.receipts_kept for match in matches), 0)
        self.check_match("simultaneous", matches)

    def test_another_root_key_is_refused(self) -> None:
        other = SigningKey(bytes([7] * 32)).public
        with self.assertRaisesRegex(HandshakeError, "^RootNotPinned$"):
            Connection(self.authority, other, SigningKey(secrets.token_bytes(32)))

    def open_room(
        self, room: str, seats: int, mode: TurnMode, clock: PerTurn | Bank, absence: Pass | Forfeit | Shrink
    ) -> None:
        with Connection(self.authority, self.root_key, SigningKey(secrets.token_bytes(32))) as connection:
            modes = (DoubleTransactions.KeepFirst, Visibility.Held, RandomnessMode.Nothing, Takebacks.Never)
            agreements = Agreements(600_000, True, SkipPolicy.Majority)
            times = (agreements, clock, absence, seats, PUBLIC, None, False, 20_000)
            spec = RoomSpec("boxes", 5, seats, mode, None, None, Forbidden(), *modes, *times)
            connection.send(Create(room, spec))
            self.assertEqual(connection.receive(), Created(room))

    def get(self, path: str) -> bytes:
        connection = HTTPConnection(self.authority, timeout=BOUND_S)
        self.addCleanup(connection.close)
        connection.request("GET", path)
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        return response.read()

    def player(self, room: str, choose: Callable[[Boxes], int], kind: type[Player] = Player) -> Player:
        identity = SigningKey(secrets.token_bytes(32))
        return kind(self.authority, self.root_key, identity, room, choose.__name__, choose)

    def check_match(self, room: str, matches: list[Match]) -> Chain:
        chain = matches[0].chain
        self.assertEqual({match.chain.head for match in matches}, {chain.head})
        self.assertEqual(chain.sealed, ByRules())
        self.assertEqual(chain.desynced, [])
        self.assertEqual(sum(matches[0].game.scores), 25)
        self.check_audit(room, chain)
        return chain

    def check_audit(self, room: str, chain: Chain) -> None:
        file = str(self.folder / f"{room}.cadr")
        self.run_to_the_end(
            *("export", "--server", f"ws://{self.authority}", "--root-key", self.root_key.hex()),
            *("--room", room, "--out", file),
        )
        report = self.run_to_the_end("audit", file, "--root-key", self.root_key.hex())
        found = {field: report[field] for field in ("audit", "complete", "pinned", "height", "head")}
        head = chain.head
        self.assertEqual(
            found,
            {
                "audit": "valid",
                "complete": True,
                "pinned": True,
                "height": head.height,
                "head": head.name.hex(),
            },
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        home = {**os.environ, "CADASTRE_HOME": str(self.folder)}
        command = [os.environ["CADASTRE"], "--json", *arguments]
        process = self.enterContext(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=home))
        self.addCleanup(process.kill)
        return process

    def run_to_the_end(self, *arguments: str) -> dict[str, Any]:
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=BOUND_S)
        self.assertEqual(process.returncode, 0, output)
        report: dict[str, Any] = json.loads(output.splitlines()[-1])
        return report


def first(game: Boxes) -> int:
    return game.free_edges()[0]


def last(game: Boxes) -> int:
    return game.free_edges()[-1]


def cut_every(blocks: int) -> Hook:
    """Cuts the connection after blocks of some heights; a transaction may just have been handed in."""

    def after_message(connection: Connection, match: Match, message: ServerMessage) -> None:
        if isinstance(message, BlockMessage) and match.chain.head.height % blocks == 0:
            connection.cut()

    return after_message


def forget_at(height: int) -> Gate:
    """Ends a process in a turn from this height on, before it has signed for it."""

    def acts(match: Match) -> bool:
        if match.chain.head.height >= height:
            raise Forgot
        return True

    return acts


def forget_between_halves(height: int) -> Gate:
    """Ends a process from this height on, when its commands are hidden in the chain."""

    def acts(match: Match) -> bool:
        chain = match.chain
        if chain.head.height >= height and chain.revealing and chain.lines[match.seat].commitment:
            raise Forgot
        return True

    return acts


def after_all_others(match: Match) -> bool:
    others = set(range(len(match.chain.lines))) - {match.seat}
    return match.relayed.acted == others


def play_and_forget(
    processes: list[Player], after_message: Hook = nothing, acts: Gate = at_once, at_last: Hook = nothing
) -> Match:
    """Plays with one process after the other, where the hooks end all but the last one."""
    *ending, surviving = processes
    for process in ending:
        try:
            process.play(after_message, acts)
        except Forgot:
            continue
        raise AssertionError("the process did not end")
    return surviving.play(at_last)


def cheats(signed: list[tuple[bytes, Transaction]]) -> list[tuple[Transaction, Transaction]]:
    """What is evidence against the player: two transactions under one session key that exclude each other."""
    pairs = itertools.combinations(signed, 2)
    return [(a, b) for (key, a), (other, b) in pairs if key == other and exclude_each_other(a, b)]
