"""One alarm on the worker's timer, however often it is set."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """What calls later, on the main loop: ``kombu.asynchronous.timer.Timer``."""

    def call_after(self, secs: float, fun: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call ``fun(*args)`` in ``secs`` seconds."""
        ...


class Debouncer:
    """Rings once, at the earliest of the times it was set to, and is off then. Not thread-safe.

    What a timer was asked for stays in it. So a time that an earlier one has overtaken passes in silence: if it rang
    too, and whoever hears it sets the alarm again, each would go on for itself and there would be ever more of them.
    """

    def __init__(self, timer: Timer, ring: Callable[[], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._timer = timer
        self._ring = ring
        self._monotonic = monotonic
        self._at = float("inf")

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, unless it rings sooner."""
        at = self._monotonic() + seconds
        if at < self._at:
            self._at = at
            self._timer.call_after(seconds, self._pass, (at,))

    def turn_off(self) -> None:
        """Do not ring until it is set again."""
        self._at = float("inf")

    def _pass(self, at: float) -> None:
        if at == self._at:
            self._at = float("inf")
            self._ring()
