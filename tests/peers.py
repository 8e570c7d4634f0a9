"""The other end of a wire, for tests: real sockets on 127.0.0.1 that do as a script says."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

#: Takes the connection on which a whole request has arrived; answers whether to go on with it.
Behaviour = Callable[["PeerConnection"], bool]

DRIP_SECONDS = 0.02


@dataclass(frozen=True)
class Received:
    """One request as it came in. ``connection`` counts from 1."""

    connection: int
    line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class PeerConnection:
    """One accepted connection."""

    socket: socket.socket
    number: int
    stopping: threading.Event
    buffer: bytearray = field(default_factory=bytearray)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self, data: bytes) -> None:
        """One byte at a time, until the other side has gone."""
        for byte in data:
            self.send(bytes([byte]))
            if self.stopping.wait(DRIP_SECONDS):
                return

    def receive(self, is_whole_request: bool) -> Received | None:
        """The next request, or only its beginning; None when the other side has closed."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        line, *header_lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in header_lines)}
        length = int(headers.get("content-length", "0"))
        while is_whole_request and len(rest) < length:
            if not self._more():
                return None
            rest = bytes(self.buffer).partition(b"\r\n\r\n")[2]
        self.buffer.clear()
        return Received(self.number, line, headers, rest[:length])

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)


class HttpPeer:
    """An HTTP server that behaves, request by request, as ``script`` says; the last behaviour goes on for ever.

    A context manager; ``requests`` holds what has come in, ``connections`` how many were accepted.
    """

    def __init__(
        self, *script: Behaviour, context: ssl.SSLContext | None = None, reads_whole_requests: bool = True
    ) -> None:
        self.script = list(script)
        self.requests: list[Received] = []
        self.connections = 0
        #: Set whenever a connection has been closed by this side or the other.
        self.closed_one = threading.Event()
        self._context = context
        self._reads_whole_requests = reads_whole_requests
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name="peer-acceptor")

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/send"

    def __enter__(self) -> HttpPeer:
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        with self._lock:
            for sock in self._open:
                _shut(sock)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(sock)
            thread = threading.Thread(target=self._serve, args=(sock, self.connections), name="peer")
            self._threads.append(thread)
            thread.start()

    def _serve(self, raw: socket.socket, number: int) -> None:
        sock = raw
        try:
            if self._context:
                sock = self._context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
                with self._lock:  # the raw one is empty now
                    self._open.remove(raw)
                    self._open.add(sock)
            self._converse(PeerConnection(sock, number, self._stopping))
        except OSError:
            pass  # the other side has gone, as it may
        finally:
            with self._lock:
                self._open.discard(sock)
                sock.close()
            self.closed_one.set()

    def _converse(self, connection: PeerConnection) -> None:
        goes_on = True
        while goes_on:
            received = connection.receive(self._reads_whole_requests)
            if received is None:
                return
            with self._lock:
                self.requests.append(received)
                behave = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            goes_on = behave(connection)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):  # it may be no longer connected
        sock.shutdown(socket.SHUT_RDWR)


# --- Behaviours ---------------------------------------------------------------------------------------------------


def reply(
    status: int = 200, body: bytes = b"", *, headers: Mapping[str, str] | None = None, goes_on: bool = True
) -> Behaviour:
    """A whole answer."""
    data = head(status, {"Content-Length": str(len(body)), **(headers or {})}) + body

    def behave(connection: PeerConnection) -> bool:
        connection.send(data)
        return goes_on

    return behave


def send(data: bytes) -> Behaviour:
    """These bytes, then the end of the connection."""

    def behave(connection: PeerConnection) -> bool:
        connection.send(data)
        return False

    return behave


def drip(data: bytes) -> Behaviour:
    """These bytes one at a time, then silence."""

    def behave(connection: PeerConnection) -> bool:
        connection.drip(data)
        return be_silent(connection)

    return behave


def be_silent(connection: PeerConnection) -> bool:
    """No answer until the other side gives up."""
    connection.receive(is_whole_request=True)
    return False


def hang_up(_connection: PeerConnection) -> bool:
    """Close without an answer."""
    return False


def reset(connection: PeerConnection) -> bool:
    """Break the connection with an RST."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Status line and headers."""
    lines = [f"HTTP/1.1 {status} Scripted", *[f"{name}: {headers[name]}" for name in headers]]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
