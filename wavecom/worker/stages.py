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
    """The stages that work on batches of jobs: ``wavecom.core.delivery.Delivery``."""

    activity: Activity

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """Claim many jobs; None where one may not be claimed. Raises ``RequeueError`` when the store stays away."""
        ...

    def record(self, attempts: Sequence[AttemptResult]) -> list[RetryLater | None]:
        """Record many results; the retries to publish. Raises ``RequeueError`` when the store stays away."""
        ...


class AttemptStage(Protocol):
    """The stage that calls providers, one job at a time: ``wavecom.core.attempts.AttemptRunner``."""

    def attempt(self, job: Job, permit: Permit) -> AttemptResult:
        """Call providers and wait for the answer. Releases ``permit``."""
        ...

    def begin(self, job: Job, permit: Permit, on_attempted: OnAttemptResult) -> bool:
        """Start a call that reports its result to ``on_attempted``; False where the provider needs a thread."""
        ...

    def finish(self, unfinished: PartialAttempt) -> AttemptResult:
        """Go on with the next provider where one that ``begin`` called was unavailable."""
        ...
