"""How long jobs rest that wait for one provider: each behind those that were turned away before it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

#: A wait that is longer ends by itself for all at once, such as a breaker's; a shorter one is one permit's.
_LONGEST_STEP_SECONDS = 5.0
#: Nobody rests longer for those before him: they may have expired, or have gone another way.
_LONGEST_SECONDS = 60.0


class WaitingLine:
    """The jobs that one provider's gate turned away, seen from this process. Thread-safe.

    Without it all that wait would ask again at once, each time with a claim and a write, for the few permits there are.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._length = 0
        self._refused_until = float("-inf")

    def join(self, retry_after_seconds: float) -> float:
        """A job was turned away for so long; when it should ask again (seconds)."""
        if retry_after_seconds > _LONGEST_STEP_SECONDS:
            # The gate tells of it to whoever asks, for as long as it lasts: people may end it at any time.
            return retry_after_seconds
        with self._lock:
            self._refused_until = max(self._refused_until, self._monotonic() + retry_after_seconds)
            self._length += 1
            seconds = retry_after_seconds * self._length
            if seconds > _LONGEST_SECONDS:
                self._length -= 1
                return _LONGEST_SECONDS
            return seconds

    def shorten(self) -> None:
        """A job has got its permit. Costs next to nothing where nobody waits."""
        if not self._length and self._refused_until == float("-inf"):
            return
        with self._lock:
            self._refused_until = float("-inf")
            if self._length:
                self._length -= 1

    def refused_seconds(self) -> float:
        """For how long whoever asks is turned away, by what the last one was told; 0: not known to be."""
        return max(0.0, self._refused_until - self._monotonic())
