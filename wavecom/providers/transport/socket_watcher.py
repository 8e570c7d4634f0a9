"""One epoll for the sockets of all calls: whose each is, and what epoll was told to wait for."""

from __future__ import annotations

import contextlib
import select
from typing import Final, Generic, TypeVar

Owner = TypeVar("Owner")

#: An answer, or the end of the connection.
READABLE: Final = select.EPOLLIN
WRITABLE: Final = select.EPOLLOUT


class SocketWatcher(Generic[Owner]):
    """Descriptors and their owners, for one thread.

    libcurl closes sockets without saying so, and the system gives their numbers to others: what is known of a number
    holds for as long as its owner is the same. epoll itself forgets closed ones.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._owners: dict[int, Owner] = {}
        self._events: dict[int, int] = {}

    def poll(self, timeout_seconds: float) -> list[tuple[int, int]]:
        """The descriptors at which something happened, and what; -1 waits for ever."""
        return self._epoll.poll(timeout_seconds)

    def owner(self, descriptor: int) -> Owner | None:
        """Who has it watched."""
        return self._owners.get(descriptor)

    def watch(self, descriptor: int, events: int, owner: Owner) -> None:
        """Wait for these events from now on. Raises ``OSError`` when the system can't: it may have been closed."""
        known = self._events.get(descriptor, 0) if self._owners.get(descriptor) is owner else 0
        if known == events:
            return
        (self._epoll.modify if known else self._epoll.register)(descriptor, events)
        self._owners[descriptor] = owner
        self._events[descriptor] = events

    def expect_new(self, descriptor: int) -> None:
        """The number has just been given to a new socket: whatever was known of it is over."""
        self._owners.pop(descriptor, None)
        self._events.pop(descriptor, None)

    def forget(self, descriptor: int, owner: Owner | None) -> None:
        """Wait for nothing any more, unless the number is another owner's by now."""
        if self._owners.get(descriptor) is owner:
            self.expect_new(descriptor)
            with contextlib.suppress(OSError):  # closed by now
                self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Close the epoll. May be called once."""
        self._epoll.close()
