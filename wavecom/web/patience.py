"""Bodies that come slowly, or never: how many threads may wait for them.

A thread that reads a body waits for its client, and nothing can wake it. So that clients who stall can't hold every
thread, only some threads may wait at once, and fewer for any one client; the others go on serving. A proxy that
buffers bodies makes all of this idle (docs/operations.md).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wavecom.errors import OverloadedError

#: How long a reader waits for a slot. Bodies that have arrived are read in microseconds, or in as long as a busy
#: process lets its threads wait for their turn; under load nobody must be refused for that.
_PATIENCE_SECONDS = 1


class ReadingSlots:
    """Slots of the threads that read bodies, of ``threads`` in all: three quarters for everybody, half for one client.

    May be used by many threads.
    """

    def __init__(self, threads: int, *, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._most = max(1, threads * 3 // 4)
        self._most_each = max(1, threads // 2)
        self._patience_seconds = patience_seconds
        self._taken = 0
        self._taken_by: dict[str, int] = {}
        self._waiting = 0
        self._changed = threading.Condition(threading.Lock())

    def take(self, reader: str) -> None:
        """Take a slot for ``reader`` (a client, or "" for strangers). Raises ``OverloadedError`` if none gets free."""
        with self._changed:
            if not self._is_free(reader):
                self._wait(reader)
            self._taken += 1
            self._taken_by[reader] = self._taken_by.get(reader, 0) + 1

    def give(self, reader: str) -> None:
        """Give back what was taken."""
        with self._changed:
            self._taken -= 1
            left = self._taken_by[reader] - 1
            if left:
                self._taken_by[reader] = left
            else:
                del self._taken_by[reader]
            if self._waiting:
                self._changed.notify_all()

    @contextmanager
    def hold(self, reader: str) -> Iterator[None]:
        """``take``, and ``give`` at the end."""
        self.take(reader)
        try:
            yield
        finally:
            self.give(reader)

    def _wait(self, reader: str) -> None:
        self._waiting += 1
        try:
            if not self._changed.wait_for(lambda: self._is_free(reader), self._patience_seconds):
                raise OverloadedError("too many bodies that have not arrived")
        finally:
            self._waiting -= 1

    def _is_free(self, reader: str) -> bool:
        return self._taken < self._most and self._taken_by.get(reader, 0) < self._most_each


class SlottedInput:
    """``wsgi.input`` whose reads hold a slot; ``who`` tells for whom at that moment."""

    def __init__(self, stream: Any, slots: ReadingSlots, who: Callable[[], str]) -> None:
        self._stream = stream
        self._slots = slots
        self._who = who

    def read(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes; all of them when it is negative."""
        with self._slots.hold(self._who()):
            part: bytes = self._stream.read(size)
        return part

    def readline(self, size: int = -1) -> bytes:
        """One line, cut off at ``size`` bytes."""
        with self._slots.hold(self._who()):
            line: bytes = self._stream.readline(size)
        return line
