"""A small memory that forgets: by age, and the oldest first when it is full."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ExpiringCache(Generic[T]):
    """Values by text, each for ``seconds``, at most ``capacity`` of them. May be used by many threads."""

    def __init__(self, monotonic: Callable[[], float], *, seconds: float, capacity: int) -> None:
        self._monotonic = monotonic
        self._seconds = seconds
        self._capacity = capacity
        self._lock = threading.Lock()
        #: Oldest first: every entry lives equally long, so the first to go is the first that came.
        self._entries: dict[str, tuple[float, T]] = {}

    def get(self, name: str) -> T | None:
        """The value, or None when it was never put, is too old or had to make room."""
        entry = self._entries.get(name)
        if entry is None or entry[0] <= self._monotonic():
            return None
        return entry[1]

    def has(self, name: str) -> bool:
        """Whether there is a value for ``name``, too old or not."""
        return name in self._entries

    def put(self, name: str, value: T) -> None:
        """Remember ``value``; whoever is oldest makes room for it."""
        with self._lock:
            self._entries.pop(name, None)
            while len(self._entries) >= self._capacity:
                del self._entries[next(iter(self._entries))]
            self._entries[name] = (self._monotonic() + self._seconds, value)

    def forget(self, name: str) -> None:
        """Remember nothing of ``name``."""
        with self._lock:
            self._entries.pop(name, None)
