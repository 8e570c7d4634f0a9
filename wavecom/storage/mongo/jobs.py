"""The truth about every job: ``JobRepository`` on the collection ``jobs``.

Filters are written for two readers: MongoDB's planner, which does not care, and the embedded servers, which take the
clauses in the order written, scan the collection for a top-level ``$or``, and use an index for a range only when the
range is on its first key or its keys are all that is asked for. Hence the unique key or the window first, ``$in`` and
``$not`` instead of ``$or``, and the sweep queue by queue.
"""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pymongo import DESCENDING
from pymongo.collection import Collection
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern

from wavecom.core.engine import EARLY_CLAIM, Policy, Transition, claimed_changes
from wavecom.core.job import Claim, Job, JobId
from wavecom.core.lanes import QUEUES, Channel, LaneQueue, Priority
from wavecom.core.ports import Cursor, JobFilter, Page
from wavecom.core.states import CLAIMABLE, Status
from wavecom.errors import UncertainWriteError
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document, encode_job, to_job
from wavecom.storage.mongo.errors import DUPLICATE_KEY, WRITE_CONFLICT, as_write_error, cause_of, reading
from wavecom.storage.mongo.listing import ListingRanges, conditions, is_exact
from wavecom.storage.mongo.sharded_jobs import ShardedJobs
from wavecom.storage.mongo.transitions import PendingWrite, claiming, operations, releasing
from wavecom.storage.mongo.unreadable import JobReader

T = TypeVar("T")

#: A call that failed later than this is not repeated here: the caller has waited long enough and must be told.
_REPEAT_WITHIN_SECONDS = 5.0
_TRIES = 3

_USUAL_MESSAGE_GRACE = Policy().message_grace

_WITHOUT_LOG = {"logs": 0, "writes": 0}
_FOR_RECEIPTS = {"payload": 0, "writes": 0, "labels": 0}
_FOR_LISTS = {"payload": 0, "logs": 0, "writes": 0, "labels": 0}

#: After this a list is given up, and the server stops working on it.
_LIST_LIMIT_MS = 8_000
#: Counts are for overviews: nobody waits for one.
_COUNT_LIMIT_MS = 500

#: A job that was claimed and can't be read goes to those who can, if there are any, no sooner than this.
_UNREADABLE_PAUSE = timedelta(seconds=60)


