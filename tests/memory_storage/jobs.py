"""``MemoryJobRepository``: jobs kept in dictionaries, by the rules of ``JobRepository``."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import bson

from wavecom.core.engine import ClaimRequested, Transition, decide
from wavecom.core.job import Claim, Job, JobId, label_text, recipient_text
from wavecom.core.lanes import QUEUES, Channel, LaneQueue, Priority
from wavecom.core.ports import Cursor, JobFilter, Page
from wavecom.core.states import CLAIMABLE, Status
from wavecom.storage.mongo.documents import CODEC, encode_job, to_job

_WRITES_KEPT = 8


def _system_time() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def stored_copy(job: Job) -> Job:
    """The job as MongoDB gives it back: bytes of BSON, read again."""
    return to_job(bson.decode(encode_job(job).raw, codec_options=CODEC))


class MemoryJobRepository:
    """``wavecom.core.ports.JobRepository`` without a server; ``clock`` is the store's own time."""

    def __init__(self, clock: Callable[[], datetime] = _system_time) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._jobs: dict[JobId, Job] = {}
        self._ids_by_key: dict[tuple[str, str], JobId] = {}
        self._writes: dict[JobId, deque[Transition]] = {}

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        """See the port. Raises ``InvalidRequestError`` too, before anything is stored, for what BSON can't hold."""
        # Through the real codec: cut to milliseconds, independent of the caller's objects, refused where MongoDB would.
        copies = [stored_copy(job) for job in jobs]
        with self._lock:
            return [self._insert(job) for job in copies]

    def all(self) -> list[Job]:
        """Every job, in the order in which they came."""
        with self._lock:
            return list(self._jobs.values())

    def put(self, job: Job) -> None:
        """Store it as it is, in the place of whatever was there: for a test that needs it so."""
        with self._lock:
            self._jobs[job.job_id] = job

    def _insert(self, job: Job) -> Job | None:
        if job.job_id in self._jobs:
            return None
        if job.idempotency_key is not None:
            holder = self._ids_by_key.setdefault((job.client, job.idempotency_key), job.job_id)
            if holder != job.job_id:
                return _without_log(self._jobs[holder])
        self._jobs[job.job_id] = job
        return None

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        """See the port."""
        granted: dict[JobId, Job] = {}
        with self._lock:
            for job_id in job_ids:
                job = self._jobs.get(job_id)
                if job is None:
                    continue
                transition = decide(job, ClaimRequested(claim), now)
                if transition is not None:
                    job = self._jobs[job_id] = transition.applied_to(job)
                if job.status is Status.PROCESSING and job.claim is not None and job.claim.token == claim.token:
                    granted[job_id] = _without_log(job)
        return granted

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        """See the port. Several transitions of one job are written in order, each guarded by what the last one left."""
        with self._lock:
            return [self._apply(transition) for transition in transitions]

    def _apply(self, transition: Transition) -> bool:
        job = self._jobs.get(transition.job_id)
        if job is None:
            return False
        writes = self._writes.setdefault(transition.job_id, deque(maxlen=_WRITES_KEPT))
        if any(transition is written for written in writes):
            return True
        if not transition.guard.holds(job):
            return False
        self._jobs[transition.job_id] = transition.applied_to(job)
        writes.append(transition)
        return True

    def get(self, job_id: JobId, client: str | None = None) -> Job | None:
        """See the port."""
        with self._lock:
            job = self._jobs.get(job_id)
        return job if job is not None and client in {None, job.client} else None

    def by_idempotency_key(self, client: str, keys: Sequence[str]) -> dict[str, Job]:
        """See the port."""
        with self._lock:
            ids = {key: self._ids_by_key[client, key] for key in keys if (client, key) in self._ids_by_key}
            return {key: _without_log(self._jobs[job_id]) for key, job_id in ids.items()}

    def by_ids(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """See the port."""
        with self._lock:
            return {job_id: replace(self._jobs[job_id], payload={}) for job_id in job_ids if job_id in self._jobs}

    def by_message_ids(self, provider: str, message_ids: Sequence[str]) -> dict[str, Job]:
        """See the port."""
        with self._lock:
            return {
                job.provider_message_id: replace(job, payload={})
                for job in self._jobs.values()
                if job.provider == provider and job.provider_message_id in message_ids
            }

    def accounts_that_sent(self, provider: str, channel: Channel, recipient: str) -> frozenset[str]:
        """See the port."""
        where = JobFilter(recipient=recipient, type=channel, provider=provider)
        with self._lock:
            return frozenset(job.client for job in self._jobs.values() if _matches(job, where))

    def search(self, where: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        """See the port."""
        with self._lock:
            found = [job for job in self._jobs.values() if _matches(job, where)]
        found.sort(key=_newest_last, reverse=True)
        if after is not None:
            found = [job for job in found if _newest_last(job) < (after.created_at, after.job_id)]
        jobs = tuple(_for_lists(job) for job in found[:limit])
        last = jobs[-1] if len(found) > limit and jobs else None
        return Page(jobs, None if last is None else Cursor(last.created_at, last.job_id))

    def count(self, where: JobFilter, limit: int) -> int | None:
        """See the port."""
        with self._lock:
            return min(limit, sum(_matches(job, where) for job in self._jobs.values()))

    def due(
        self,
        status: Status,
        now: datetime,
        limit: int,
        *,
        queues: Sequence[LaneQueue] = QUEUES,
        queued_before: datetime | None = None,
        expired_only: bool = False,
    ) -> list[Job]:
        """See the port."""
        with self._lock:
            found = [
                (job.due_at, job)
                for job in self._jobs.values()
                if job.status is status
                and (job.due_at is not None and job.due_at <= now)
                and job.lane.queue in queues
                and (queued_before is None or (job.queued_at is not None and job.queued_at < queued_before))
                and (not expired_only or job.expires_at <= now)
            ]
        found.sort(key=lambda pair: pair[0])
        return [_for_lists(job) for _, job in found[:limit]]

    def parked(self, priority: Priority, now: datetime, limit: int) -> list[Job]:
        """See the port."""
        with self._lock:
            found = [
                (job.due_at, job)
                for job in self._jobs.values()
                if job.status in CLAIMABLE
                and job.queued_at is None
                and job.priority is priority
                and (job.due_at is not None and job.due_at <= now)
            ]
        found.sort(key=lambda pair: pair[0])
        return [_for_lists(job) for _, job in found[:limit]]

    def now(self) -> datetime:
        """See the port."""
        return self._clock()

    def ping(self) -> None:
        """See the port."""


def _matches(job: Job, where: JobFilter) -> bool:
    return (
        where.client in {None, job.client}
        and (not where.accounts or job.client in where.accounts)
        and where.is_test in {None, job.lane.is_test}
        and where.job_id in {None, job.job_id}
        and where.idempotency_key in {None, job.idempotency_key}
        and where.campaign in {None, job.campaign}
        and (not where.statuses or job.status in where.statuses)
        and where.type in {None, job.type}
        and where.priority in {None, job.priority}
        and where.provider in {None, job.provider}
        and where.error_code in {None, job.error.code if job.error else None}
        and (where.recipient is None or recipient_text(where.recipient) in _addresses(job))
        and _has_label(job, where)
        and (where.created_since is None or where.created_since <= job.created_at)
        and (where.created_before is None or job.created_at < where.created_before)
    )


def _addresses(job: Job) -> set[str]:
    match job.type:
        case Channel.EMAIL:
            found = [job.to.get("email")]
        case Channel.SMS:
            found = [job.to.get("phone")]
        case Channel.PUSH:
            found = [job.to.get("token"), (job.to.get("subscription") or {}).get("endpoint")]
    return {recipient_text(address) for address in found if isinstance(address, str)}


def _has_label(job: Job, where: JobFilter) -> bool:
    key, value = where.metadata_key, where.metadata_value
    if key is None:
        return True
    return key in job.metadata and (value is None or label_text(job.metadata[key]) == value)


def _newest_last(job: Job) -> tuple[datetime, JobId]:
    return job.created_at, job.job_id


def _without_log(job: Job) -> Job:
    return replace(job, logs=())


def _for_lists(job: Job) -> Job:
    return replace(job, payload={}, logs=())
