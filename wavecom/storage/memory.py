"""Honest twins of what is kept in MongoDB: the same promises, kept in dictionaries. For tests.

``tests/contract`` runs one suite over both, so a test that uses a twin may believe it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import bson

from wavecom.core.account import is_test_account
from wavecom.core.engine import ClaimRequested, Transition, decide
from wavecom.core.job import Channel, Claim, Job, JobId, Priority, label_text, recipient_text
from wavecom.core.keys import KeyEvent, KeyRecord
from wavecom.core.ports import Counts, Cursor, Interval, JobFilter, Page
from wavecom.core.senders import SenderPolicy
from wavecom.core.sessions import SessionEnded, SessionRecord
from wavecom.core.states import CLAIMABLE, Status
from wavecom.storage.mongo.documents import CODEC, decode_job, decode_json, encode, encode_job
from wavecom.storage.mongo.outbox import OutboxCursor, OutboxPage

_WRITES_KEPT = 8


def _system_time() -> datetime:
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


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
        copies = [decode_job(encode_job(job)) for job in jobs]
        with self._lock:
            return [self._insert(job) for job in copies]

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
        channel: Channel | None = None,
        priority: Priority | None = None,
        queued_before: datetime | None = None,
        expired_only: bool = False,
        tests_only: bool = False,
    ) -> list[Job]:
        """See the port."""
        is_narrowed = channel is not None or priority is not None
        with self._lock:
            found = [
                (job.due_at, job)
                for job in self._jobs.values()
                if job.status is status
                and (job.due_at is not None and job.due_at <= now)
                and channel in {None, job.type}
                and priority in {None, job.priority}
                and (not is_test_account(job.client) if is_narrowed else is_test_account(job.client) or not tests_only)
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
        and where.is_test in {None, is_test_account(job.client)}
        and where.job_id in {None, job.job_id}
        and where.idempotency_key in {None, job.idempotency_key}
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


class MemoryKeyStore:
    """``wavecom.core.keys.KeyStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, KeyRecord] = {}
        self._policies: dict[str, SenderPolicy] = {}

    def find(self, key_hash: str) -> KeyRecord | None:
        """See the port."""
        return self._records.get(key_hash)

    def add(self, record: KeyRecord) -> None:
        """See the port."""
        with self._lock:
            self._records.setdefault(record.hash, record)

    def find_by_id(self, key_id: str) -> KeyRecord | None:
        """See the port."""
        return next((record for record in list(self._records.values()) if record.key_id == key_id), None)

    def revoke(self, key_id: str, at: datetime) -> KeyRecord | None:
        """See the port."""
        with self._lock:
            record = self.find_by_id(key_id)
            if record is not None and record.revoked_at is None:
                record = self._records[record.hash] = replace(record, revoked_at=at)
            return record

    def retire(self, key_id: str, at: datetime, replaced_by: str) -> bool:
        """See the port."""
        with self._lock:
            record = self.find_by_id(key_id)
            if record is None:
                return False
            if record.revoked_at is None and record.replaced_by is None:
                record = self._records[record.hash] = replace(record, expires_at=at, replaced_by=replaced_by)
            return record.replaced_by == replaced_by

    def of_client(self, client: str | None) -> list[KeyRecord]:
        """See the port."""
        records = [record for record in self._records.values() if client in {None, record.client}]
        return sorted(records, key=lambda record: (record.created_at, record.key_id), reverse=True)

    def sender_policy(self, client: str) -> SenderPolicy:
        """See the port."""
        return self._policies.get(client, SenderPolicy())

    def set_sender_policy(self, client: str, policy: SenderPolicy) -> None:
        """See the port."""
        self._policies[client] = policy


