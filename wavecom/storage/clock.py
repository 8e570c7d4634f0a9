"""One time for all processes: this machine's monotonic clock, anchored to the store's clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge

from wavecom.errors import StoreError

log = structlog.get_logger()

DRIFT = Gauge("wavecom_clock_drift_seconds", "This machine's clock minus the store's")
STORE_UP = Gauge("wavecom_store_up", "0 while this process can't reach MongoDB, as it finds when it asks for the time")
STORE_LOSSES = Counter("wavecom_store_losses_total", "Times that this process lost MongoDB")

_REFRESH_SECONDS = 10.0
_NOTABLE_DRIFT_SECONDS = 1.0
_LONGEST_READING_SECONDS = 0.5


class StoreClock:
    """Implements ``wavecom.core.ports.Clock``.

    Leases and deadlines are compared by different machines, so a machine whose clock is wrong, or is set while it runs,
    must not matter. Until the store has answered once, and while it is away, the last known anchor serves.
    """

    def __init__(
        self,
        store_now: Callable[[], datetime],
        *,
        system_now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store_now = store_now
        self._system_now = system_now
        self._monotonic = monotonic
        self._anchor = (system_now(), monotonic())
        self._is_drifting = False
        self._is_anchored = False
        self._is_away = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def now(self) -> datetime:
        """Aware UTC, whole milliseconds (rounded down), as MongoDB keeps them."""
        at, mark = self._anchor
        now = at + timedelta(seconds=self._monotonic() - mark)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        """Seconds; only differences mean anything."""
        return self._monotonic()

    def refresh(self) -> None:
        """Read the store's time once and anchor to it; raises ``StoreError``."""
        before = self._monotonic()
        at = self._store_now()
        after = self._monotonic()
        if self._is_anchored and after - before > _LONGEST_READING_SECONDS:
            # Nobody can tell when in all that time the store read its clock; the old anchor is better.
            log.debug("clock_reading_too_slow", seconds=round(after - before, 3))
            return
        # The store read its clock somewhere between the two; in the middle is the best guess.
        self._anchor = (at, (before + after) / 2)
        self._is_anchored = True
        drift = (self._system_now() - self.now()).total_seconds()
        DRIFT.set(drift)
        is_drifting = abs(drift) > _NOTABLE_DRIFT_SECONDS
        if is_drifting != self._is_drifting:
            log.warning("clock_drift" if is_drifting else "clock_agrees_again", drift_seconds=round(drift, 3))
            self._is_drifting = is_drifting

    def start(self) -> StoreClock:
        """Anchor now and every ten seconds from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._keep, name="clock", daemon=True)
        self.look()
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop refreshing; the clock goes on with its last anchor."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _keep(self) -> None:
        while not self._closing.wait(_REFRESH_SECONDS):
            self.look()

    def look(self) -> None:
        """``refresh``, or say that the store is away: in a process without work the clock is the first to know."""
        try:
            self.refresh()
        except StoreError as error:
            STORE_UP.set(0)
            if not self._is_away:
                STORE_LOSSES.inc()
                log.warning("store_unreachable", error=error.code)
            self._is_away = True
        else:
            STORE_UP.set(1)
            if self._is_away:
                log.warning("store_reachable_again")
            self._is_away = False
