"""What frequency caps count, of jobs that are kept in dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from tests.memory_storage.jobs import MemoryJobRepository
from wavecom.core.frequency_caps import CapKey, CountedJob, counted
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
            each = counted(job)
            if each is None or each.key not in keys:
                continue
            if each.claim_token is not None or (each.sent_at is not None and each.sent_at > since):
                found.append(each)
        return found