class MemorySessionStore:
    """``wavecom.core.sessions.SessionStore`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: dict[str, SessionRecord] = {}

    def add(self, record: SessionRecord) -> None:
        """See the port."""
        with self._lock:
            self._records.setdefault(record.session_id, record)

    def end_oldest(self, viewer: str, keep: int) -> None:
        """See the port."""
        for record in [record for record in self.all() if record.viewer == viewer][keep:]:
            self.end(record.session_id)

    def find(self, token_hash: str) -> SessionRecord | None:
        """See the port."""
        return next((record for record in list(self._records.values()) if record.token_hash == token_hash), None)

    def touch(self, session_id: str, at: datetime) -> None:
        """See the port."""
        with self._lock:
            record = self._records.get(session_id)
            if record is not None:
                self._records[session_id] = replace(record, last_seen_at=max(record.last_seen_at, at))

    def end(self, session_id: str) -> bool:
        """See the port."""
        with self._lock:
            return self._records.pop(session_id, None) is not None

    def end_of_key(self, key_id: str) -> int:
        """See the port."""
        with self._lock:
            ended = [record.session_id for record in self._records.values() if record.key_id == key_id]
            for session_id in ended:
                del self._records[session_id]
        return len(ended)

    def all(self) -> list[SessionRecord]:
        """See the port."""
        return sorted(self._records.values(), key=lambda record: (record.opened_at, record.session_id), reverse=True)


class MemorySessionAudit:
    """``wavecom.core.sessions.SessionAudit`` without a server."""

    def __init__(self) -> None:
        self.events: dict[str, SessionEnded] = {}

    def record_session_end(self, event: SessionEnded) -> None:
        """See the port."""
        self.events[event.event_id] = event


class MemoryBlobStore:
    """``wavecom.core.attachments.BlobStore`` without a server; ``purge`` does what time does to the other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blobs: dict[str, tuple[bytes, datetime]] = {}

    def put(self, blobs: Mapping[str, bytes], purge_at: datetime) -> None:
        """See the port."""
        with self._lock:
            for name, data in blobs.items():
                known = self._blobs.get(name, (data, purge_at))
                self._blobs[name] = (data, max(known[1], purge_at))

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        """See the port."""
        with self._lock:
            found = {name: self._blobs[name][0] for name in names if name in self._blobs}
            for name, data in found.items():
                self._blobs[name] = (data, max(self._blobs[name][1], purge_at))
        return found

    def purge(self, now: datetime) -> None:
        """Let go of what need not be kept any more."""
        with self._lock:
            self._blobs = {name: each for name, each in self._blobs.items() if each[1] > now}


class MemoryKeyAudit:
    """``wavecom.core.keys.KeyAudit`` without a server."""

    def __init__(self) -> None:
        self.events: dict[str, KeyEvent] = {}

    def record_key_event(self, event: KeyEvent) -> None:
        """See the port."""
        self.events[event.event_id] = event


class MemoryOutbox:
    """``wavecom.providers.base.Outbox`` without a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, dict[str, Any]] = {}

    def append(self, entry: Mapping[str, Any]) -> None:
        """See ``Outbox``."""
        decoded: dict[str, Any] = bson.decode(encode(dict(entry)).raw, codec_options=CODEC)
        to, payload, metadata = decode_json(decoded)
        copy = {name: decoded[name] for name in entry} | {"to": to, "payload": payload, "metadata": metadata}
        with self._lock:
            kept = self._entries.setdefault(entry["deliveryKey"], copy | {"times": 0})
            kept["times"] += 1

    def page(self, limit: int, after: OutboxCursor | None = None) -> OutboxPage:
        """At most ``limit`` entries, newest first."""
        with self._lock:
            found = [dict(entry) for entry in self._entries.values()]
        found.sort(key=lambda entry: (entry["at"], entry["deliveryKey"]), reverse=True)
        if after is not None:
            seen = (after.at, after.delivery_key)
            found = [entry for entry in found if (entry["at"], entry["deliveryKey"]) < seen]
        last = found[limit - 1] if len(found) > limit > 0 else None
        return OutboxPage(tuple(found[:limit]), None if last is None else OutboxCursor(last["at"], last["deliveryKey"]))


class MemoryStats:
    """``wavecom.core.ports.Stats`` without a server; ``now`` is aware UTC."""

    def __init__(self, now: Callable[[], datetime] = _system_time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._counts: Counter[tuple[datetime, str, Channel, Status]] = Counter()

    def add(self, client: str, channel: Channel, status: Status, count: int = 1) -> None:
        """See the port."""
        with self._lock:
            self._counts[Interval.MINUTE.start_of(self._now()), client, channel, status] += count

    def totals(self, since: datetime, before: datetime, client: str | None = None) -> dict[Status, int]:
        """See the port."""
        sums: Counter[Status] = Counter()
        with self._lock:
            for (minute, owner, _, status), count in self._counts.items():
                if since <= minute < before and client in {None, owner}:
                    sums[status] += count
        return dict(sums)

    def by_account(self, since: datetime, before: datetime) -> dict[str, dict[Status, int]]:
        """See the port."""
        found: dict[str, Counter[Status]] = {}
        with self._lock:
            for (minute, owner, _, status), count in self._counts.items():
                if since <= minute < before:
                    found.setdefault(owner, Counter())[status] += count
        return {owner: dict(counts) for owner, counts in found.items()}

    def series(
        self,
        since: datetime,
        before: datetime,
        step: Interval,
        client: str | None = None,
        *,
        is_test: bool | None = None,
    ) -> dict[datetime, Counts]:
        """See the port."""
        found: dict[datetime, dict[Channel, Counter[Status]]] = {}
        with self._lock:
            for (minute, owner, channel, status), count in self._counts.items():
                is_wanted = client in {None, owner} and is_test in {None, is_test_account(owner)}
                if since <= minute < before and is_wanted:
                    counts = found.setdefault(step.start_of(minute), {})
                    counts.setdefault(channel, Counter())[status] += count
        return dict(found)

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing to let go of."""
