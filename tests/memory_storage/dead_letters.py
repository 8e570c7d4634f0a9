"""Dead letters over the jobs in memory, as MongoDB has them over the collection ``jobs``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from tests.memory_storage.jobs import MemoryJobRepository
from wavecom.core.audit import FailureReason
from wavecom.core.dead_letters import DeadLetterFilter, PagePosition
from wavecom.core.job import Job, JobId
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.errors import StoreError


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

    def tally(self, where: DeadLetterFilter) -> Mapping[FailureReason, int]:
        jobs, _ = self.page(where, 1_000_000)
        return Counter(FailureReason(job.error.code, job.error.provider) for job in jobs if job.error)

    def count(self) -> int:
        return sum(job.dead_lettered_at is not None for job in self._failed())

    def unpublished(self) -> int:
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
