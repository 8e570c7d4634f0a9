"""Sockets that keep a total deadline.

A socket's own timeout begins anew with every byte, so a peer that sends one byte at a time holds a call for ever, and
a name look-up has no timeout at all. Here every step gets only what is left of one deadline.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, Final

from wavecom.core.exhaustion import is_exhaustion

Resolve = Callable[..., list[Any]]

#: Look-ups under way at once in this process. One that hangs ends when the system's resolver gives up.
_LOOKUPS: Final = threading.BoundedSemaphore(32)


class Deadline:
    """A point in time by which something must be over."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, more than 0. Raises ``TimeoutError`` when there are none."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time was up")
        return left

    def left(self) -> float:
        """Seconds left; 0 when there are none. For reading: what has arrived by the deadline may be read after it."""
        return max(0.0, self._ends_at - time.monotonic())

    def at_most(self, seconds: float) -> Deadline:
        """This deadline, or one ``seconds`` from now if that is sooner."""
        return Deadline(min(seconds, self.remaining()))


class DeadlineSocket(socket.socket):
    """A connected socket, each use of which raises ``TimeoutError`` once ``deadline`` has passed.

    Only reading what is there already doesn't: a thread that came too late to run must not lose its answer.
    """

    deadline: Deadline
    #: The other side has said that nothing more will come.
    has_ended = False

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.left())
        with suppress(BlockingIOError):
            count = super().recv_into(*args, **kwargs)
            self.has_ended = count == 0
            return count
        raise TimeoutError("the time was up")

    def sendall(self, *args: Any, **kwargs: Any) -> None:
        self.settimeout(self.deadline.remaining())
        super().sendall(*args, **kwargs)


class DeadlineTlsSocket(ssl.SSLSocket):
    """The same over TLS, from a context made by ``tls_context``. ``deadline`` is to be set after the handshake; a
    use of the socket after it raises ``TimeoutError``.
    """

    deadline: Deadline
    has_ended = False

    def read(self, *args: Any, **kwargs: Any) -> Any:
        self.settimeout(self.deadline.left())
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            read = super().read(*args, **kwargs)
            self.has_ended = not read  # no bytes, or none into the buffer that was given
            return read
        raise TimeoutError("the time was up")

    def send(self, *args: Any, **kwargs: Any) -> int:
        self.settimeout(self.deadline.remaining())
        return super().send(*args, **kwargs)


def tls_context(ca_file: str) -> ssl.SSLContext:
    """TLS 1.2 or later, the peer's certificate and name checked against the authorities in ``ca_file`` (PEM)."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = DeadlineTlsSocket
    return context


def secure(sock: DeadlineSocket, context: ssl.SSLContext, host: str) -> DeadlineTlsSocket:
    """Do the TLS handshake on a connected socket, within its deadline."""
    sock.settimeout(sock.deadline.remaining())  # the whole handshake's, not each byte's
    secured = context.wrap_socket(sock, server_hostname=host)
    assert isinstance(secured, DeadlineTlsSocket)  # noqa: S101 - what the context was made for
    secured.deadline = sock.deadline
    return secured


def connect(host: str, port: int, deadline: Deadline, resolve: Resolve = socket.getaddrinfo) -> DeadlineSocket:
    """Connect to one of the host's addresses after another. Raises OSError (gaierror, TimeoutError, …)."""
    addresses = look_up(host, port, deadline, resolve)
    for index, (family, type_, protocol, _, address) in enumerate(addresses):
        sock: DeadlineSocket | None = None
        try:
            sock = DeadlineSocket(family, type_, protocol)
            sock.deadline = deadline
            sock.settimeout(deadline.remaining() / (len(addresses) - index))  # leave time for the addresses to come
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(deadline.remaining())  # for a TLS handshake, which takes it as its deadline
        except OSError as error:
            if sock is not None:
                sock.close()
            # A kind of address that this machine doesn't have is no reason not to try the others.
            if index == len(addresses) - 1 or is_exhaustion(error):
                raise
        else:
            return sock
    raise socket.gaierror(socket.EAI_NONAME, "the name has no address")


def look_up(
    host: str,
    port: int,
    deadline: Deadline,
    resolve: Resolve = socket.getaddrinfo,
    places: threading.BoundedSemaphore = _LOOKUPS,
) -> list[Any]:
    """``socket.getaddrinfo`` that ends in time: in a thread, which is left behind if it hangs. It has one of ``places``
    until it ends.

    Raises ``TimeoutError`` when ``deadline`` has passed, and ``OSError`` as the other does.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, not an address
    if not places.acquire(timeout=deadline.remaining()):
        raise TimeoutError("too many name look-ups are under way")
    results: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def run() -> None:
        try:
            results.put(resolve(host, port, type=socket.SOCK_STREAM))
        except OSError as error:
            results.put(error)
        except UnicodeError:  # a label that is no name
            results.put(socket.gaierror(socket.EAI_NONAME, "not a host name"))
        finally:
            places.release()

    try:
        threading.Thread(target=run, name="name-look-up", daemon=True).start()
    except BaseException:
        places.release()  # the system has no more threads: the places must not be used up by those that never ran
        raise
    try:
        result = results.get(timeout=deadline.remaining())
    except Empty:
        raise TimeoutError("the name look-up took too long") from None
    if isinstance(result, OSError):
        raise result
    return result
