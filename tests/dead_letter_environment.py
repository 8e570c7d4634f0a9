"""What tests about dead letters work with: the queue of dead letters and the use cases, over memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.factories import NOW, later, make_job
from tests.fakes import CountingStats, FakeClock, RecordingPublisher, make_writer
from tests.memory_storage import MemoryAuditLog, MemoryDeadLetterRepository, MemoryJobRepository
from wavecom.core.bulk_cancellation import BulkCancellation
from wavecom.core.bulk_operations import BulkOptions
from wavecom.core.bulk_runner import BulkRunner
from wavecom.core.dead_letter_operations import DeadLetters
from wavecom.core.dead_letter_publishing import dead_letter_of
from wavecom.core.dead_letters import DeadLetterFilter, Predicate, QueueBusyError, QueuedDeadLetter, Scan
from wavecom.core.engine import Policy
from wavecom.core.foreign_messages import ForeignMessages
from wavecom.core.job import Job, JobId
from wavecom.core.ports import Clock, DeadLetter, JobRepository, Sleep
from wavecom.core.reconciliation import Reconciliation
from wavecom.core.states import Status
from wavecom.core.transition_writer import TransitionWriter
from wavecom.errors import BrokerError

EVERYTHING = DeadLetterFilter()
OPTIONS = BulkOptions(operator="ada@ops", rate_per_second=5)
DRY = BulkOptions(operator="ada@ops", is_dry_run=True)


class Killed(BaseException):
    """The process is gone: nobody may tidy up after it."""


def foreign_message(
    reason: str = "rejected", head: bytes = b"\x80not json", queue: str = "notifications.sms.normal"
) -> QueuedDeadLetter:
    return QueuedDeadLetter(None, None, reason, queue, len(head), head)


class MemoryDeadLetterQueue(RecordingPublisher):
    """The dead-letter queue, and the publisher that fills it. ``on_scan`` is called when a scan begins."""

    def __init__(self, batch: int = 3) -> None:
        super().__init__()
        self.content: list[QueuedDeadLetter] = []
        self.is_busy = False
        self.scans = 0
        self.on_scan: Callable[[], None] = lambda: None
        self._batch = batch

    def publish_dead_letters(self, dead_letters: Sequence[DeadLetter]) -> list[bool]:
        if self.is_up:
            self.content += [
                QueuedDeadLetter(dead_letter.job_id, dead_letter.failed_at, "failed_job", "", 100, b"{")
                for dead_letter in dead_letters
            ]
        return super().publish_dead_letters(dead_letters)

    def depth(self) -> int | None:
        return len(self.content) if self.is_up else None

    def ids(self) -> list[JobId | None]:
        return [dead_letter.job_id for dead_letter in self.content]

    def scan(self, predicate: Predicate, budget_seconds: float | None = None) -> Scan:
        if not self.is_up:
            raise BrokerError("away")
        if self.is_busy:
            raise QueueBusyError("busy")
        self.scans += 1
        self.on_scan()
        waiting = list(self.content)
        kept: list[QueuedDeadLetter] = []
        for start in range(0, len(waiting), self._batch):
            batch = waiting[start : start + self._batch]
            removals = predicate(batch)
            kept += [dead_letter for dead_letter, must_leave in zip(batch, removals, strict=True) if not must_leave]
            self.content = [*kept, *waiting[start + self._batch :]]
        return Scan(len(waiting), len(waiting) - len(kept), is_complete=True)


def bulk_runner_over(audit: MemoryAuditLog, clock: FakeClock, sleep: Sleep | None = None) -> BulkRunner:
    """What runs bulk operations; their ids are run-1, run-2, …. Unless told otherwise a sleep moves the clock."""
    return BulkRunner(
        audit=audit,
        clock=clock,
        sleep=sleep or clock.advance,
        new_id=lambda: f"run-{len(audit.operations) + 1}",
    )


def dead_letters_over(
    jobs: JobRepository,
    repository: MemoryDeadLetterRepository,
    writer: TransitionWriter,
    runner: BulkRunner,
    audit: MemoryAuditLog,
    clock: Clock,
) -> DeadLetters:
    """The use cases, with the engine's usual policy."""
    return DeadLetters(
        jobs=jobs,
        repository=repository,
        writer=writer,
        runner=runner,
        audit=audit,
        clock=clock,
        policy=Policy(),
    )


def cancellation_over(
    jobs: JobRepository, writer: TransitionWriter, runner: BulkRunner, audit: MemoryAuditLog, clock: Clock
) -> BulkCancellation:
    """Cancelling by a filter, with the engine's usual policy."""
    return BulkCancellation(jobs=jobs, writer=writer, runner=runner, audit=audit, clock=clock, policy=Policy())


class DeadLetterEnvironment:
    """Everything about dead letters over memory, with a clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.clock = FakeClock(later(3600))
        self.jobs = MemoryJobRepository()
        self.repository = MemoryDeadLetterRepository(self.jobs)
        self.queue = MemoryDeadLetterQueue()
        self.audit = MemoryAuditLog()
        self.stats = CountingStats()
        self.slept: list[float] = []
        self.on_sleep: Callable[[], None] = lambda: None
        runner = bulk_runner_over(self.audit, self.clock, self.sleep)
        writer = make_writer(self.jobs, self.clock, publisher=self.queue, stats=self.stats)
        self.dead_letters = dead_letters_over(self.jobs, self.repository, writer, runner, self.audit, self.clock)
        self.foreign_messages = ForeignMessages(queue=self.queue, runner=runner, clock=self.clock, sleep=self.sleep)
        self.reconciliation = Reconciliation(
            repository=self.repository,
            queue=self.queue,
            depth=self.queue.depth,
            publisher=self.queue,
            clock=self.clock,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)
        self.on_sleep()

    def dead(self, count: int = 1, **overrides: Any) -> list[Job]:
        """Failed jobs, oldest first, each with its dead letter in the queue."""
        jobs = []
        for _ in range(count):
            failed_at = later(len(self.queue.content))
            fields = {"finished_at": failed_at, "dead_lettered_at": failed_at, "due_at": None} | overrides
            job = make_job(status=Status.FAILED, **fields)
            assert self.jobs.insert([job]) == [None]
            self.queue.publish_dead_letters([dead_letter_of(job, NOW)])
            jobs.append(job)
        return jobs

    def status(self, job: Job) -> Status:
        return self.read(job).status

    def read(self, job: Job) -> Job:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored

    def published(self) -> list[JobId]:
        return [delivery_message.job_id for delivery_message in self.queue.delivery_messages]

    def everything(self) -> object:
        """All that a dry run must leave alone."""
        page = self.repository.page(EVERYTHING, 1000)
        return page, list(self.queue.content), list(self.queue.delivery_messages), dict(self.stats.counts)
