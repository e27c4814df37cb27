"""A connection that is logged in: WebSocket, handshake, records and messages. docs/protocol.md, "Handshake"
to "Messages"."""

import secrets
import time
from types import TracebackType
from typing import Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from .codec import Refused
from .crypto import SigningKey
from .handshake import PROTOCOL, Client
from .messages import (
    Accept,
    ClientMessage,
    Ping,
    ServerMessage,
    Submit,
    decode_server_message,
    encode_client_message,
)
from .record import RECORD_MAX, Opener, Padding, RecordError, Sealer

HANDSHAKE_S_MAX = 30
KEY_AGE_S_MAX = 3000


class ConnectionLost(Exception):
    """The connection is gone, or what came on it was not the server's. Another one may be tried."""


class Connection:
    """Logs in at once.

    Raises `HandshakeError` if the server does not prove to have the root key, else `ConnectionLost`.
    """

    def __init__(self, authority: str, root_key: bytes, identity: SigningKey) -> None:
        self.socket = open_socket(authority)
        try:
            session = self._handshake(Client(authority, root_key, identity, secrets.token_bytes(64)))
            accept = self._receive(HANDSHAKE_S_MAX)
            if not isinstance(accept, Accept) or accept.session != session:
                raise ConnectionLost("the first message is not the Accept of this session")
        except BaseException:
            self.socket.close(1008)
            raise
        self.heartbeat_s = accept.limits.heartbeat_ms / 1000

    def _handshake(self, client: Client) -> bytes:
        self._send(client.m1())
        m3, session = client.m3(self._message(HANDSHAKE_S_MAX), time.time_ns() // 1_000_000)
        self.sealer = Sealer(session.client_traffic_key)
        self.opener = Opener(session.server_traffic_key)
        self.key_made_s = time.monotonic()
        self._send(m3)
        return session.name

    def send(self, message: ClientMessage) -> None:
        if time.monotonic() - self.key_made_s > KEY_AGE_S_MAX:
            self._send(self.sealer.key_update())
            self.key_made_s = time.monotonic()
        padding = Padding.Submission if isinstance(message, Submit) else Padding.Block64
        for record in self.sealer.seal(encode_client_message(message), padding):
            self._send(record)

    def receive(self) -> ServerMessage:
        """The next message. Keeps the connection alive meanwhile."""
        for _ in range(3):
            try:
                return self._receive(self.heartbeat_s)
            except TimeoutError:
                self.send(Ping(0))
        raise ConnectionLost("nothing was heard of the server")

    def cut(self) -> None:
        """Closes the socket and says nothing."""
        self.socket.close_socket()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def _receive(self, timeout_s: float) -> ServerMessage:
        message = None
        try:
            while message is None:
                message = self.opener.open(self._message(timeout_s))
            return decode_server_message(message)
        except (RecordError, Refused) as error:
            self.socket.close(1008)
            raise ConnectionLost(repr(error)) from error

    def _message(self, timeout_s: float) -> bytes:
        try:
            message = self.socket.recv(timeout_s)
        except WebSocketException as error:
            raise ConnectionLost(str(error)) from error
        if isinstance(message, str):
            raise ConnectionLost("a text message")
        return message

    def _send(self, message: bytes) -> None:
        try:
            self.socket.send(message)
        except (WebSocketException, OSError) as error:
            raise ConnectionLost(str(error)) from error


def open_socket(authority: str) -> ClientConnection:
    try:
        socket = connect(
            f"ws://{authority}/ws",
            subprotocols=[Subprotocol(PROTOCOL)],
            compression=None,
            max_size=RECORD_MAX,
            ping_interval=None,
            proxy=None,
            legacy=True,
        )
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ConnectionLost(str(error)) from error
    assert isinstance(socket, ClientConnection)
    return socket
