"""The dead letter of a job that failed for good: written down in the queue, then noted in the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from wavecom.core.engine import DeadLettered, Policy, decide
from wavecom.core.job import Job
from wavecom.core.ports import DeadLetter, JobRepository, Publisher
from wavecom.errors import StoreError


def publish_dead_letters(
    jobs: JobRepository, publisher: Publisher, failed: Sequence[Job], now: datetime, policy: Policy
) -> int:
    """Publish the dead letters of failed jobs and note which are confirmed; the sweep repeats the rest.

    Returns how many are noted. A crash in between leaves a dead letter twice in the queue, never none.
    """
    confirmed = publisher.publish_dead_letters([dead_letter_of(job, now) for job in failed])
    transitions = [
        transition
        for job, is_confirmed in zip(failed, confirmed, strict=True)
        if is_confirmed and (transition := decide(job, DeadLettered(), now, policy)) is not None
    ]
    if not transitions:
        return 0
    try:
        return sum(jobs.apply(transitions))
    except StoreError:
        return 0


def dead_letter_of(job: Job, now: datetime) -> DeadLetter:
    """The dead letter of a failed job."""
    return DeadLetter(
        job_id=job.job_id,
        channel=job.type,
        priority=job.priority,
        code=job.error.code if job.error else "unknown",
        message=job.error.message if job.error else "",
        provider=job.error.provider if job.error else None,
        attempts=job.attempts,
        failed_at=job.finished_at or now,
    )
