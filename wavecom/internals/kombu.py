"""kombu beyond its documentation: a reader of our own for a connection on the event loop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

from kombu.asynchronous import Hub
from kombu.transport.pyamqp import Transport

from wavecom.internals.fast_paths import Library, changed_signature


def replace_reader(hub: Any, sock: Any, read: Callable[[], None]) -> None:
    """Have the event loop call ``read`` when there is something to read, in place of kombu's own reader.

    To be called after kombu has registered its own, as Celery does when it connects.
    """
    hub.add_reader(sock, read)


def _check() -> Iterator[str]:
    yield from changed_signature(Hub, "add_reader", "fds", "callback")
    yield from changed_signature(Hub, "call_soon", "callback")
    # Reads whenever the socket that the loop was given has something, and nothing else does.
    yield from changed_signature(Transport, "register_with_event_loop", "connection", "loop")
    yield from changed_signature(Transport, "on_readable", "connection", "loop")
    yield from _check_replacing()


def _check_replacing() -> Iterator[str]:
    """Whether a second reader of a file takes the place of the first."""
    calls: list[str] = []
    hub = Hub()
    here, there = socket.socketpair()
    try:
        with here, there:
            hub.add_reader(here, calls.append, "first")
            hub.add_reader(here, calls.append, "second")
            readers: Any = hub.readers
            callback, arguments = readers[here.fileno()]
            callback(*arguments)
            hub.remove(here)
    finally:
        hub.close()
    if calls != ["second"]:
        yield "add_reader does not replace the reader of a file"


LIBRARY: Final = Library("kombu", lambda: list(_check()))
