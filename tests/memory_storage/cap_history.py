"""What frequency caps count, of jobs that are kept in dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from tests.memory_storage.jobs import MemoryJobRepository
from wavecom.core.frequency_caps import STARTED, CapKey, CountedJob, key_of
from wavecom.core.ports import JobFilter

_MANY = 100_000


class MemoryCapHistory:
    """``wavecom.core.frequency_caps.CapHistory`` without a server. ``reads`` counts what was asked of it."""

    def __init__(self, jobs: MemoryJobRepository) -> None:
        self._jobs = jobs
        self.reads = 0

    def of(self, keys: Collection[CapKey], since: datetime) -> Sequence[CountedJob]:
        """See the port."""
        self.reads += 1
        found = []
        for job in self._jobs.search(JobFilter(), _MANY).jobs:
            key = key_of(job)
            if key is not None and key in keys and (job.updated_at > since or job.status in STARTED):
                found.append(
                    CountedJob(key, job.job_id, job.created_at, job.status, job.updated_at, job.may_have_been_sent)
                )
        return found
