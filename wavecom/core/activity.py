"""What a worker is delivering at this moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Activity:
    """What is being delivered right now, for the health check. Thread-safe: each touches only its own entry."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._since: dict[int, float | None] = {}

    @property
    def running(self) -> int:
        """How many deliveries are under way."""
        return len(self._since)

    def oldest_age(self, now: float) -> float:
        """Seconds that the longest one has been at it; those that wait for the store do not count."""
        return max([0.0, *(now - since for since in list(self._since.values()) if since is not None)])

    def enter(self) -> None:
        """This thread begins, or is at it again after a wait."""
        self._since[threading.get_ident()] = self._monotonic()

    @contextmanager
    def call(self, longest_seconds: float) -> Iterator[None]:
        """This thread calls somebody who may take so long: only what comes on top counts as its age."""
        self._since[threading.get_ident()] = self._monotonic() + longest_seconds
        try:
            yield
        finally:
            self.enter()

    def begin(self, call: object) -> None:
        """A call begins that no thread waits for; ``call`` is known by its identity."""
        self._since[-id(call)] = self._monotonic()

    def end(self, call: object) -> None:
        """The call that ``begin`` was given is over. One that is not known is passed over."""
        self._since.pop(-id(call), None)

    def wait_for_store(self) -> None:
        """This thread can do nothing until the store is back."""
        self._since[threading.get_ident()] = None

    def leave(self) -> None:
        """This thread delivers nothing any more. May be called twice."""
        self._since.pop(threading.get_ident(), None)
