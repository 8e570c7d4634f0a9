"""Slows down the guessing of keys and passwords at the login page."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable


class LoginBrake:
    """At most ``limit`` failed logins from one address, and ``total_limit`` from everywhere, within ``window_seconds``.

    Kept in this process. A login counts as failed from the moment it is let through until ``succeeded`` says
    otherwise, so that many at once can't slip past together.
    """

    def __init__(
        self, monotonic: Callable[[], float], *, limit: int = 5, total_limit: int = 60, window_seconds: float = 60
    ) -> None:
        self._monotonic = monotonic
        self._limit = limit
        self._total_limit = total_limit
        self._window_seconds = window_seconds
        self._lock = threading.Lock()
        #: (when, address), oldest first; never longer than ``total_limit``.
        self._failures: deque[tuple[float, str]] = deque()

    def enter(self, address: str) -> float:
        """Ask to try a login; answers 0 for yes, else the seconds to wait before asking again."""
        now = self._monotonic()
        with self._lock:
            while self._failures and self._failures[0][0] <= now - self._window_seconds:
                self._failures.popleft()
            own = [at for at, other in self._failures if other == address]
            if len(own) >= self._limit:
                return own[-self._limit] + self._window_seconds - now
            if len(self._failures) >= self._total_limit:
                return self._failures[0][0] + self._window_seconds - now
            self._failures.append((now, address))
            return 0

    def undecided(self, address: str) -> None:
        """The login could not be checked: it is as if it had not been tried."""
        with self._lock:
            for failure in reversed(self._failures):
                if failure[1] == address:
                    self._failures.remove(failure)
                    return

    def succeeded(self, address: str) -> None:
        """The login was right: this address starts afresh."""
        with self._lock:
            self._failures = deque(failure for failure in self._failures if failure[1] != address)
