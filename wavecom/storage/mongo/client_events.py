"""Events of clients: those in jobs, the logs in the collection ``events``, and who uses them (``event_accounts``)."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from pymongo import ASCENDING, DESCENDING, UpdateMany
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern

from wavecom.core.client_events import RECORDING_DELAY, ClientEvent, UnpublishedEvents
from wavecom.core.job import JobError, JobId, Trace
from wavecom.core.lanes import Channel
from wavecom.core.states import NOT_FINAL, Status
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document, decode_json
from wavecom.storage.mongo.errors import DUPLICATE_KEY, reading, writing
from wavecom.storage.mongo.recorded_events import event_document, parent_document, parent_of, to_event
from wavecom.storage.mongo.sharded_jobs import ShardedJobs

log = structlog.get_logger()

#: Jobs with events that can't be read which a process remembers.
_REMEMBERED = 10_000
#: By how much the times of an account's log may be out of order: several publish at once.
_DISORDER = timedelta(minutes=1)
#: So many positions are read rather than halved.
_NEAR = 500
#: Jobs whose events are taken out with one update.
_GROUP = 100

#: Jobs that may get another event.
_NOT_OVER = sorted(NOT_FINAL | {Status.FAILED})

_FOR_EVENTS = {"_id": 0, "payload": 0, "to": 0, "logs": 0, "writes": 0, "labels": 0}


class MongoRecordedEvents:
    """``RecordedEvents`` in the collection ``jobs``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = durable(database["jobs"])
        self._sharded = ShardedJobs(self._jobs)
        #: Jobs whose events can't be read; each was logged. Of more than so many some are logged again.
        self._unreadable: set[str] = set()

    def due(self, now: datetime, limit: int) -> Sequence[UnpublishedEvents]:
        """See the port."""
        where = {"eventsDueAt": {"$lte": now}}
        asked = limit + len(self._unreadable)
        while True:
            with reading():
                found = list(self._jobs.find(where, _FOR_EVENTS).sort("eventsDueAt", ASCENDING).limit(asked))
            readable = list(self._readable(found))
            if len(readable) >= limit or len(found) < asked:
                return readable[:limit]
            # What can't be read stays, as the oldest there is; it must take nobody's place.
            asked *= 2

    def settle(self, published: Sequence[UnpublishedEvents]) -> None:
        """See the port."""
        if not published:
            return
        taken = {"$set": {"events": []}, "$unset": {"eventsDueAt": ""}}
        # Together by version: most have one of very few, and an update of each alone takes many times as long.
        by_version: dict[int, list[JobId]] = {}
        for each in published:
            by_version.setdefault(each.last_version, []).append(each.job_id)
        with writing():
            # One that is missed is published again, which changes nothing, and settled then.
            writes = [
                UpdateMany(self._sharded.by_ids(job_ids[start : start + _GROUP]) | {"eventVersion": version}, taken)
                for version, job_ids in by_version.items()
                for start in range(0, len(job_ids), _GROUP)
            ]
            self._jobs.bulk_write(writes, ordered=False)

    def leave_out_versions(self, count: int) -> None:
        """See ``wavecom.core.store_recovery.EventVersions``. Those that nobody has published yet get new ones, too."""
        where = {"status": {"$in": _NOT_OVER}, "eventVersion": {"$exists": True}}
        with writing():
            self._jobs.update_many(where, {"$inc": {"eventVersion": count}})

    def _readable(self, documents: Sequence[Document]) -> Iterator[UnpublishedEvents]:
        """What a release that is newer, or somebody by hand, has written costs itself alone."""
        for document in documents:
            try:
                yield _to_unpublished(document)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                self._pass_over(str(document.get("jobId")), error)

    def _pass_over(self, job_id: str, error: Exception) -> None:
        if job_id in self._unreadable:
            return
        if len(self._unreadable) >= _REMEMBERED:
            self._unreadable.clear()
        self._unreadable.add(job_id)
        # The error's own text may quote the document.
        log.error("events_unreadable", job_id=job_id, error=type(error).__name__)


