"""Accepting notifications: store the job, then hint at it, many requests in one flush."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from wavecom.core.engine import Policy
from wavecom.core.ids import uuid7
from wavecom.core.job import Channel, Hint, Job, JobId, LogEntry, Priority, UnknownOutcomePolicy
from wavecom.core.ports import Clock, JobRepository, Publisher, Stats
from wavecom.core.states import Status
from wavecom.errors import IdempotencyMismatchError, RefusedError, StoreError

log = structlog.get_logger()

#: What became of one job of a batch: stored (None), already there, or not stored and why.
_Inserted = Job | RefusedError | StoreError | None

#: How long a notification may wait for its delivery when its sender does not say.
DEFAULT_TIME_TO_LIVE = timedelta(hours=72)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotification:
    """A validated request. Shapes of ``to`` and ``payload``: ``wavecom.web.api.schemas``.

    ``fingerprint`` tells two bodies apart that came with the same ``idempotency_key``.
    """

    client: str
    type: Channel
    to: Mapping[str, Any]
    payload: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.NORMAL
    max_attempts: int = 5
    on_unknown_outcome: UnknownOutcomePolicy = UnknownOutcomePolicy.RETRY
    send_at: datetime | None = None
    expires_at: datetime | None = None
    idempotency_key: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """``is_replay``: the job was accepted before, with the same idempotency key and body."""

    job: Job
    is_replay: bool = False


class Batcher(Protocol):
    """What ``wavecom.batching.GroupCommit`` offers, as the core sees it."""

    def submit(self, item: Any) -> Any:
        """Blocks until the batch that holds the item is done; returns or raises the item's own result."""
        ...


MakeBatcher = Callable[[Callable[[Sequence[Any]], Sequence[Any]]], Batcher]


class Submission:
    """The use case behind ``POST /api/notifications``."""

    def __init__(
        self,
        *,
        jobs: JobRepository,
        publisher: Publisher,
        stats: Stats,
        clock: Clock,
        batcher: MakeBatcher,
        random_bytes: Callable[[int], bytes],
        policy: Policy,
    ) -> None:
        self._jobs = jobs
        self._publisher = publisher
        self._stats = stats
        self._clock = clock
        self._random_bytes = random_bytes
        self._policy = policy
        self._batcher = batcher(self._flush)

    def accept(self, new: NewNotification) -> Accepted:
        """Store one job durably and publish its hint; returns when the job is stored.

        A hint that can't be published changes nothing: the sweep publishes it later. Raises ``StoreError`` (nothing
        stored), ``UncertainWriteError`` (it may have been), ``IdempotencyMismatchError``. May be repeated safely with
        an idempotency key.
        """
        job = self._job(new)
        existing: Job | None = self._batcher.submit(job)
        if existing is None:
            return Accepted(job)
        if existing.fingerprint != job.fingerprint:
            raise IdempotencyMismatchError(
                "This Idempotency-Key was used before with another body. "
                "Send the same body again, or use a new key for a new notification."
            )
        return Accepted(existing, is_replay=True)

    def _flush(self, jobs: Sequence[Job]) -> Sequence[_Inserted]:
        results = self._insert(jobs)
        stored = [job for job, existing in zip(jobs, results, strict=True) if existing is None]
        for job in stored:
            self._stats.add(job.client, job.type, job.status)
        self._publish([job.hint() for job in stored if job.status is Status.QUEUED])
        return results

    def _publish(self, hints: Sequence[Hint]) -> None:
        try:
            self._publisher.publish(hints)
        except Exception:
            # The jobs are stored: whatever went wrong with their hints must not make their clients send them again.
            log.exception("publish_failed")

    def _insert(self, jobs: Sequence[Job]) -> Sequence[_Inserted]:
        try:
            return self._jobs.insert(jobs)
        except RefusedError as error:
            # Nothing was stored. One of them can't be: that must not cost the others, who only came at the same time.
            return [error] if len(jobs) == 1 else [self._insert_one(job) for job in jobs]

    def _insert_one(self, job: Job) -> _Inserted:
        try:
            [existing] = self._jobs.insert([job])
        except (RefusedError, StoreError) as error:
            return error
        return existing

    def _job(self, new: NewNotification) -> Job:
        now = self._clock.now()
        is_scheduled = new.send_at is not None and new.send_at > now
        starts_at = new.send_at if is_scheduled and new.send_at is not None else now
        expires_at = new.expires_at or starts_at + DEFAULT_TIME_TO_LIVE
        status = Status.SCHEDULED if is_scheduled else Status.QUEUED
        due_at = starts_at if is_scheduled else now + self._policy.hint_grace
        return Job(
            job_id=JobId(uuid7(now, self._random_bytes(10))),
            client=new.client,
            type=new.type,
            to=new.to,
            payload=new.payload,
            metadata=new.metadata,
            status=status,
            priority=new.priority,
            max_attempts=new.max_attempts,
            on_unknown_outcome=new.on_unknown_outcome,
            idempotency_key=new.idempotency_key,
            fingerprint=new.fingerprint,
            created_at=now,
            updated_at=now,
            send_at=new.send_at,
            expires_at=expires_at,
            queued_at=None if is_scheduled else now,
            due_at=min(due_at, expires_at),
            logs=(LogEntry(now, "accepted"),),
            log_count=1,
        )
