"""Work that is done every so many seconds, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Periodic:
    """Calls ``work`` every ``seconds`` from ``start`` to ``close``. An error is logged and costs that one call."""

    def __init__(self, work: Callable[[], None], *, seconds: float, name: str) -> None:
        self._work = work
        self._seconds = seconds
        self._name = name
        self._closing = threading.Event()

    def start(self) -> Periodic:
        """Begin; the first call comes after ``seconds``."""
        threading.Thread(target=self._run, name=self._name, daemon=True).start()
        return self

    def close(self) -> None:
        """No further call begins. May be called twice."""
        self._closing.set()

    def _run(self) -> None:
        while not self._closing.wait(self._seconds):
            try:
                self._work()
            except Exception:
                # The thread's border: without it the work would never be done again.
                log.exception("periodic_work_failed", work=self._name)
