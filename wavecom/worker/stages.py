"""What the delivery pipeline asks of the core, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from wavecom.core.activity import Activity
from wavecom.core.attempts import AttemptResult, OnAttemptResult, PartialAttempt
from wavecom.core.job import Job, JobId
from wavecom.core.ports import Permit
from wavecom.errors import RetryLater


class BatchStages(Protocol):
    """``wavecom.core.delivery.Delivery``, as the line uses it."""

    activity: Activity

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """Many jobs at once."""
        ...

    def record(self, attempts: Sequence[AttemptResult]) -> list[RetryLater | None]:
        """Many results at once."""
        ...


class AttemptStage(Protocol):
    """``wavecom.core.attempts.AttemptStage``, as the line uses it."""

    def attempt(self, job: Job, permit: Permit) -> AttemptResult:
        """One of them; gives the permit back."""
        ...

    def begin(self, job: Job, permit: Permit, on_attempted: OnAttemptResult) -> bool:
        """One of them, without waiting for it; False where that can't be."""
        ...

    def finish(self, unfinished: PartialAttempt) -> AttemptResult:
        """The rest of what ``begin`` has begun."""
        ...
