"""Honest twins of what dead letters are kept in: the store's view of them, the queue, the audit log.

``tests/contract/test_dead_letter_repository.py`` runs one suite over ``MemoryDeadLetterRepository`` and its model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime

from tests.fakes import RecordingPublisher
from tests.memory_storage import MemoryJobRepository
from wavecom.core.audit import BulkOperation, Reason
from wavecom.core.dead_letters import DeadLetterFilter, PagePosition, Predicate, QueueBusyError, QueuedDeadLetter, Scan
from wavecom.core.job import Job, JobId
from wavecom.core.ports import DeadLetter, JobFilter
from wavecom.core.states import Status
from wavecom.errors import BrokerError, StoreError


class MemoryDeadLetterRepository:
    """``DeadLetterRepository`` over the memory repository. ``on_page`` is called when a page was read."""

    def __init__(self, jobs: MemoryJobRepository) -> None:
        self._jobs = jobs
        self.is_away = False
        self.on_page: Callable[[], None] = lambda: None

    def _failed(self) -> list[Job]:
        if self.is_away:
            raise StoreError("away")
        return list(self._jobs.search(JobFilter(statuses=frozenset({Status.FAILED})), 1_000_000).jobs)

    def page(
        self,
        where: DeadLetterFilter,
        limit: int,
        *,
        until: datetime | None = None,
        after: PagePosition | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Job], PagePosition | None]:
        def key(job: Job) -> datetime:
            assert job.dead_lettered_at is not None
            return job.dead_lettered_at

        found = [job for job in self._failed() if job.dead_lettered_at is not None and _matches(job, where)]
        found = [job for job in found if until is None or key(job) <= until]
        if after is not None:
            at = after.at
            found = [job for job in found if (key(job) <= at if newest_first else key(job) >= at)]
            found = [job for job in found if job.job_id not in after.job_ids]
        found.sort(key=key, reverse=newest_first)
        jobs = found[:limit]
        self.on_page()
        if len(found) <= limit:
            return jobs, None
        at = key(jobs[-1])
        seen = frozenset(job.job_id for job in jobs if key(job) == at)
        return jobs, PagePosition(at, seen | after.job_ids if after is not None and after.at == at else seen)

    def tally(self, where: DeadLetterFilter) -> Mapping[Reason, int]:
        jobs, _ = self.page(where, 1_000_000)
        return Counter(Reason(job.error.code, job.error.provider) for job in jobs if job.error)

    def count(self) -> int:
        return sum(job.dead_lettered_at is not None for job in self._failed())

    def owed(self) -> int:
        return sum(job.due_at is not None for job in self._failed())

    def wanted(self, job_ids: Sequence[JobId]) -> Mapping[JobId, datetime | None]:
        return {
            job.job_id: job.finished_at
            for job in self._failed()
            if job.job_id in set(job_ids) and (job.dead_lettered_at is not None or job.due_at is not None)
        }

    def find(self, job_ids: Sequence[JobId], client: str | None = None) -> list[Job]:
        page = self._jobs.search(JobFilter(client=client), 1_000_000)
        return [job for job in page.jobs if job.job_id in set(job_ids)]


def _matches(job: Job, where: DeadLetterFilter) -> bool:
    assert job.error is not None
    assert job.finished_at is not None
    return (
        where.error_code in {None, job.error.code}
        and where.provider in {None, job.error.provider}
        and where.type in {None, job.type}
        and where.client in {None, job.client}
        and (where.failed_since is None or where.failed_since <= job.finished_at)
        and (where.failed_before is None or job.finished_at < where.failed_before)
    )


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


class MemoryAuditLog:
    """Keeps the latest state of every operation, and how often it was written."""

    def __init__(self) -> None:
        self.operations: dict[str, BulkOperation] = {}
        self.is_away = False
        self.on_record: Callable[[BulkOperation], None] = lambda _operation: None

    def record(self, operation: BulkOperation) -> None:
        if self.is_away:
            raise StoreError("away")
        self.operations[operation.operation_id] = deepcopy(operation)
        self.on_record(operation)

    def only(self) -> BulkOperation:
        [operation] = self.operations.values()
        return operation
