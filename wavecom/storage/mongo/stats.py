"""Kept counters: the collections ``stats`` and ``stats_hourly``, one document per minute or hour, client and channel.

Counted in memory and written about once a second, so that counting costs nothing where it happens and the pages never
have to count jobs; by hours too, so that a year is not added up from half a million minutes. Each flush carries an id
that the documents remember: a flush of which nobody knows whether it was written is simply repeated, and counts once.

``counts`` are jobs that entered each status, ``accepted`` those of them that were new. The latter stands wherever jobs
were queued or scheduled, be it 0: where it does not, an older release has counted.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from bson.objectid import ObjectId
from prometheus_client import Counter
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from wavecom.core.account import is_test_account
from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.core.stats import Counts
from wavecom.errors import StoreError
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import DUPLICATE_KEY, reading, writing

log = structlog.get_logger()

ENTERED = Counter(
    "wavecom_jobs_total", "Jobs of live accounts that this process moved into a status", ["type", "status"]
)

#: Flushes that a document remembers: several processes write to it every second.
_FLUSHES_KEPT = 64


class _Key(NamedTuple):
    """Which document: the beginning of a minute or hour, whose jobs, which channel."""

    at: datetime
    client: str
    channel: Channel


#: What is added to a document's fields, by their paths.
_Counts = dict[_Key, dict[str, int]]

_ACCEPTED = "accepted"
#: In which new jobs begin.
_FIRST = (Status.QUEUED, Status.SCHEDULED)


@dataclass(frozen=True, slots=True)
class _Flush:
    """Counts on their way into the store, under the id that they leave in the documents."""

    counts: _Counts
    id: ObjectId = field(default_factory=ObjectId)


class MongoStats:
    """``wavecom.core.stats.Stats``; safe to share between threads, one per process, to be made after the fork.

    While the store is away counts are held back, up to ``capacity`` documents of them; what is beyond is dropped and
    said in the log. ``now`` is aware UTC.
    """

    def __init__(
        self,
        database: Database[Document],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        interval_seconds: float = 1.0,
        capacity: int = 20_000,
    ) -> None:
        self._stats = durable(database["stats"])
        self._hourly = durable(database["stats_hourly"])
        self._now = now
        self._interval_seconds = interval_seconds
        self._capacity = capacity
        self._lock = threading.Lock()
        self._counts: _Counts = {}
        self._dropped = 0
        self._flushing = threading.Lock()
        #: The flush that the store has not confirmed yet; it is repeated as it is before anything newer is written.
        self._unconfirmed: _Flush | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, client: str, channel: Channel, status: Status, count: int = 1, *, is_new: bool = False) -> None:
        """See the port. Counts for Prometheus too: live accounts alone, and no client told from another."""
        if not is_test_account(client):
            ENTERED.labels(channel.value, status.value).inc(count)
        key = _Key(Interval.MINUTE.start_of(self._now()), client, channel)
        with self._lock:
            counts = self._counts.get(key)
            if counts is None:
                if len(self._counts) >= self._capacity:
                    self._dropped += count
                    return
                counts = self._counts[key] = {}
            counts[f"counts.{status.value}"] = counts.get(f"counts.{status.value}", 0) + count
            if is_new or status in _FIRST:
                counts[_ACCEPTED] = counts.get(_ACCEPTED, 0) + (count if is_new else 0)
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._keep_flushing, name="stats", daemon=True)
                self._thread.start()

    def totals(self, since: datetime, before: datetime, client: str | None = None) -> dict[Status, int]:
        """See the port. Raises ``StoreError``."""
        where: Document = {} if client is None else {"client": client}
        where["minute"] = {"$gte": since, "$lt": before}
        sums = {status.value: {"$sum": f"$counts.{status.value}"} for status in Status}
        with reading():
            found = list(self._stats.aggregate([{"$match": where}, {"$group": {"_id": None} | sums}]))
        return {status: group[status.value] for group in found for status in Status if group[status.value]}

    def accepted(self, since: datetime, before: datetime) -> dict[tuple[str, Channel], int]:
        """See the port. Raises ``StoreError``.

        Of what an older release has counted, it is what was queued or scheduled: replays too, and twice what was
        sent later.
        """
        first = {"$add": [{"$ifNull": [f"$counts.{status.value}", 0]} for status in _FIRST]}
        pipeline: list[Document] = [
            {"$match": {"minute": {"$gte": since, "$lt": before}}},
            {
                "$group": {
                    "_id": {"client": "$client", "type": "$type"},
                    _ACCEPTED: {"$sum": {"$ifNull": [f"${_ACCEPTED}", first]}},
                }
            },
        ]
        with reading():
            found = list(self._stats.aggregate(pipeline))
        return {
            (group["_id"]["client"], Channel(group["_id"]["type"])): group[_ACCEPTED]
            for group in found
            if group[_ACCEPTED]
        }

    def by_account(self, since: datetime, before: datetime) -> dict[str, dict[Status, int]]:
        """See the port. Raises ``StoreError``."""
        where: Document = {"minute": {"$gte": since, "$lt": before}}
        sums = {status.value: {"$sum": f"$counts.{status.value}"} for status in Status}
        with reading():
            found = list(self._stats.aggregate([{"$match": where}, {"$group": {"_id": "$client"} | sums}]))
        return {
            group["_id"]: {status: group[status.value] for status in Status if group[status.value]} for group in found
        }

    def series(
        self,
        since: datetime,
        before: datetime,
        step: Interval,
        client: str | None = None,
        *,
        is_test: bool | None = None,
    ) -> dict[datetime, Counts]:
        """See the port. Raises ``StoreError``."""
        kept, unit = (self._stats, "minute") if step is Interval.MINUTE else (self._hourly, "hour")
        where: Document = {} if client is None else {"client": client}
        where[unit] = {"$gte": since, "$lt": before}
        found: dict[datetime, dict[Channel, collections.Counter[Status]]] = {}
        with reading():
            for document in kept.find(where, {"_id": 0, unit: 1, "client": 1, "type": 1, "counts": 1}):
                if is_test not in {None, is_test_account(document["client"])}:
                    continue
                counts = found.setdefault(step.start_of(document[unit]), {})
                kinds = counts.setdefault(Channel(document["type"]), collections.Counter())
                kinds.update({Status(status): count for status, count in document["counts"].items()})
        return dict(found)

    def flush(self) -> None:
        """Write everything counted so far. Raises ``StoreError``; nothing is lost then, the next flush has it."""
        with self._flushing:
            while (flush := self._next_flush()) is not None:
                self._write(flush)
                self._unconfirmed = None

    def close(self) -> None:
        """Write what is left and end the thread. May be called twice; what is counted afterwards needs a ``flush``."""
        self._closing.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(timeout=30)
        try:
            self.flush()
        except StoreError as error:
            log.warning("stats_lost_at_close", documents=self._waiting(), error=str(error))

    def _next_flush(self) -> _Flush | None:
        if self._unconfirmed is None:
            with self._lock:
                counts, self._counts = self._counts, {}
                dropped, self._dropped = self._dropped, 0
            if dropped:
                log.warning("stats_dropped", count=dropped)
            if counts:
                self._unconfirmed = _Flush(counts)
        return self._unconfirmed

    def _write(self, flush: _Flush) -> None:
        hourly: _Counts = {}
        for key, counts in flush.counts.items():
            sums = hourly.setdefault(key._replace(at=Interval.HOUR.start_of(key.at)), {})
            for field_path, count in counts.items():
                sums[field_path] = sums.get(field_path, 0) + count
        with writing():
            for kept, unit, counted in ((self._stats, "minute", flush.counts), (self._hourly, "hour", hourly)):
                updates = [_update(flush.id, unit, key, counts) for key, counts in counted.items()]
                refused = _refused(kept, updates)
                # Another process made the document in this very moment, or this flush is in it: now the two differ.
                _refused(kept, [updates[index] for index in refused])

    def _keep_flushing(self) -> None:
        is_away = False
        while not self._closing.wait(self._interval_seconds):
            try:
                self.flush()
            except StoreError as error:
                if not is_away:
                    log.warning("stats_wait_for_store", error=str(error))
                is_away = True
            except Exception:
                log.exception("stats_discarded", documents=self._waiting())
                self._unconfirmed = None
            else:
                if is_away:
                    log.info("stats_store_is_back")
                is_away = False

    def _waiting(self) -> int:
        unconfirmed = self._unconfirmed
        return len(self._counts) + (len(unconfirmed.counts) if unconfirmed else 0)


def _refused(kept: Collection[Document], updates: list[UpdateOne]) -> list[int]:
    """Apply updates; the indexes of those that met a document without being allowed to change it."""
    if not updates:
        return []
    try:
        kept.bulk_write(updates, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        if error.details["writeConcernErrors"] or any(each["code"] != DUPLICATE_KEY for each in failures):
            raise
        return [each["index"] for each in failures]
    return []


def _update(flush_id: ObjectId, unit: str, key: _Key, counts: dict[str, int]) -> UpdateOne:
    """Adds the counts unless the document remembers this flush; then the upsert meets its ``_id`` and is refused."""
    at, client, channel = key.at, key.client, key.channel.value
    return UpdateOne(
        {"_id": {unit: at, "client": client, "type": channel}, "flushes": {"$ne": flush_id}},
        {
            "$inc": counts,
            "$push": {"flushes": {"$each": [flush_id], "$slice": -_FLUSHES_KEPT}},
            "$setOnInsert": {unit: at, "client": client, "type": channel},
        },
        upsert=True,
    )
