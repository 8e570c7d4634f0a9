"""The other end of a wire, for tests: real sockets on 127.0.0.1 that do as a script says."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from wavecom.local.ports import free_ports

#: Takes the connection on which a whole request has arrived; answers whether to go on with it.
Behaviour = Callable[["PeerConnection"], bool]
#: What an SMTP server does at one step.
Reply = bytes | Behaviour

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
    is_reading_mail: bool = False

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

    def receive_until(self, end: bytes) -> bytes | None:
        """What comes before ``end``; None when the other side has closed."""
        while end not in self.buffer:
            if not self._more():
                return None
        found, _, rest = bytes(self.buffer).partition(end)
        self.buffer[:] = rest
        return found

    def receive_all(self) -> None:
        """Until the other side has closed."""
        while self._more():
            pass

    def _more(self) -> bool:
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)


class Peer:
    """A server on a free port of 127.0.0.1, one thread a connection. A context manager; leaves nothing behind."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        #: Set whenever a connection has been closed by this side or the other.
        self.closed_one = threading.Event()
        self._context = context
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._acceptor = threading.Thread(target=self._accept, name="peer-acceptor")

    def converse(self, connection: PeerConnection) -> None:
        """What one connection does until it is closed."""
        raise NotImplementedError

    def __enter__(self) -> Self:
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
            except OSError as error:
                if error.errno == errno.EMFILE and not self._stopping.wait(0.01):
                    continue  # a test has taken all descriptors of this process
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
            self.converse(PeerConnection(sock, number, self._stopping))
        except OSError:
            pass  # the other side has gone, as it may
        finally:
            with self._lock:
                self._open.discard(sock)
                sock.close()
            self.closed_one.set()


class HttpPeer(Peer):
    """An HTTP server that behaves, request by request, as ``script`` says; the last behaviour goes on for ever.

    ``requests`` holds what has come in.
    """

    def __init__(
        self, *script: Behaviour, context: ssl.SSLContext | None = None, reads_whole_requests: bool = True
    ) -> None:
        super().__init__(context=context)
        self.script = list(script)
        self.requests: list[Received] = []
        self._reads_whole_requests = reads_whole_requests

    @property
    def url(self) -> str:
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}/send"

    def converse(self, connection: PeerConnection) -> None:
        goes_on = True
        while goes_on:
            received = connection.receive(self._reads_whole_requests)
            if received is None:
                return
            with self._lock:
                self.requests.append(received)
                behave = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            goes_on = behave(connection)


class SmtpPeer(Peer):
    """A mail server that does as ``script`` says and else answers well.

    The script's keys are commands, ``greeting`` and ``content`` (the mail itself); a value is a reply, a behaviour, or
    a list of them, of which the last goes on for ever. ``mails`` holds what was accepted.
    """

    WELL: Mapping[str, bytes] = {
        "greeting": b"220 peer.test",
        "EHLO": b"250-peer.test\r\n250-SIZE 20000000\r\n250 SMTPUTF8",
        "HELO": b"250 peer.test",
        "MAIL": b"250 2.1.0 Ok",
        "RCPT": b"250 2.1.5 Ok",
        "DATA": b"354 Go on",
        "content": b"250 2.0.0 Ok: queued as 4711",
        "RSET": b"250 2.0.0 Ok",
        "QUIT": b"221 2.0.0 Bye",
    }

    def __init__(self, **script: Reply | list[Reply]) -> None:
        super().__init__()
        self.script = {key: list(value) if isinstance(value, list) else [value] for key, value in script.items()}
        self.commands: list[str] = []
        self.mails: list[bytes] = []

    def converse(self, connection: PeerConnection) -> None:
        goes_on = self._do("greeting", connection)
        while goes_on and (line := connection.receive_until(b"\r\n")) is not None:
            verb, _, rest = line.decode().partition(" ")
            verb = verb.upper()
            with self._lock:
                self.commands.append(f"{verb} {rest}".strip())
            goes_on = self._do(verb, connection)
            if goes_on and connection.is_reading_mail:
                connection.is_reading_mail = False
                content = connection.receive_until(b"\r\n.\r\n")
                goes_on = content is not None and self._do("content", connection, content)

    def _do(self, step: str, connection: PeerConnection, content: bytes = b"") -> bool:
        with self._lock:
            scripted = self.script.get(step)
            reply = scripted.pop(0) if scripted and len(scripted) > 1 else scripted[0] if scripted else self.WELL[step]
        if callable(reply):
            return reply(connection)
        if step == "content" and reply.startswith(b"2"):
            with self._lock:
                self.mails.append(content.replace(b"\r\n..", b"\r\n.") + b"\r\n")
        connection.is_reading_mail = reply.startswith(b"354")
        connection.send(reply + b"\r\n")
        return step != "QUIT"


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


def begin(status: int, headers: Mapping[str, str], body: bytes = b"") -> Behaviour:
    """Status, headers and the beginning of a body, then silence until the other side gives up."""

    return pause_after(head(status, headers) + body)


def pause_after(data: bytes) -> Behaviour:
    """These bytes, then silence until the other side gives up."""

    def behave(connection: PeerConnection) -> bool:
        connection.send(data)
        return be_silent(connection)

    return behave


def be_silent(connection: PeerConnection) -> bool:
    """No answer until the other side gives up."""
    connection.receive_all()
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
    """A port on which nobody listens, nor will before a test that was given it."""
    [port] = free_ports(1)
    return port
