"""``DeadLetterRepository`` on the collection ``jobs``: failed jobs, for the operators' commands and the reconciliation.

A job has ``deadLetteredAt`` exactly as long as it should have a dead letter in the queue: a replay and a discard remove
it. The condition on it comes first in every filter, for the embedded servers (``MongoJobRepository``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from wavecom.core.audit import FailureReason
from wavecom.core.dead_letters import DeadLetterFilter, PagePosition
from wavecom.core.job import Job, JobId
from wavecom.core.states import Status
from wavecom.storage.mongo.documents import CODEC, Document
from wavecom.storage.mongo.errors import reading
from wavecom.storage.mongo.sharded_jobs import ShardedJobs
from wavecom.storage.mongo.unreadable import JobReader

_FOR_LISTS = {"payload": 0, "logs": 0, "writes": 0}
#: A date, instead of "exists": that way the sparse index can answer alone.
_EVER = {"$gt": datetime(1970, 1, 1, tzinfo=UTC)}


class MongoDeadLetterRepository:
    """``wavecom.core.dead_letters.DeadLetterRepository``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._jobs = database["jobs"].with_options(codec_options=CODEC)
        self._sharded = ShardedJobs(self._jobs)
        self._reader = JobReader()

    def page(
        self,
        where: DeadLetterFilter,
        limit: int,
        *,
        until: datetime | None = None,
        after: PagePosition | None = None,
        newest_first: bool = False,
    ) -> tuple[list[Job], PagePosition | None]:
        """See the port."""
        conditions = _conditions(where)
        bounds: Document = conditions["deadLetteredAt"]
        if until is not None:
            bounds["$lte"] = until
        if after is not None:
            # That very time again, less what was read of it: many are dead-lettered in one millisecond.
            edge = "$lte" if newest_first else "$gte"
            bounds.pop("$gt", None)
            bounds[edge] = after.at
        seen = after.job_ids if after is not None else frozenset()
        with reading():
            cursor = self._jobs.find(conditions, _FOR_LISTS)
            cursor.sort("deadLetteredAt", DESCENDING if newest_first else ASCENDING)
            found = list(cursor.limit(limit + len(seen)))
        is_last = len(found) < limit + len(seen)
        read = [document for document in found if document["jobId"] not in seen][:limit]
        return list(self._reader.jobs(read)), None if is_last or not read else _place(read, after)

    def tally(self, where: DeadLetterFilter) -> Mapping[FailureReason, int]:
        """See the port."""
        group = {"_id": {"code": "$error.code", "provider": "$error.provider"}, "count": {"$sum": 1}}
        with reading():
            found = list(self._jobs.aggregate([{"$match": _conditions(where)}, {"$group": group}]))
        return {
            FailureReason(row["_id"].get("code", "unknown"), row["_id"].get("provider")): row["count"] for row in found
        }

    def count(self) -> int:
        """See the port."""
        with reading():
            return self._jobs.count_documents({"deadLetteredAt": _EVER})

    def unpublished(self) -> int:
        """See the port."""
        with reading():
            return self._jobs.count_documents({"status": Status.FAILED.value, "dueAt": _EVER})

    def wanted(self, job_ids: Sequence[JobId]) -> Mapping[JobId, datetime | None]:
        """See the port."""
        if not job_ids:
            return {}
        shown = {"_id": 0, "jobId": 1, "status": 1, "finishedAt": 1, "deadLetteredAt": 1, "dueAt": 1}
        with reading():
            return {
                found["jobId"]: found.get("finishedAt")
                for found in self._sharded.find(job_ids, shown)
                if found["status"] == Status.FAILED.value and ("deadLetteredAt" in found or "dueAt" in found)
            }

    def find(self, job_ids: Sequence[JobId], client: str | None = None) -> list[Job]:
        """See the port."""
        with reading():
            found = self._sharded.find(job_ids, _FOR_LISTS)
        return list(self._reader.jobs(each for each in found if client is None or each.get("client") == client))


def _place(read: Sequence[Document], after: PagePosition | None) -> PagePosition:
    at: datetime = read[-1]["deadLetteredAt"]
    seen = frozenset(document["jobId"] for document in read if document["deadLetteredAt"] == at)
    return PagePosition(at, seen | after.job_ids if after is not None and after.at == at else seen)


def _conditions(where: DeadLetterFilter) -> Document:
    conditions: Document = {"deadLetteredAt": dict(_EVER)}
    if where.failed_since is not None:
        # A job fails before it is dead-lettered: that bound narrows what the index is read for.
        conditions["deadLetteredAt"] = {"$gte": where.failed_since}
    failed_at: Document = {}
    if where.failed_since is not None:
        failed_at["$gte"] = where.failed_since
    if where.failed_before is not None:
        failed_at["$lt"] = where.failed_before
    if failed_at:
        conditions["finishedAt"] = failed_at
    if where.error_code is not None:
        conditions["error.code"] = where.error_code
    if where.provider is not None:
        conditions["error.provider"] = where.provider
    if where.type is not None:
        conditions["type"] = where.type.value
    if where.client is not None:
        conditions["client"] = where.client
    return conditions
