"""The whole recovery mechanism: each job past its ``due_at`` is put right, whatever the reason it got stuck.

Run every second. Any number may run at once: every write is compare-and-set, so a job is moved once. The store is
written first, the delivery message published after: a crash in between is found by the next ``due_at``.

What has an appointment (scheduled and parked jobs) is looked for by every run. What only a crash or a silent provider
leaves behind may wait some seconds more, so those searches rest in between: there are dozens of them, and they would be
most of what the quiet hours cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from wavecom.core.engine import DueReached, Policy, Transition, decide
from wavecom.core.job import Job
from wavecom.core.lanes import QUEUES, LaneQueue, Priority
from wavecom.core.ports import Backlog, Clock, JobRepository
from wavecom.core.progress import ProgressBoard, StallDetector
from wavecom.core.states import Status
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import StoreError, UnavailableError

log = structlog.get_logger()

#: Statuses whose delivery message may simply still wait in a deep queue.
_WITH_MESSAGE = (Status.QUEUED, Status.RETRYING)

#: How long the search for jobs of a status rests when it has found nothing more. Half a second less than so many ticks,
#: so that one that comes a little early does not miss its turn.
_REST_SECONDS = {Status.PROCESSING: 1.5, Status.FAILED: 1.5, Status.SENT: 4.5, Status.UNCONFIRMED: 4.5}
_LOST_MESSAGES_REST_SECONDS = 4.5
_EXPIRY_REST_SECONDS = 9.5

#: What is due at a time and has not been found yet, a batch at most.
Find = Callable[[datetime], list[Job]]


@dataclass(slots=True)
class SweepReport:
    """What one run of the sweep did, in numbers of jobs."""

    moved: int = 0
    published: int = 0
    dead_lettered: int = 0


class Sweep:
    """The use case behind the periodic task ``wavecom.sweep``."""

    def __init__(
        self,
        *,
        jobs: JobRepository,
        writer: TransitionWriter,
        backlog: Backlog,
        clock: Clock,
        policy: Policy,
        jitter: Callable[[], float],
        stalls: StallDetector,
        board: ProgressBoard,
        queues: Callable[[], Sequence[LaneQueue]] = lambda: QUEUES,
        require_current: Callable[[], None] = lambda: None,
        batch: int = 1000,
        budget_seconds: float = 20.0,
    ) -> None:
        self._jobs = jobs
        self._writer = writer
        self._backlog = backlog
        self._clock = clock
        self._policy = policy
        self._jitter = jitter
        self._stalls = stalls
        self._board = board
        #: Those of every region; there may be more while this runs.
        self._queues = queues
        #: Raises ``StoreError`` while nothing may be moved, though the store answers (``core.store_guard``).
        self._require_current = require_current
        self._batch = batch
        self._budget_seconds = budget_seconds
        #: What is looked for -> until when (monotonic) it need not be.
        self._rests_until: dict[str, float] = {}
        self._leases_count_from: float = float("-inf")

    def run(self) -> SweepReport:
        """Put right everything that is due, in bounded batches, until nothing is or the time budget is used up.

        Never raises for a store that is away: there is nothing to sweep then, and after it is back, leases are left
        alone for one lease, because their holders could not record anything meanwhile.
        """
        report = SweepReport()
        deadline = self._clock.monotonic() + self._budget_seconds
        try:
            self._require_current()
            for name, rest_seconds, finds in self._searches():
                self._search(name, rest_seconds, finds, report, deadline)
        except StoreError as error:
            if self._leases_count_from < self._clock.monotonic():
                log.warning("sweep_store_away", error=type(error).__name__)
            self._leases_count_from = self._clock.monotonic() + self._policy.lease.total_seconds()
        if report.moved:
            log.info("swept", moved=report.moved, published=report.published, dead_lettered=report.dead_lettered)
        return report

    def _searches(self) -> Iterator[tuple[str, float, Iterable[Find]]]:
        """What is looked for: its name, how long it may rest afterwards, and where to look."""
        yield "scheduled", 0, [self._in(Status.SCHEDULED)]
        for status, rest_seconds in _REST_SECONDS.items():
            if status is not Status.PROCESSING or self._clock.monotonic() >= self._leases_count_from:
                yield status.value, rest_seconds, [self._in(status)]
        # After those, because a storm leaves tens of thousands behind.
        yield "parked", 0, [self._parked]
        yield "lost messages", _LOST_MESSAGES_REST_SECONDS, self._lost_messages()
        yield "expired", _EXPIRY_REST_SECONDS, [self._in(status, expired_only=True) for status in _WITH_MESSAGE]

    def _in(self, status: Status, **narrowed: Any) -> Find:
        asked = {"queues": self._queues()} | narrowed
        return lambda now: self._jobs.due(status, now, self._batch, **asked)

    def _parked(self, now: datetime) -> list[Job]:
        """High lanes first, asked anew for every batch: no password may wait until a campaign is through."""
        found: list[Job] = []
        for priority in Priority:
            if len(found) < self._batch:
                found += self._jobs.parked(priority, now, self._batch - len(found))
        return found

    def _lost_messages(self) -> Iterator[Find]:
        """Queue by queue, each asked about in its turn; then a word about those in which nothing moves."""
        waiting: set[LaneQueue] = set()
        for queue in self._queues():
            backlog = self._backlog.of(queue, self._clock.now())
            if backlog.ready or (backlog.ready is None and self._is_overdue(queue)):
                waiting.add(queue)
            if backlog.lost_before is not None:
                for status in _WITH_MESSAGE:
                    lost = self._in(status, queues=[queue], queued_before=backlog.lost_before)
                    yield self._noting_queue(queue, waiting, lost)
        self._report_progress(waiting)

    def _noting_queue(self, queue: LaneQueue, waiting: set[LaneQueue], find: Find) -> Find:
        def find_and_note(now: datetime) -> list[Job]:
            jobs = find(now)
            if jobs:
                waiting.add(queue)
            return jobs

        return find_and_note

    def _is_overdue(self, queue: LaneQueue) -> bool:
        """Asked where the broker can't say what waits."""
        now = self._clock.now()
        return any(self._in(status, queues=[queue], queued_before=now)(now) for status in _WITH_MESSAGE)

    def _report_progress(self, waiting: set[LaneQueue]) -> None:
        try:
            self._board.publish(self._stalls.check(waiting, self._board.moved_at(), self._clock.now()))
        except UnavailableError:
            # Then nobody can say what has moved; that Redis is away is told elsewhere.
            log.debug("progress_unknown")

    def _search(
        self, name: str, rest_seconds: float, finds: Iterable[Find], report: SweepReport, deadline: float
    ) -> None:
        began = self._clock.monotonic()
        if began < self._rests_until.get(name, float("-inf")):
            return
        is_through = True
        for find in finds:
            try:
                is_through &= self._drain(find, report, deadline)
            except StoreError:
                raise
            except Exception:
                # One document that nobody can read must not keep every other job from being put right.
                log.exception("sweep_search_failed", search=name)
                is_through = False
        if is_through:
            self._rests_until[name] = began + rest_seconds

    def _drain(self, find: Find, report: SweepReport, deadline: float) -> bool:
        """Whether it was; False when the time was up before, or when others were at the same jobs."""
        while self._clock.monotonic() < deadline:
            jobs = find(self._clock.now())
            moved = self._recover(jobs, report)
            if len(jobs) < self._batch or not moved:
                return len(jobs) < self._batch
        return False

    def _recover(self, jobs: list[Job], report: SweepReport) -> int:
        now = self._clock.now()
        decided = [transition for job in jobs if (transition := self._decide(job, now)) is not None]
        result = self._writer.write(decided)
        moved = sum(result.is_written)
        report.moved += moved
        report.published += result.published
        report.dead_lettered += result.dead_lettered
        return moved

    def _decide(self, job: Job, now: datetime) -> Transition | None:
        try:
            return decide(job, DueReached(jitter=self._jitter()), now, self._policy)
        except Exception:
            # A job that was edited into nonsense costs only itself.
            log.exception("sweep_job_failed", job_id=job.job_id)
            return None