class MongoEventLog:
    """``EventLog`` on the collection ``events``; safe to share between threads.

    The position of an event is unique in its account, and given by the insert itself: whoever inserts has seen all
    before it, and of two that insert at the same position one is refused and looks again. So there are no gaps, and a
    reader who has one has all before it.
    """

    def __init__(self, database: Database[Document]) -> None:
        self._events = durable(database["events"])
        self._accounts = durable(database["event_accounts"])
        #: As most of the replica set has them: a position that was read must never be given to another event.
        self._confirmed = self._events.with_options(read_concern=ReadConcern("majority"))

    def append(self, account: str, events: Sequence[ClientEvent]) -> None:
        """See the port."""
        with writing():
            present = {each["_id"] for each in self._events.find(_with_ids(events), {"_id": 1})}
            pending = [_to_document(event) for event in events if event.event_id not in present]
            last = self._bounds(account)[1]
            while pending:
                for position, document in enumerate(pending, last + 1):
                    document["position"] = position
                try:
                    self._events.insert_many(pending, ordered=True)
                except BulkWriteError as error:
                    if error.details["writeConcernErrors"]:
                        raise
                    [refused] = error.details["writeErrors"]
                    if refused["code"] != DUPLICATE_KEY:
                        raise
                    pending = pending[refused["index"] :]
                    # Another process was first, with this event or with this position.
                    if self._events.find_one({"_id": pending[0]["_id"]}, {"_id": 1}) is not None:
                        pending = pending[1:]
                    last = self._bounds(account)[1]
                else:
                    last += len(pending)
                    break
            # What the log ends with is known even when all that is in it has been purged.
            self._accounts.update_one({"_id": account}, {"$max": {"lastPosition": last}}, upsert=True)

    def after(
        self, account: str, position: int, limit: int, job_id: JobId | None = None, *, since: datetime | None = None
    ) -> Sequence[ClientEvent]:
        """See the port."""
        where: Document = {"account": account}
        if job_id is not None:
            where = {"jobId": job_id, "account": account}
        if since is not None:
            where["publishedAt"] = {"$gte": since}
        with reading():
            if since is not None:
                position = max(position, self._position_before(account, since - _DISORDER))
            where["position"] = {"$gt": position}
            found = list(self._confirmed.find(where).sort("position", ASCENDING).limit(limit))
        return [_to_client_event(each) for each in found]

    def by_ids(self, event_ids: Collection[str]) -> Mapping[str, ClientEvent]:
        """See the port."""
        with reading():
            found = list(self._events.find({"_id": {"$in": list(event_ids)}}))
        return {each["_id"]: _to_client_event(each) for each in found}

    def last_positions(self, accounts: Collection[str]) -> Mapping[str, int]:
        """See the port."""
        where = {"_id": {"$in": list(accounts)}, "lastPosition": {"$exists": True}}
        with reading():
            return {each["_id"]: _last_given(each) for each in self._accounts.find(where)}

    def bounds(self, account: str) -> tuple[int, int]:
        """See the port."""
        with reading():
            return self._bounds(account)

    def leave_out_positions(self, count: int) -> None:
        """See the port."""
        for account in self._all_accounts():
            with writing():
                last = self._bounds(account)[1]
                # An account that has had no event since an earlier leap still has the one before that as its last.
                known = self._accounts.find_one({"_id": account}) or {}
                gap = {"from": _last_given(known | {"lastPosition": last}), "to": last + count}
                self._accounts.update_one({"_id": account}, {"$set": {"lastPosition": last + count, "gap": gap}})

    def _all_accounts(self) -> list[str]:
        with reading():
            return [each["_id"] for each in self._accounts.find({"lastPosition": {"$exists": True}}, {"_id": 1})]

    def _position_before(self, account: str, moment: datetime) -> int:
        """A position behind which all events stand that were published since ``moment``; not many others do.

        Found by halves: no index leads to a time in an account's log, and reading up to it may be reading millions.
        """
        first, last = self._bounds(account)
        low, high = first - 1, last
        while high - low > _NEAR:
            middle = (low + high) // 2
            here = {"account": account, "position": {"$gt": middle}}
            times = {"position": 1, "publishedAt": 1}
            found = next(iter(self._events.find(here, times).sort("position", ASCENDING).limit(1)), None)
            if found is not None and found["publishedAt"] < moment:
                low = int(found["position"])
            else:
                high = middle
        return low

    def _bounds(self, account: str) -> tuple[int, int]:
        def end(direction: int) -> int | None:
            found = self._events.find({"account": account}, {"position": 1}).sort("position", direction).limit(1)
            return next((int(each["position"]) for each in found), None)

        first, last = end(ASCENDING), end(DESCENDING)
        known = self._accounts.find_one({"_id": account}, {"lastPosition": 1}) or {}
        last = max(last or 0, int(known.get("lastPosition", 0)))
        return (last + 1 if first is None else first), last


