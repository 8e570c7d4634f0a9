"""What a list of jobs asks the store: which conditions, in which ranges of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from wavecom.core.job import JobId, recipient_text
from wavecom.core.lanes import TEST_LANES_QUEUE, LaneQueue
from wavecom.core.ports import Cursor, JobFilter
from wavecom.core.states import NOT_FINAL
from wavecom.storage.mongo.documents import Document, label
from wavecom.storage.mongo.sharded_jobs import ShardedJobs
from wavecom.storage.mongo.time_ranges import TimeRanges

#: After this a list that has found too little says where to go on: its page is short, or even empty.
_LIST_BUDGET_SECONDS = 0.25
#: Where another index can go on: soon.
_LABEL_BUDGET_SECONDS = 0.05
#: Below every job id there is.
_LOWEST_ID = JobId("00000000-0000-0000-0000-000000000000")


class ListingRanges:
    """Conditions on ``createdAt`` that part what is to be listed, the newest first. Iterate once.

    ``rest`` is where to go on when it was given up before the end; None when all was read.
    """

    def __init__(self, where: JobFilter, after: Cursor | None, now: datetime, monotonic: Callable[[], float]) -> None:
        since, before = where.created_since, where.created_before
        if after is not None:
            before = after.created_at if before is None else min(before, after.created_at)
        self._where = where
        self._after = after
        self._since = since
        self._before = before
        budget_seconds = _LIST_BUDGET_SECONDS if where.metadata_key is None else _LABEL_BUDGET_SECONDS
        self._windows = TimeRanges("createdAt", since, before, now, budget_seconds=budget_seconds, monotonic=monotonic)
        self.rest: Cursor | None = None

    def __iter__(self) -> Iterator[Document]:
        if self._after is not None:
            # Jobs of the cursor's own millisecond, then whatever is older: a keyset without $or.
            yield {"createdAt": self._after.created_at, "jobId": {"$lt": self._after.job_id}}
        if (
            is_exact(self._where)
            or self._where.recipient is not None
            or (self._where.statuses and self._where.statuses <= NOT_FINAL)
        ):
            # One index finds these few, whatever their age.
            given = _bounds(self._since, self._before)
            yield {"createdAt": given} if given else {}
            return
        yield from self._windows
        stopped_at = self._windows.stopped_at
        if stopped_at is None:
            return
        if self._where.metadata_key is None:
            self.rest = Cursor(stopped_at, _LOWEST_ID)
        else:
            # Rare among the newest, so probably rare: now its own index leads to the others, whatever their age.
            text = label(self._where.metadata_key, self._where.metadata_value)
            yield {"labels": text, "createdAt": _bounds(self._since, stopped_at)}


def is_exact(where: JobFilter) -> bool:
    """Whether the filter names one job, by what has an index of its own."""
    return where.job_id is not None or where.idempotency_key is not None


def _bounds(since: datetime | None, before: datetime | None) -> Document:
    bounds = {"$gte": since, "$lt": before}
    return {name: at for name, at in bounds.items() if at is not None}


def conditions(where: JobFilter, queues: Sequence[LaneQueue], sharded: ShardedJobs) -> Document:
    """The filter but for times; ``queues``: those of every region. The embedded servers take its parts in this order:
    first what an index begins with.
    """
    found: Document = {}
    accounts = {where.client} if where.client is not None else where.accounts
    owner: Document = {}
    if accounts:
        owner["client"] = {"$in": sorted(accounts)} if len(accounts) > 1 else next(iter(accounts))
    if where.job_id is not None:
        found |= sharded.by_ids([where.job_id])
    if where.idempotency_key is not None:
        if accounts:
            found |= sharded.by_idempotency_keys(sorted(accounts), [where.idempotency_key])
            owner = {}
        else:
            found["idempotencyKey"] = {"$in": [where.idempotency_key]}
    if where.recipient is not None:
        # Before addresses were stored in one case they were stored as they came.
        found["recipient"] = {"$in": sorted({recipient_text(where.recipient), where.recipient})}
    if where.campaign is not None:
        found["campaign"] = where.campaign
    if where.metadata_key is not None:
        found["labels"] = label(where.metadata_key, where.metadata_value)
    if where.statuses:
        # Before the client, whose index leads the embedded servers through all that the client has.
        found["status"] = {"$in": sorted(where.statuses)}
    if where.is_test is not None:
        # Test accounts have a queue of their own, which stands beside the status in an index.
        kind = sorted(queue for queue in queues if queue.endswith(TEST_LANES_QUEUE) is where.is_test)
        found["queue"] = kind[0] if len(kind) == 1 else {"$in": kind}
    others = {"type": where.type, "priority": where.priority}
    texts = {"provider": where.provider, "error.code": where.error_code}
    found |= owner | {name: word.value for name, word in others.items() if word is not None}
    return found | {name: text for name, text in texts.items() if text is not None}
