"""The whole recovery mechanism: each job past its ``due_at`` is put right, whatever the reason it got stuck.

Run every second. Any number may run at once: every write is compare-and-set, so a job is moved once. The store is
written first, the hint published after: a crash in between is found by the next ``due_at``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from wavecom.core.delivery import bury
from wavecom.core.engine import DueReached, Policy, Transition, decide
from wavecom.core.job import Channel, Job, Priority
from wavecom.core.ports import Backlog, Clock, JobRepository, Publisher, Stats
from wavecom.core.states import Status
from wavecom.errors import StoreError

log = structlog.get_logger()

#: Statuses whose jobs are put right whatever the queues hold.
_UNCONDITIONAL = (Status.SCHEDULED, Status.PROCESSING, Status.SENT, Status.UNCONFIRMED, Status.FAILED)
#: Statuses whose hint may simply still wait in a deep queue.
_HINTED = (Status.QUEUED, Status.RETRYING)

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class SweepReport:
    """What one run did."""

    moved: int = 0
    published: int = 0
    dead_lettered: int = 0


class Sweep:
    """The use case behind the periodic task ``wavecom.sweep``."""

    def __init__(
        self,
        *,
        jobs: JobRepository,
        publisher: Publisher,
        backlog: Backlog,
        stats: Stats,
        clock: Clock,
        policy: Policy,
        jitter: Callable[[], float],
        batch: int = 1000,
        budget_seconds: float = 20.0,
        expiry_period_seconds: float = 10.0,
    ) -> None:
        self._jobs = jobs
        self._publisher = publisher
        self._backlog = backlog
        self._stats = stats
        self._clock = clock
        self._policy = policy
        self._jitter = jitter
        self._batch = batch
        self._budget_seconds = budget_seconds
        self._expiry_period_seconds = expiry_period_seconds
        self._expiry_after = float("-inf")
        self._leases_count_from: float = float("-inf")

    def run(self) -> SweepReport:
        """Put right everything that is due, in bounded batches, until nothing is or the time budget is used up.

        Never raises for a store that is away: there is nothing to sweep then, and after it is back, leases are left
        alone for one lease, because their holders could not record anything meanwhile.
        """
        report = SweepReport()
        deadline = self._clock.monotonic() + self._budget_seconds
        try:
            for find in self._searches():
                self._search(find, report, deadline)
        except StoreError as error:
            if self._leases_count_from < self._clock.monotonic():
                log.warning("sweep_store_away", error=type(error).__name__)
            self._leases_count_from = self._clock.monotonic() + self._policy.lease.total_seconds()
        if report.moved:
            log.info("swept", moved=report.moved, published=report.published, dead_lettered=report.dead_lettered)
        return report

    def _searches(self) -> Iterator[Callable[[datetime], list[Job]]]:
        for status in _UNCONDITIONAL:
            if status is Status.PROCESSING and self._clock.monotonic() < self._leases_count_from:
                continue
            yield lambda now, status=status: self._jobs.due(status, now, self._batch)  # type: ignore[misc]
        for channel in Channel:
            for priority in Priority:
                # None: the queue is deep or can't be asked. Only parked jobs, of which no hint is out, are due then.
                lost = self._backlog.lost_before(channel, priority, self._clock.now())
                for status in _HINTED:
                    yield self._lost_hints(status, channel, priority, lost)
        lost = self._backlog.tests_lost_before(self._clock.now())
        for status in _HINTED:
            yield self._lost_test_hints(status, lost)
        if self._clock.monotonic() >= self._expiry_after:
            self._expiry_after = self._clock.monotonic() + self._expiry_period_seconds
            for status in _HINTED:
                yield lambda now, status=status: self._jobs.due(status, now, self._batch, expired_only=True)  # type: ignore[misc]

    def _lost_hints(
        self, status: Status, channel: Channel, priority: Priority, lost: datetime | None
    ) -> Callable[[datetime], list[Job]]:
        def find(now: datetime) -> list[Job]:
            before = lost or _LONG_AGO
            return self._jobs.due(status, now, self._batch, channel=channel, priority=priority, queued_before=before)

        return find

    def _lost_test_hints(self, status: Status, lost: datetime | None) -> Callable[[datetime], list[Job]]:
        def find(now: datetime) -> list[Job]:
            return self._jobs.due(status, now, self._batch, tests_only=True, queued_before=lost or _LONG_AGO)

        return find

    def _search(self, find: Callable[[datetime], list[Job]], report: SweepReport, deadline: float) -> None:
        try:
            self._until_empty(find, report, deadline)
        except StoreError:
            raise
        except Exception:
            # One document that nobody can read must not keep every other job from being put right.
            log.exception("sweep_search_failed")

    def _until_empty(self, find: Callable[[datetime], list[Job]], report: SweepReport, deadline: float) -> None:
        while self._clock.monotonic() < deadline:
            jobs = find(self._clock.now())
            moved = self._put_right(jobs, report)
            if len(jobs) < self._batch or not moved:
                return

    def _put_right(self, jobs: list[Job], report: SweepReport) -> int:
        now = self._clock.now()
        planned: list[tuple[Job, Transition]] = []
        for job in jobs:
            transition = self._decide(job, now)
            if transition is not None:
                planned.append((job, transition))
        if not planned:
            return 0
        written = self._jobs.apply([transition for _, transition in planned])
        mine = [pair for pair, is_written in zip(planned, written, strict=True) if is_written]
        for job, transition in mine:
            if transition.status is not job.status:
                self._stats.add(job.client, job.type, transition.status)
        hints = [transition.hint for _, transition in mine if transition.hint is not None]
        report.published += sum(self._publisher.publish(hints))
        owed = [transition.applied_to(job) for job, transition in mine if transition.needs_dead_letter]
        if owed:
            report.dead_lettered += bury(self._jobs, self._publisher, owed, now, self._policy)
        report.moved += len(mine)
        return len(mine)

    def _decide(self, job: Job, now: datetime) -> Transition | None:
        try:
            return decide(job, DueReached(jitter=self._jitter()), now, self._policy)
        except Exception:
            # A job that was edited into nonsense costs only itself.
            log.exception("sweep_job_failed", job_id=job.job_id)
            return None
