"""Values of a metric's label that others make up, such as a gateway's error codes: bounded."""

from __future__ import annotations

import threading
from typing import Final

OTHER: Final = "other"


class LabelValues:
    """Passes the first ``limit`` different values through, and calls all further ones ``other``. Thread-safe.

    Each value is a series that every scrape carries from then on, so nobody outside may make as many as he likes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: set[str] = set()
        self._lock = threading.Lock()

    def of(self, value: str) -> str:
        """The value to use for the label."""
        with self._lock:
            if value in self._known:
                return value
            if len(self._known) >= self._limit:
                return OTHER
            self._known.add(value)
            return value
