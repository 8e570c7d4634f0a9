"""Values that all open pages share: made at most every few seconds, however many people look."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Snapshots:
    """The newest value of each name. Thread-safe; one per process.

    Who comes while another makes a value gets the one before it, and waits only where there is none yet: whatever the
    servers do, a hundred open pages ask them once.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._values: dict[Hashable, tuple[float, Any]] = {}

    def get(self, name: Hashable, seconds: float, make: Callable[[], T]) -> T:
        """The value of ``name``, no older than ``seconds`` and the time it takes to make. Raises what ``make`` does.

        Names are few and known: nothing is ever forgotten.
        """
        found = self._values.get(name)
        if found is not None and self._monotonic() < found[0] + seconds:
            return cast("T", found[1])
        with self._lock:
            making = self._making.setdefault(name, threading.Lock())
        if found is None:
            making.acquire()
        elif not making.acquire(blocking=False):
            return cast("T", found[1])
        try:
            again = self._values.get(name)
            if again is not None and again is not found:
                return cast("T", again[1])
            value = make()
            self._values[name] = (self._monotonic(), value)
            return value
        finally:
            making.release()
