"""How late this process runs: on a machine without a free processor, an answer can be here and nobody to read it.

A provider must not be blamed for that. A thread of its own sleeps for a moment again and again and looks how much
longer it took; whoever has a clock of his own (the loop of the HTTP calls) tells what he sees with ``note``.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from prometheus_client import Gauge

WORKER_LAG = Gauge(
    "wavecom_worker_lag_seconds",
    "The longest time in the last minute for which this process wanted to run and could not.",
    multiprocess_mode="livemax",
)

TICK_SECONDS = 0.1
#: Less is the usual jitter of a busy machine.
NOTABLE_SECONDS = 0.1
SHOWN_SECONDS = 60.0
#: How many lags are remembered; with one at every tick, a minute's.
_MOST = 600


class LagMeter:
    """Remembers when this process could not run. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        #: (end, seconds), in order of their ends.
        self._lags: deque[tuple[float, float]] = deque(maxlen=_MOST)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def note(self, seconds: float) -> None:
        """Something that ends now came ``seconds`` too late."""
        if seconds >= NOTABLE_SECONDS:
            self._lags.append((self._monotonic(), seconds))

    def longest_since(self, moment: float) -> float:
        """The longest lag that reached beyond ``moment`` (monotonic seconds), as far as it lies behind it; 0: none."""
        lags = self._lags
        # Asked after every call, and nearly always there was none.
        if not lags or lags[-1][0] <= moment:
            return 0.0
        return max((min(seconds, end - moment) for end, seconds in tuple(lags) if end > moment), default=0.0)

    def worst(self) -> float:
        """The longest lag of the last minute, in seconds."""
        since = self._monotonic() - SHOWN_SECONDS
        return max((seconds for end, seconds in list(self._lags) if end > since), default=0.0)

    def start(self) -> LagMeter:
        """Begin to measure, on a daemon thread; ``close`` ends it."""
        self._thread = threading.Thread(target=self._run, name="lag-meter", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop measuring. May be called twice."""
        self._stopping.set()

    def _run(self) -> None:
        before = self._monotonic()
        while not self._stopping.wait(TICK_SECONDS):
            now = self._monotonic()
            self.note(now - before - TICK_SECONDS)
            before = now
            WORKER_LAG.set(self.worst() if self._lags else 0.0)