class MongoJobRepository:
    """``wavecom.core.ports.JobRepository``; safe to share between threads, one per process.

    ``message_grace`` must be the engine's: a job with a delivery message out is due at most that long after its
    ``queued_at``. ``queues`` gives those of every region.
    """

    def __init__(
        self,
        collection: Collection[Document],
        *,
        message_grace: timedelta = _USUAL_MESSAGE_GRACE,
        queues: Callable[[], Sequence[LaneQueue]] = lambda: QUEUES,
        monotonic: Callable[[], float] = time.monotonic,
        system_now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._jobs = durable(collection)
        #: The same jobs as most members of the replica set have them. Who is answered by what he reads, without a write
        #: of his own behind it, must not read what a primary that lost its majority will roll back.
        self._confirmed_jobs = self._jobs.with_options(read_concern=ReadConcern("majority"))
        self._sharded = ShardedJobs(self._jobs, monotonic)
        self._message_grace = message_grace
        self._queues = queues
        self._monotonic = monotonic
        self._system_now = system_now
        self._nonce = secrets.token_bytes(8)
        self._reader = JobReader()

    # --- insert -------------------------------------------------------------------------------------------------------

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        """See the port. Raises ``InvalidRequestError`` too, before anything is stored, for what BSON can't hold."""
        if not jobs:
            return []
        documents = [encode_job(job) for job in jobs]
        results: list[Job | None] = [None] * len(jobs)
        pending = list(range(len(jobs)))
        is_asked = False

        def step() -> None:
            # Repeating is safe whatever became of the first call: what it stored is met again by its own job id.
            nonlocal pending, is_asked
            if not is_asked:
                # The unique index knows nothing of the keys of 0.1.
                holders = self._holders_by_key(jobs, self._sharded.find_by_earlier_keys)
                for index in [index for index in pending if jobs[index].job_id in holders]:
                    results[index] = holders[jobs[index].job_id]
                    pending.remove(index)
                is_asked = True
            if not pending:
                return
            try:
                self._jobs.insert_many([documents[index] for index in pending], ordered=False)
            except BulkWriteError as error:
                if error.details["writeConcernErrors"]:
                    raise
                failures = [(pending[failure["index"]], failure["code"]) for failure in error.details["writeErrors"]]
                refused = [index for index, code in failures if code == DUPLICATE_KEY]
                pending = [index for index, _ in failures]
                holders = self._holders([jobs[index] for index in refused])
                for index in refused:
                    holder = holders.get(jobs[index].job_id)
                    if holder is None:
                        continue  # The holder was purged in this very moment: the key is free again.
                    results[index] = None if holder.job_id == jobs[index].job_id else holder
                    pending.remove(index)
                if pending:
                    raise

        self._repeatedly(step)
        return results

    def _holders(self, refused: Sequence[Job]) -> dict[JobId, Job]:
        """For each job that a unique index refused, who stands there: itself, or the owner of its idempotency key."""
        if not refused:
            return {}
        found = self._sharded.find([job.job_id for job in refused], _WITHOUT_LOG)
        holders = {job.job_id: job for job in self._reader.jobs(found)}
        others = [job for job in refused if job.job_id not in holders]
        return holders | self._holders_by_key(others, self._sharded.find_by_keys)

    def _holders_by_key(
        self, jobs: Sequence[Job], find: Callable[[str, Sequence[str], Document], list[Document]]
    ) -> dict[JobId, Job]:
        """For each of the jobs whose idempotency key ``find`` finds with another job, that one."""
        by_account: dict[str, dict[str, list[JobId]]] = {}
        for job in jobs:
            if job.idempotency_key is not None:
                by_account.setdefault(job.client, {}).setdefault(job.idempotency_key, []).append(job.job_id)
        holders: dict[JobId, Job] = {}
        for account, ids in by_account.items():
            for holder in self._reader.jobs(find(account, list(ids), _WITHOUT_LOG)):
                holders |= dict.fromkeys(ids.get(holder.idempotency_key or "", ()), holder)
        return holders

    # --- claim --------------------------------------------------------------------------------------------------------

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        """See the port."""
        ids = list(job_ids)
        if not ids:
            return {}
        takeable: Document = {
            "status": {"$in": sorted(CLAIMABLE)},
            "nextAttemptAt": {"$not": {"$gt": now + EARLY_CLAIM}},
            "expiresAt": {"$gt": now},
        }
        taken = claiming(claimed_changes(claim, now))

        def step() -> dict[JobId, Job]:
            # Again after an error: what the first call has taken does not match any more and is only read back.
            self._jobs.update_many(self._sharded.by_ids(ids) | takeable, taken)
            # By nothing but their ids: told a status as well, the embedded servers walk through all jobs in that
            # status. Whole, and the log dropped here: a projection costs them more than it saves.
            documents = self._sharded.read(ids)
            if self._sharded.are_missed(ids, documents):
                return step()
            for document in documents:
                _drop_log(document)
            readable = {job.job_id: job for job in self._reader.jobs(documents)}
            unreadable = [document["jobId"] for document in documents if document["jobId"] not in readable]
            if unreadable:
                # Nothing was sent, so nobody needs to wait for the lease and doubt it.
                held = {"claim.token": claim.token, "status": Status.PROCESSING.value}
                self._jobs.update_many(self._sharded.by_ids(unreadable) | held, releasing(now + _UNREADABLE_PAUSE, now))
            return {job_id: job for job_id, job in readable.items() if _is_held(job, claim)}

        return self._repeatedly(step)

    # --- apply --------------------------------------------------------------------------------------------------------

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        """See the port. Several transitions of one job are written in order, each guarded by what the last one left."""
        results = [False] * len(transitions)
        for indexes in _rounds(transitions):
            written = self._write([transitions[index] for index in indexes])
            for index, is_written in zip(indexes, written, strict=True):
                results[index] = is_written
        return results

    def _write(self, transitions: Sequence[Transition]) -> list[bool]:
        writes = [PendingWrite(transition, self._write_id(transition)) for transition in transitions]
        ids = [transition.job_id for transition in transitions]

        def step() -> list[bool]:
            # Again after an error: what was written carries its write id and does not match any more.
            outcome = self._jobs.bulk_write(list(operations(writes, self._sharded)), ordered=False)
            if outcome.matched_count == len(writes):
                return [True] * len(writes)
            found = self._sharded.read(ids, {"_id": 0, "jobId": 1, "writes": 1})
            if self._sharded.are_missed(ids, found):
                return step()
            written = {document["jobId"]: document.get("writes", ()) for document in found}
            return [write.id in written.get(job_id, ()) for job_id, write in zip(ids, writes, strict=True)]

        return self._repeatedly(step)

    def _write_id(self, transition: Transition) -> int:
        """The same number for the same transition handed to this repository again, another one for anybody else's.

        Identity is part of it: of two equal transitions that two threads decided on, only one may be told it won.
        Content too, because a new object may stand where an old one stood.
        """
        content = (transition.job_id, transition.guard, tuple(transition.changes.items()), transition.entries)
        return hash((self._nonce, id(transition), content))

    # --- reads --------------------------------------------------------------------------------------------------------

    def get(self, job_id: JobId, client: str | None = None) -> Job | None:
        """See the port."""
        with reading():
            found = self._sharded.find([job_id], {"writes": 0})
        return next((to_job(each) for each in found if client is None or each.get("client") == client), None)

    def by_idempotency_key(self, client: str, keys: Sequence[str]) -> dict[str, Job]:
        """See the port."""
        with reading():
            jobs = list(self._reader.jobs(self._sharded.find_by_keys(client, keys, _WITHOUT_LOG)))
        return {job.idempotency_key: job for job in jobs if job.idempotency_key is not None}

    def by_ids(self, job_ids: Sequence[JobId]) -> dict[JobId, Job]:
        """See the port."""
        with reading():
            documents = self._sharded.find(job_ids, _FOR_RECEIPTS, self._confirmed_jobs)
        found = self._reader.jobs(documents)
        return {job.job_id: job for job in found}

    def by_message_ids(self, provider: str, message_ids: Sequence[str]) -> dict[str, Job]:
        """See the port."""
        # Both keys of the index: by the second alone an embedded server was seen to find nothing.
        where = {"provider": provider, "providerMessageId": {"$in": list(message_ids)}}
        with reading():
            jobs = list(self._reader.jobs(self._confirmed_jobs.find(where, _FOR_RECEIPTS)))
        return {job.provider_message_id: job for job in jobs if job.provider_message_id is not None}

    def accounts_that_sent(self, provider: str, channel: Channel, recipient: str) -> frozenset[str]:
        """See the port."""
        # Read by the recipient's index: as many as were ever kept for one recipient, however many clients have sent.
        where = conditions(JobFilter(recipient=recipient, type=channel, provider=provider), (), self._sharded)
        with reading():
            return frozenset(self._jobs.distinct("client", where, maxTimeMS=_LIST_LIMIT_MS))

    def search(self, where: JobFilter, limit: int, after: Cursor | None = None) -> Page:
        """See the port. Reads window after window of ``createdAt``, so what is rare takes longer to find."""
        asked = conditions(where, self._queues(), self._sharded)
        found: list[Job] = []
        wanted = limit + 1
        ranges = ListingRanges(where, after, self._system_now(), self._monotonic)
        with reading():
            for bounds in ranges:
                # What has an index of its own goes before the time.
                both = asked | bounds if is_exact(where) else bounds | asked
                found += self._reader.first(wanted - len(found), self._newest(both))
                if len(found) >= wanted:
                    break
        if len(found) > limit:
            return Page(tuple(found[:limit]), Cursor(found[limit - 1].created_at, found[limit - 1].job_id))
        return Page(tuple(found), ranges.rest)

    def count(self, where: JobFilter, limit: int) -> int | None:
        """See the port."""
        with reading():
            try:
                asked = conditions(where, self._queues(), self._sharded)
                return self._jobs.count_documents(asked, limit=limit, maxTimeMS=_COUNT_LIMIT_MS)
            except ExecutionTimeout:
                return None

    def _newest(self, where: Document) -> Callable[[int], Iterable[Document]]:
        def find(limit: int) -> Iterable[Document]:
            cursor = self._jobs.find(where, _FOR_LISTS).sort([("createdAt", DESCENDING), ("jobId", DESCENDING)])
            return cursor.max_time_ms(_LIST_LIMIT_MS).limit(limit)

        return find

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
        found: list[Job] = []
        with reading():
            if expired_only or (queued_before is not None and status not in CLAIMABLE):
                found = self._due_among_all(status, queues, now, limit, queued_before, expired_only)
            else:
                # Queue by queue, even when all are wanted: then one index leads straight to what is due, and a deep
                # backlog in one queue is not walked through for the others.
                for queue in queues:
                    found += self._due_in(status, queue, now, limit, queued_before)
        found.sort(key=lambda job: job.due_at or now)
        return found[:limit]

    def parked(self, priority: Priority, now: datetime, limit: int) -> list[Job]:
        """See the port."""
        where: Document = {"parkedUntil": {"$lte": now}, "priority": priority.value}
        with reading():
            return self._reader.first(limit, self._earliest("parkedUntil", where))

    def _due_in(
        self, status: Status, queue: str, now: datetime, limit: int, queued_before: datetime | None
    ) -> list[Job]:
        where: Document = {"status": status.value, "queue": queue}
        if queued_before is None:
            return self._reader.first(limit, self._earliest("dueAt", where | {"dueAt": {"$lte": now}}))
        # A deep backlog is due all the time, with nothing to be done about it, and is not walked through: what is lost
        # was due soon after it was queued.
        last_due = min(now, queued_before + self._message_grace)
        published = self._jobs.find(where | {"dueAt": {"$lte": last_due}}, _FOR_LISTS)
        with published.sort("dueAt").batch_size(limit) as documents:
            # Asked here and not in the filter, where it would keep the embedded servers from using the index.
            jobs = self._reader.jobs(documents)
            lost = (job for job in jobs if job.queued_at and job.queued_at < queued_before)
            return list(itertools.islice(lost, limit))

    def _due_among_all(
        self,
        status: Status,
        queues: Sequence[LaneQueue],
        now: datetime,
        limit: int,
        queued_before: datetime | None,
        expired_only: bool,
    ) -> list[Job]:
        """For what no index knows: looks at every due job of the status."""
        where: Document = {"status": status.value, "dueAt": {"$lte": now}, "queue": {"$in": list(queues)}}
        if expired_only:
            where["expiresAt"] = {"$lte": now}
        if queued_before is not None:
            where["queuedAt"] = {"$lt": queued_before}
        return self._reader.first(limit, self._earliest("dueAt", where))

    def _earliest(self, name: str, where: Document) -> Callable[[int], Iterable[Document]]:
        return lambda limit: self._jobs.find(where, _FOR_LISTS).sort(name).limit(limit)

    def now(self) -> datetime:
        """See the port."""
        with reading():
            reply = self._jobs.database.client.admin.command("hello")
        local_time: datetime = reply["localTime"]
        return local_time if local_time.tzinfo is not None else local_time.replace(tzinfo=UTC)

    def ping(self) -> None:
        """See the port."""
        with reading():
            self._jobs.database.client.admin.command("ping")

    # --- after an error -----------------------------------------------------------------------------------------------

    def _repeatedly(self, step: Callable[[], T]) -> T:
        """Run a step that may be repeated; again at once after an error that leaves it open what was written.

        The driver has repeated by itself what it may (not ``update_many``); a second failure of everything, or one
        that came late, goes to the caller.
        """
        started = self._monotonic()
        is_uncertain = False
        for tries_left in reversed(range(_TRIES)):
            try:
                return step()
            except PyMongoError as error:
                failure = as_write_error(error)
                is_uncertain = is_uncertain or isinstance(failure, UncertainWriteError)
                is_late = self._monotonic() - started > _REPEAT_WITHIN_SECONDS
                if not tries_left or is_late or not _is_passing(error):
                    raise (UncertainWriteError(str(failure)) if is_uncertain else failure) from cause_of(error)
        raise AssertionError("unreachable")


def _drop_log(document: Document) -> None:
    for name in _WITHOUT_LOG:
        document.pop(name, None)


def _is_held(job: Job, claim: Claim) -> bool:
    return job.status is Status.PROCESSING and job.claim is not None and job.claim.token == claim.token


def _is_passing(error: PyMongoError) -> bool:
    """Whether the same call may well succeed at once: a connection was cut, a primary changed, writes collided."""
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # The driver has just waited for a server as long as anybody should.
    if isinstance(error, AutoReconnect | BulkWriteError | WriteConcernError):
        return True
    return isinstance(error, OperationFailure) and error.code == WRITE_CONFLICT


def _rounds(transitions: Sequence[Transition]) -> Iterator[list[int]]:
    """Indexes in such groups that no job comes twice in one and each job's transitions stay in order."""
    remaining = list(range(len(transitions)))
    while remaining:
        seen: set[JobId] = set()
        later: list[int] = []
        group: list[int] = []
        for index in remaining:
            job_id = transitions[index].job_id
            (later if job_id in seen else group).append(index)
            seen.add(job_id)
        yield group
        remaining = later
