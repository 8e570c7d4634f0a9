"""Metrics of deliveries: calls by outcome and latency, how long messages take, what waits in queues, what is swept.

Jobs of test accounts are left out of calls and times: alerts are made of these, and tests say nothing of live traffic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from prometheus_client import Counter, Gauge

from wavecom.core.engine import Transition
from wavecom.core.job import CallResult, Job
from wavecom.core.ports import TEST_SANDBOX
from wavecom.core.states import FINAL, Status
from wavecom.core.sweep import SweepReport
from wavecom.histograms import Histogram

_CALL_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0)
_LIFE_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0, 259_200.0)

CALLS = Histogram(
    "wavecom_call_seconds",
    "Calls of providers: how long they took, by what came of them.",
    ["provider", "outcome"],
    buckets=_CALL_BUCKETS,
)
ACCEPTED = Histogram(
    "wavecom_acceptance_to_provider_seconds",
    "From acceptance, or sendAt, until a provider took the message.",
    ["type", "priority"],
    buckets=_LIFE_BUCKETS,
)
ENDED = Histogram(
    "wavecom_acceptance_to_end_seconds",
    "From acceptance, or sendAt, until the message came to its end.",
    ["type", "priority", "status"],
    buckets=_LIFE_BUCKETS,
)
DEPTH = Gauge("wavecom_queue_messages", "Messages that wait in a queue for a consumer.", ["queue"])
PARTITION_DEPTH = Gauge(
    "wavecom_queue_partition_messages",
    "Messages that wait in one partition of a queue, where it has several.",
    ["queue", "partition"],
)
AGE = Gauge("wavecom_queue_age_seconds", "How long the oldest of them has waited, at the most.", ["queue"])
SWEPT_AT = Gauge(
    "wavecom_sweep_last_run_timestamp_seconds",
    "Unix time at which this process last ended a run of the sweep; 0: it has not yet, or it does not sweep.",
)
SWEPT = Counter(
    "wavecom_sweep_jobs_total",
    "What the sweep did: jobs that it moved, delivery messages and dead letters that it published.",
    ["result"],
)

#: What a call names that was none, or was made for a test account.
_NO_LIVE_PROVIDER: Final = frozenset({"", TEST_SANDBOX})

#: So often the queues are looked at.
SAMPLE_SECONDS: Final = 10.0


def observe_calls(calls: Iterable[CallResult]) -> None:
    """Calls that were made for live accounts; a try that names no provider was none."""
    CALLS.observe_many(
        ((call.provider, call.answer.outcome.value), call.latency_ms / 1000)
        for call in calls
        if call.provider not in _NO_LIVE_PROVIDER
    )


def observe_sweep(report: SweepReport) -> None:
    """A run of the sweep that has just ended."""
    SWEPT_AT.set_to_current_time()
    SWEPT.labels("moved").inc(report.moved)
    SWEPT.labels("published").inc(report.published)
    SWEPT.labels("dead_lettered").inc(report.dead_lettered)


class TransitionMetrics:
    """Measures how long messages of live accounts take, as ``wavecom.core.transition_writer.WriteObserver``.

    A replayed job began long before anybody asked for it again, so it says nothing about how quick we are.
    """

    def on_inserted(self, jobs: Sequence[Job], now: datetime) -> None:
        """New jobs have taken no time yet."""

    def on_moved(self, transitions: Sequence[Transition], now: datetime) -> None:
        """Jobs have entered another status."""
        first_lives = [
            (each.before, each.status)
            for each in transitions
            if each.before.replays == 0 and not each.before.lane.is_test
        ]
        taken = [
            ((job.type.value, job.priority.value), _age(job, now))
            for job, status in first_lives
            if status in {Status.SENT, Status.DELIVERED} and job.status is not Status.SENT
        ]
        if taken:
            ACCEPTED.observe_many(taken)
        ended = [
            ((job.type.value, job.priority.value, status.value), _age(job, now))
            for job, status in first_lives
            if status in FINAL
        ]
        if ended:
            ENDED.observe_many(ended)


def _age(job: Job, now: datetime) -> float:
    since = job.created_at if job.send_at is None else max(job.created_at, job.send_at)
    return max(0.0, (now - since).total_seconds())


class QueueSampler:
    """Looks at the queues now and then, for the process that sweeps: one of the fleet is enough.

    ``depth(queue)`` is the number of waiting messages, ``reached(queue)`` how far workers have got in it; None where
    that can't be told. A queue keeps its order, so nothing in it is older than what was taken from it last, nor than
    the time at which it was last seen empty. ``queues()`` gives the partitions of each queue; what is said of the queue
    is their sum, and the age of the oldest message among them. Each of ``also`` is called then, too.
    """

    def __init__(
        self,
        queues: Callable[[], Iterable[Sequence[str]]],
        depth: Callable[[str], int | None],
        reached: Callable[[str], datetime | None],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        also: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._also = also
        self._queues = queues
        self._depth = depth
        self._reached = reached
        self._now = now
        self._monotonic = monotonic
        self._next_at = float("-inf")
        self._empty_at: dict[str, datetime] = {}

    def sample_if_due(self) -> None:
        """To be called often; asks RabbitMQ and Redis every ten seconds. A queue that can't be asked has no figures."""
        if self._monotonic() < self._next_at:
            return
        self._next_at = self._monotonic() + SAMPLE_SECONDS
        for partitions in self._queues():
            self._sample(partitions)
        for sample in self._also:
            sample()

    def _sample(self, partitions: Sequence[str]) -> None:
        queue = partitions[0]
        found = [self._look(partition) for partition in partitions]
        # What can't be told of one can't be told of all: the sum is no number then, and neither is the age.
        DEPTH.labels(queue).set(sum(depth for depth, _ in found))
        ages = [age for _, age in found]
        AGE.labels(queue).set(math.nan if any(map(math.isnan, ages)) else max(ages))
        if len(found) > 1:
            for number, (depth, _) in enumerate(found):
                PARTITION_DEPTH.labels(queue, str(number)).set(depth)

    def _look(self, queue: str) -> tuple[float, float]:
        """How many messages wait, and since how many seconds at the most; not a number what can't be told."""
        now = self._now()
        depth = self._depth(queue)
        if depth is None:
            return math.nan, math.nan
        if depth == 0:
            self._empty_at[queue] = now
            return 0, 0
        known = [moment for moment in (self._empty_at.get(queue), self._reached(queue)) if moment is not None]
        return depth, max(0.0, (now - max(known)).total_seconds()) if known else math.nan
