"""What people should know of a provider's answers, told once a minute: not for each message that meets it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

#: A trouble that goes on is told again after this.
REPEAT_SECONDS: Final = 60.0


class TroubleLog:
    """Logs each trouble of one provider when it is first met, then at most once in ``REPEAT_SECONDS``. Thread-safe."""

    def __init__(self, provider: str, monotonic: Callable[[], float]) -> None:
        self._provider = provider
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: Event and its kind → when it was last told, and how often it was met since.
        self._told: dict[tuple[str, object], tuple[float, int]] = {}

    def note(self, event: str, kind: object, **fields: object) -> None:
        """One more answer met the trouble ``kind`` (few there are: statuses, names of errors) of ``event``."""
        now = self._monotonic()
        with self._lock:
            told_at, count = self._told.get((event, kind), (float("-inf"), 0))
            is_due = now - told_at >= REPEAT_SECONDS
            self._told[event, kind] = (now, 0) if is_due else (told_at, count + 1)
        if is_due:
            log.error(event, provider=self._provider, answers=count + 1, **fields)