class MongoEventAccountStore:
    """``EventAccountStore`` on the collection ``event_accounts``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._accounts = durable(database["event_accounts"])

    def all(self) -> frozenset[str]:
        """See the port."""
        with reading():
            return frozenset(each["_id"] for each in self._accounts.find({"recordedSince": {"$exists": True}}))

    def recorded_since(self, account: str, now: datetime) -> datetime:
        """See the port."""
        with reading():
            known = self._accounts.find_one({"_id": account})
        if known is None or "recordedSince" not in known:
            with writing():
                # The first who says it counts.
                first = {"$min": {"recordedSince": now + RECORDING_DELAY}}
                self._accounts.update_one({"_id": account}, first, upsert=True)
            with reading():
                known = self._accounts.find_one({"_id": account}) or {}
        since: datetime = known["recordedSince"]
        return since


def _last_given(account: Document) -> int:
    """The last position that an event has, as an account's document has it: not one that was left out."""
    last, gap = int(account["lastPosition"]), account.get("gap")
    return int(gap["from"]) if gap is not None and gap["to"] == last else last


def _with_ids(events: Sequence[ClientEvent]) -> Document:
    return {"_id": {"$in": [event.event_id for event in events]}}


def _to_unpublished(document: Document) -> UnpublishedEvents:
    return UnpublishedEvents(
        job_id=JobId(document["jobId"]),
        account=document["client"],
        channel=Channel(document["type"]),
        idempotency_key=document.get("idempotencyKey"),
        metadata=decode_json(document)[2],
        events=tuple(to_event(each) for each in document["events"]),
        last_version=document["eventVersion"],
        trace=_trace_of(document),
        parent=parent_of(document),
    )


def _to_document(event: ClientEvent) -> dict[str, Any]:
    document = {
        **event_document(event),
        "_id": event.event_id,
        "account": event.account,
        "jobId": event.job_id,
        "version": event.version,
        "channel": event.channel.value,
        "publishedAt": event.published_at,
    }
    if event.idempotency_key is not None:
        document["idempotencyKey"] = event.idempotency_key
    if event.metadata:
        # As text: the names in it are the client's own, and nobody looks for them here.
        document["metadata"] = json.dumps(event.metadata)
    if event.trace is not None:
        document["trace"] = str(event.trace)
    if event.parent is not None:
        document["parent"] = parent_document(event.parent)
    return document


def _to_client_event(document: Document) -> ClientEvent:
    error = document.get("error")
    return ClientEvent(
        job_id=JobId(document["jobId"]),
        version=document["version"],
        account=document["account"],
        channel=Channel(document["channel"]),
        status=Status(document["status"]),
        at=document["at"],
        attempts=document["attempts"],
        provider=document.get("provider"),
        error=None if error is None else JobError(error["code"], error["message"], error.get("provider")),
        next_attempt_at=document.get("nextAttemptAt"),
        idempotency_key=document.get("idempotencyKey"),
        metadata=json.loads(document.get("metadata", "{}")),
        trace=_trace_of(document),
        parent=parent_of(document),
        published_at=document["publishedAt"],
        position=document["position"],
    )


def _trace_of(document: Document) -> Trace | None:
    return None if "trace" not in document else Trace.parse(document["trace"])
