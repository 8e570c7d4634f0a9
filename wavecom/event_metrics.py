"""Metrics of events: for how long the oldest of them has waited to be published."""

from __future__ import annotations

import math

from prometheus_client import Gauge

from wavecom.core.client_events import RecordedEvents
from wavecom.core.ports import Clock
from wavecom.errors import UnavailableError

UNPUBLISHED_AGE = Gauge(
    "wavecom_events_unpublished_age_seconds",
    "How long the oldest event that stands in its job, and in no log yet, has waited; 0: there is none.",
)


class EventSampler:
    """Looks how far publishing events is behind, for the process that sweeps. Not thread-safe.

    It asks the store and not the publication, so that it tells of one that does not run or fails each time. Events that
    can't be read are left out: they wait for ever, and the log names each.
    """

    def __init__(self, recorded: RecordedEvents, clock: Clock) -> None:
        self._recorded = recorded
        self._clock = clock

    def sample(self) -> None:
        """To be called every few seconds. While the store is away the figure is not a number."""
        now = self._clock.now()
        try:
            due = self._recorded.due(now, 1)
        except UnavailableError:
            UNPUBLISHED_AGE.set(math.nan)
            return
        since = min((event.at for each in due for event in each.events), default=now)
        UNPUBLISHED_AGE.set(max(0.0, (now - since).total_seconds()))
