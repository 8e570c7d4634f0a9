"""Many requests for a later call made one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """The event loop's timer: ``kombu.asynchronous.timer.Timer``."""

    def call_after(self, secs: float, fun: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call ``fun(*args)`` in ``secs`` seconds."""
        ...


class Debouncer:
    """Runs a callback once, after the shortest of the delays asked for since it last ran. Not thread-safe.

    Timer entries can't be taken back, so one that an earlier one has overtaken does nothing when it comes: if it ran
    the callback too, and that asked for the next delay, the entries would grow in number without end.
    """

    def __init__(
        self, timer: Timer, callback: Callable[[], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._timer = timer
        self._callback = callback
        self._monotonic = monotonic
        self._due_at = float("inf")

    def schedule(self, seconds: float) -> None:
        """Run the callback in ``seconds``, unless it is scheduled earlier already."""
        at = self._monotonic() + seconds
        if at < self._due_at:
            self._due_at = at
            self._timer.call_after(seconds, self._fire, (at,))

    def cancel(self) -> None:
        """Do not run it before ``schedule`` is called again."""
        self._due_at = float("inf")

    def _fire(self, at: float) -> None:
        if at == self._due_at:
            self._due_at = float("inf")
            self._callback()
