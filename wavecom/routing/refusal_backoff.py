"""How long jobs rest that one provider's gate has refused: each longer than those that were refused before it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

#: A wait that is longer ends by itself for all at once, such as a breaker's; a shorter one is one permit's.
_LONGEST_STEP_SECONDS = 5.0
#: Nobody rests longer for those before him: they may have expired, or have gone another way.
_LONGEST_SECONDS = 60.0


class RefusalBackoff:
    """The delays of jobs that one provider's gate has refused, as far as this process knows of them. Thread-safe.

    Without it all of them would ask again at once, each time with a claim and a write, for the few permits there are.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = Lock()
        self._length = 0
        self._refused_until = float("-inf")

    def add_refused(self, retry_after_seconds: float) -> float:
        """A job was refused for so long. Answers after how many seconds it should ask again."""
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

    def add_admitted(self) -> None:
        """A job has got its permit, so the others rest for less. Costs next to nothing where none was refused."""
        if not self._length and self._refused_until == float("-inf"):
            return
        with self._lock:
            self._refused_until = float("-inf")
            if self._length:
                self._length -= 1

    def refused_seconds(self) -> float:
        """For how many seconds whoever asks is refused, by what the last one was told; 0: not known to be."""
        return max(0.0, self._refused_until - self._monotonic())
