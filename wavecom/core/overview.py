"""What ``wavecom top`` shows: rates by channel, what waits in each queue, providers and workers. Values and arithmetic.

All of it comes from counters that are kept anyway; no job is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from wavecom.core.account import live_accounts
from wavecom.core.lanes import Channel, LaneQueue
from wavecom.core.measurements import Buckets, Measured, MeasuredKey, Percentiles, added, percentiles
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.states import Status

#: Whole minutes that rates are taken over, beside the one that has begun.
RATE_MINUTES: Final = 1


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """One queue. None: it can't be asked.

    ``oldest_seconds``: how long the oldest message has waited, at the most. ``partitions``: what waits in each of them;
    the rest is their sum, of consumers the least.
    """

    queue: str
    waiting: int | None
    consumers: int | None
    oldest_seconds: float | None
    partitions: Sequence[int | None] = ()


@dataclass(frozen=True, slots=True)
class LaneOverview:
    """One live lane: what went through it in the last one to two minutes, a second, and how long that took."""

    lane: LaneQueue
    queue: QueueOverview
    #: A second: taken by a provider; delivered; ended badly (failed or expired).
    taken: float
    delivered: float
    failed: float
    #: From acceptance until a provider took it, and until its end.
    until_taken: Percentiles
    until_end: Percentiles

    @property
    def drain_seconds(self) -> float | None:
        """How long what waits takes at this pace; None: nothing moves, or nobody can tell."""
        if self.queue.waiting is None:
            return None
        if self.queue.waiting == 0:
            return 0.0
        return self.queue.waiting / self.taken if self.taken else None


@dataclass(frozen=True, slots=True)
class WorkerOverview:
    """A worker of this machine, by its own report. ``problem`` is for people; empty when all is well."""

    node: str
    problem: str
    lag_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All that was found at ``at``. What belongs to a server in ``away`` is empty."""

    at: datetime
    #: A second, averaged over the last one to two minutes: how many live jobs entered a status.
    rates: Mapping[Channel, Mapping[Status, float]] = field(default_factory=dict)
    #: A second, over the same time: how many live jobs were accepted.
    accepted: Mapping[Channel, float] = field(default_factory=dict)
    queues: Sequence[QueueOverview] = ()
    lanes: Sequence[LaneOverview] = ()
    dead_letters: int | None = None
    providers: Sequence[ProviderStatus] = ()
    workers: Sequence[WorkerOverview] = ()
    #: Since the sweep last said whether work moves; None: it never has, or nobody can tell.
    sweep_seconds: float | None = None
    #: Queues in which work waits and nothing moves.
    stalled: Sequence[str] = ()
    #: Servers that did not answer.
    away: Sequence[str] = ()


def added_up(name: str, parts: Sequence[QueueOverview]) -> QueueOverview:
    """One queue of several: all that waits, the oldest of it; of consumers the least, since one queue without any is
    what somebody should see. None where one of ``parts`` can't tell."""
    waiting = [part.waiting for part in parts]
    ages = [part.oldest_seconds for part in parts if part.oldest_seconds is not None]
    if None in waiting:
        return QueueOverview(name, None, None, None, waiting)
    return QueueOverview(
        name,
        sum(each for each in waiting if each is not None),
        min((part.consumers for part in parts if part.consumers is not None), default=None),
        max(ages) if len(ages) == len(parts) else None,
        waiting,
    )


def rate_window(now: datetime) -> tuple[datetime, datetime]:
    """The minutes that rates are taken over: beginning of the first, and end of the one that has begun."""
    minute = now.replace(second=0, microsecond=0)
    return minute - timedelta(minutes=RATE_MINUTES), minute + timedelta(minutes=1)


def rates_of(
    counts: Mapping[datetime, Mapping[Channel, Mapping[Status, int]]], now: datetime
) -> dict[Channel, dict[Status, float]]:
    """How many jobs entered each status, a second. ``counts``: by minute, of the minutes of ``rate_window``."""
    seconds = (now - rate_window(now)[0]).total_seconds()
    found: dict[Channel, dict[Status, float]] = {channel: {} for channel in Channel}
    for by_channel in counts.values():
        for channel, by_status in by_channel.items():
            for status, count in by_status.items():
                found[channel][status] = found[channel].get(status, 0.0) + count / seconds
    return found


def accepted_rates(accepted: Mapping[tuple[str, Channel], int], now: datetime) -> dict[Channel, float]:
    """How many live jobs were accepted, a second. ``accepted``: by account and channel, in ``rate_window``."""
    seconds = (now - rate_window(now)[0]).total_seconds()
    found = dict.fromkeys(Channel, 0.0)
    live = live_accounts(account for account, _ in accepted)
    for (account, channel), count in accepted.items():
        if account in live:
            found[channel] += count / seconds
    return found


def lanes_of(
    measured: Mapping[datetime, Mapping[MeasuredKey, Buckets]], queues: Mapping[LaneQueue, QueueOverview], now: datetime
) -> list[LaneOverview]:
    """The live lanes. ``measured``: by minute, of the minutes of ``rate_window``; ``queues``: of each lane."""
    seconds = (now - rate_window(now)[0]).total_seconds()
    return [_lane(lane, queue, measured.values(), seconds) for lane, queue in queues.items()]


def _lane(
    lane: LaneQueue, queue: QueueOverview, minutes: Iterable[Mapping[MeasuredKey, Buckets]], seconds: float
) -> LaneOverview:
    labels = tuple(lane.split("."))
    of_lane = [(key, counts) for minute in minutes for key, counts in minute.items() if key.labels[:2] == labels]
    taken = added(counts for key, counts in of_lane if key.measured is Measured.TAKEN)
    ended = added(counts for key, counts in of_lane if key.measured is Measured.ENDED)

    def a_second(*statuses: Status) -> float:
        ends = (MeasuredKey(Measured.ENDED, (*labels, status.value)) for status in statuses)
        wanted = set(ends)
        return sum(sum(counts.values()) for key, counts in of_lane if key in wanted) / seconds

    return LaneOverview(
        lane,
        queue,
        taken=sum(taken.values()) / seconds,
        delivered=a_second(Status.DELIVERED),
        failed=a_second(Status.FAILED, Status.EXPIRED),
        until_taken=percentiles(taken),
        until_end=percentiles(ended),
    )


def oldest_seconds(waiting: int | None, reached: datetime | None, now: datetime) -> float | None:
    """How long the oldest of ``waiting`` messages has waited, at the most.

    Queues keep their order: nothing in one is older than what was taken from it last, put there at ``reached``.
    """
    if waiting == 0:
        return 0.0
    if waiting is None or reached is None:
        return None
    return max(0.0, (now - reached).total_seconds())
