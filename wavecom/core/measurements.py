"""What workers measured, kept as counts by bucket: how long deliveries and calls take, and what came of the calls.

Workers keep histograms for Prometheus anyway. What they have grown by is added up in the store, by minute and by hour,
so that the pages show percentiles of a minute ago or of last week without reading a job.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import NamedTuple, Protocol

from wavecom.core.ports import Interval


class Measured(StrEnum):
    """What is measured, in seconds; and by which labels."""

    #: From acceptance until a provider took the message; channel, priority.
    TAKEN = "taken"
    #: From acceptance until the message came to its end; channel, priority, status.
    ENDED = "ended"
    #: One call; provider, outcome.
    CALLS = "calls"


class MeasuredKey(NamedTuple):
    """One histogram among those of its kind."""

    measured: Measured
    labels: tuple[str, ...]


#: Upper bound of a bucket in seconds (``math.inf`` for the last) → values in it, and in no lower one.
Buckets = Mapping[float, int]


class MeasurementStore(Protocol):
    """Counts of all workers together. Raises ``StoreError``."""

    def add(self, at: datetime, grown: Mapping[MeasuredKey, Buckets]) -> None:
        """Add counts to the minute and the hour of ``at``.

        Where nobody can tell whether it was written it may count twice or not at all: these are statistics.
        """
        ...

    def between(
        self, since: datetime, before: datetime, step: Interval
    ) -> Mapping[datetime, Mapping[MeasuredKey, Buckets]]:
        """What was counted, by the beginning of each minute or hour in which there was anything."""
        ...


@dataclass(frozen=True, slots=True)
class Percentiles:
    """How long it took, in seconds: half, 95 and 99 of a hundred took no longer. None: nothing was measured."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None


def added(many: Iterable[Buckets]) -> dict[float, int]:
    """Buckets of several histograms in one."""
    found: dict[float, int] = {}
    for buckets in many:
        for bound, count in buckets.items():
            found[bound] = found.get(bound, 0) + count
    return found


def percentiles(buckets: Buckets) -> Percentiles:
    """Percentiles by linear interpolation within a bucket, as Prometheus' ``histogram_quantile`` has them."""
    total = sum(buckets.values())
    return Percentiles(total, *(_percentile(buckets, total * share) for share in (0.5, 0.95, 0.99)))


def _percentile(buckets: Buckets, rank: float) -> float | None:
    if rank <= 0:
        return None
    below, lower = 0, 0.0
    for bound in sorted(buckets):
        count = buckets[bound]
        if count and below + count >= rank:
            # Beyond the last bound nothing is known but that it was longer.
            return lower if bound == inf else lower + (bound - lower) * (rank - below) / count
        below += count
        lower = bound if bound != inf else lower
    return lower
