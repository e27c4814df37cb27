"""Whole matches against the real server, `$CADASTRE`."""

import json
import os
import secrets
import subprocess
import tempfile
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cadastre.boxes import Boxes
from cadastre.chain import Chain
from cadastre.connection import Connection
from cadastre.crypto import SigningKey
from cadastre.handshake import HandshakeError
from cadastre.messages import Create, Created, RoomSpec
from cadastre.objects import DoubleTransactions, RandomnessMode, SealReason, TurnMode, Visibility
from cadastre.player import Match, Player

BOUND_S = 120


class Forgot(Exception):
    """A player's process that ended, with all that it knew."""


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
        self.open_room("alternating", seats=2, mode=TurnMode.Alternating)
        cutter, forgetful = self.player("alternating", first), self.player("alternating", last)
        one = self.threads.submit(cutter.play, cut_every(7))
        other = self.threads.submit(play_and_forget, forgetful, 20)
        matches = [one.result(BOUND_S), other.result(BOUND_S)]
        self.assertGreater(cutter.connections, 5)
        self.assertEqual(matches[1].epoch, 1)
        self.check_match("alternating", matches)

    def test_two_players_beside_a_bot(self) -> None:
        self.open_room("simultaneous", seats=3, mode=TurnMode.Simultaneous)
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

    def open_room(self, room: str, seats: int, mode: TurnMode) -> None:
        with Connection(self.authority, self.root_key, SigningKey(secrets.token_bytes(32))) as connection:
            modes = (DoubleTransactions.KeepFirst, Visibility.Held, RandomnessMode.Nothing)
            connection.send(Create(room, RoomSpec("boxes", 5, seats, mode, None, None, False, *modes)))
            self.assertEqual(connection.receive(), Created(room))

    def player(self, room: str, choose: Callable[[Boxes], int]) -> Player:
        identity = SigningKey(secrets.token_bytes(32))
        return Player(self.authority, self.root_key, identity, room, choose.__name__, choose)

    def check_match(self, room: str, matches: list[Match]) -> None:
        chain = matches[0].chain
        self.assertEqual({match.chain.head for match in matches}, {chain.head})
        self.assertIs(chain.sealed, SealReason.Rules)
        self.assertEqual(chain.desynced, [])
        self.assertEqual(sum(matches[0].game.scores), 25)
        self.check_audit(room, chain)

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


def cut_every(blocks: int) -> Callable[[Connection, Match], None]:
    """Cuts the connection after blocks of some heights; a transaction may just have been handed in."""

    def after_block(connection: Connection, match: Match) -> None:
        if match.chain.head.height % blocks == 0:
            connection.cut()

    return after_block


def play_and_forget(player: Player, height: int) -> Match:
    """Plays with one process up to a height, and then with another that has the identity and nothing else."""

    def end(_connection: Connection, match: Match) -> None:
        if match.chain.head.height >= height and not match.signed:
            raise Forgot

    try:
        player.play(end)
    except Forgot:
        pass
    again = Player(
        player.authority, player.root_key, player.identity, player.room, player.name, player.choose
    )
    return again.play()
