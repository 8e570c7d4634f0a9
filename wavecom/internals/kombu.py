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


class TlsOptions(dict[str, Any]):
    """Options for ``ssl`` of a kombu connection with several hosts, each of whose certificates must have its own name.

    Where ``server_hostname`` is None kombu writes the name of the host it is about to connect to, and keeps it for the
    next host, whose certificate it then refuses. Here it is None whenever kombu asks.
    """

    def __getitem__(self, name: str) -> Any:
        return None if name == "server_hostname" else super().__getitem__(name)


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
