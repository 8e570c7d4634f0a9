"""A log of errors in a provider's responses that is written once a minute, not once a message."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger()

#: An error that goes on is logged again after this.
REPEAT_SECONDS: Final = 60.0


class ThrottledErrorLog:
    """Logs each kind of error of one provider at once, then at most once in ``REPEAT_SECONDS``. Thread-safe."""

    def __init__(self, provider: str, monotonic: Callable[[], float]) -> None:
        self._provider = provider
        self._monotonic = monotonic
        self._lock = threading.Lock()
        #: Event and its kind → when it was last logged (monotonic), and how often it was met since.
        self._logged: dict[tuple[str, object], tuple[float, int]] = {}

    def report(self, event: str, kind: object, *, is_reported_elsewhere: bool = False, **fields: object) -> None:
        """Count one more response with the error ``kind`` (a status, or the name of an error) of ``event``.

        What ``is_reported_elsewhere``, once for all processes, is a warning here: it is to call nobody a second time.
        """
        now = self._monotonic()
        with self._lock:
            logged_at, count = self._logged.get((event, kind), (float("-inf"), 0))
            is_due = now - logged_at >= REPEAT_SECONDS
            self._logged[event, kind] = (now, 0) if is_due else (logged_at, count + 1)
        if is_due:
            level = log.warning if is_reported_elsewhere else log.error
            level(event, provider=self._provider, answers=count + 1, **fields)
