"""Gives jobs of 0.1 their shard key while WaveCom runs, and drops the indexes of 0.1 when none needs them (ADR 41).

Nothing here is undone by an interruption: what is done is done, and the next run goes on with the rest.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pymongo import ASCENDING, IndexModel, UpdateOne
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, NetworkTimeout

from wavecom.core.job import JobId
from wavecom.core.job_ids import request_hash, shard_key_of, shard_key_of_request
from wavecom.errors import ConflictError, UncertainWriteError
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing
from wavecom.storage.mongo.indexes import INDEXES, OLD_INDEXES
from wavecom.storage.mongo.sharded_jobs import BELIEVED_SECONDS, EARLIER_KEYS

_KEYLESS: Final[Document] = {"shardKey": None}
_BATCH: Final = 200
#: How long a run that says nothing any more keeps others out.
_HOLD: Final = timedelta(seconds=60)
#: How long it rests at a time: what comes between two renewals takes half a minute at the most.
_RENEW_SECONDS: Final = 20.0
_HOLD_ID: Final = "shard keys"
#: Twice as long as any process acts on what it has seen.
WAIT_BEFORE_DROP_SECONDS: Final = 2 * BELIEVED_SECONDS
#: Of a document without an id, which no release can read: no hash looks like it.
_NO_ID: Final = ""


class MigrationRefusedError(ConflictError):
    """The store is not, or is no longer, as the migration needs it; the text says what to do."""

    code = "migration_refused"


@dataclass(frozen=True, slots=True)
class MigrationState:
    """What there is to do."""

    #: Jobs without a shard key, and how many of them have an idempotency key.
    without_shard_key: int
    with_idempotency_key: int
    missing_indexes: tuple[str, ...]
    old_indexes: tuple[str, ...]
    #: Idempotency keys of jobs of 0.1 that requests look for apart.
    earlier_keys: int


@dataclass(frozen=True, slots=True)
class MigrationResult:
    """What one run has done: jobs given a key, idempotency keys noted, and notes removed whose jobs are purged."""

    migrated: int
    noted: int
    forgotten: int


class ShardKeyMigration:
    """The migration of one database. ``now``: aware UTC; ``sleep`` in seconds; ``holder``: who runs it, for others."""

    def __init__(
        self,
        database: Database[Document],
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        holder: str,
    ) -> None:
        self._jobs = durable(database["jobs"])
        self._earlier = durable(database[EARLIER_KEYS])
        self._holds = durable(database["migrations"])
        self._now = now
        self._sleep = sleep
        self._holder = holder
        self._token = secrets.token_hex(8)

    def state(self) -> MigrationState:
        """What there is to do; changes nothing. Raises ``StoreError``."""
        with reading():
            indexes = self._jobs.index_information()
            keyed = _KEYLESS | {"idempotencyKey": {"$exists": True}}
            return MigrationState(
                without_shard_key=self._jobs.count_documents(_KEYLESS),
                with_idempotency_key=self._jobs.count_documents(keyed),
                missing_indexes=tuple(name for name in _names(INDEXES["jobs"]) if name not in indexes),
                old_indexes=tuple(name for name in _names(OLD_INDEXES) if name in indexes),
                earlier_keys=self._earlier.count_documents({}),
            )

    def run(
        self, *, jobs_per_second: float, on_progress: Callable[[int], None] = lambda count: None
    ) -> MigrationResult:
        """Give every job its shard key, in batches, at most so many a second; ``on_progress`` gets each batch's size.

        The indexes come first: without them each batch would read the whole collection. May be interrupted and
        repeated. Raises ``MigrationRefusedError`` if another runs, ``StoreError``.
        """
        migrated = noted = 0
        with self._held():
            self._build_indexes()
            while batch := self._next_batch():
                noted += self._note_keys(batch)
                migrated += self._give_keys(batch)
                on_progress(len(batch))
                self._rest(len(batch) / jobs_per_second)
            forgotten = sum(self._forget_purged())
        return MigrationResult(migrated, noted, forgotten)

    def drop_old_indexes(self, on_wait: Callable[[float], None] = lambda seconds: None) -> tuple[str, ...]:
        """Drop the indexes of 0.1; the names of those that were there. ``on_wait`` gets the seconds that it waits.

        Every process must have seen before that no job needs them, and no process of 0.1 may store another one: so it
        waits, and looks again. Raises ``MigrationRefusedError``, ``StoreError``.
        """
        with self._held():
            self._refuse_keyless("Give them one first: wavecom migrate")
            old = self.state().old_indexes
            if not old:
                return ()
            on_wait(WAIT_BEFORE_DROP_SECONDS)
            self._rest(WAIT_BEFORE_DROP_SECONDS)
            self._refuse_keyless(
                "A process of 0.1 has stored them meanwhile; stop all processes of it, then run wavecom migrate"
            )
            with writing():
                for name in old:
                    self._jobs.drop_index(name)
            return old

    def _build_indexes(self) -> None:
        while not self._has_built_indexes():
            # MongoDB goes on building when nobody waits for it, and who asks again waits for the same build.
            self._rest(_RENEW_SECONDS)

    def _has_built_indexes(self) -> bool:
        """Whether all are there; no, when building takes longer than the connection waits for an answer."""
        try:
            with writing():
                self._jobs.create_indexes(INDEXES["jobs"])
        except UncertainWriteError as error:
            if isinstance(error.__cause__, NetworkTimeout):
                return False
            raise
        return True

    # --- batches ------------------------------------------------------------------------------------------------------

    def _next_batch(self) -> list[Document]:
        shown = {"jobId": 1, "client": 1, "idempotencyKey": 1}
        with reading():
            return list(self._jobs.find(_KEYLESS, shown).limit(_BATCH))

    def _note_keys(self, batch: Sequence[Document]) -> int:
        """Note the idempotency keys that do not lead to their jobs' shards. Durable before the jobs have a key."""
        notes = [
            UpdateOne({"_id": request_hash(client, key)}, {"$set": {"jobId": job_id}}, upsert=True)
            for client, key, job_id in _requests(batch)
            if shard_key_of_request(client, key) != shard_key_of(job_id)
        ]
        if notes:
            with writing():
                self._earlier.bulk_write(notes, ordered=False)
        return len(notes)

    def _give_keys(self, batch: Sequence[Document]) -> int:
        keys = [shard_key_of(each["jobId"]) if isinstance(each.get("jobId"), str) else _NO_ID for each in batch]
        writes = [
            UpdateOne({"_id": each["_id"], **_KEYLESS}, {"$set": {"shardKey": key}})
            for each, key in zip(batch, keys, strict=True)
        ]
        with writing():
            return self._jobs.bulk_write(writes, ordered=False).modified_count

    def _forget_purged(self) -> Iterator[int]:
        """Remove notes whose jobs are gone, batch by batch: their keys are free."""
        last = ""
        while True:
            with reading():
                notes = list(self._earlier.find({"_id": {"$gt": last}}).sort("_id", ASCENDING).limit(_BATCH))
                if not notes:
                    return
                last = notes[-1]["_id"]
                keys = {"shardKey": {"$in": [shard_key_of(JobId(each["jobId"])) for each in notes]}}
                there = {each["jobId"] for each in self._jobs.find(keys, {"_id": 0, "jobId": 1}) if "jobId" in each}
            gone = [each["_id"] for each in notes if each["jobId"] not in there]
            if gone:
                with writing():
                    yield self._earlier.delete_many({"_id": {"$in": gone}}).deleted_count
            self._renew()

    # --- one at a time ------------------------------------------------------------------------------------------------

    @contextmanager
    def _held(self) -> Iterator[None]:
        now = self._now()
        free = {"_id": _HOLD_ID, "heldUntil": {"$lte": now}}
        hold = {"token": self._token, "holder": self._holder, "heldUntil": now + _HOLD}
        with writing():
            try:
                self._holds.update_one(free, {"$set": hold}, upsert=True)
            except DuplicateKeyError:
                found = self._holds.find_one({"_id": _HOLD_ID}) or {}
                raise MigrationRefusedError(
                    f"Another migration runs, started by {found.get('holder', 'somebody')}. Wait for its end; one that "
                    "was killed counts as ended after a minute."
                ) from None
        try:
            yield
        finally:
            with writing():
                self._holds.delete_one({"_id": _HOLD_ID, "token": self._token})

    def _rest(self, seconds: float) -> None:
        """Do nothing for so long, and keep the hold."""
        while seconds > 0:
            step = min(seconds, _RENEW_SECONDS)
            self._sleep(step)
            self._renew()
            seconds -= step

    def _renew(self) -> None:
        with writing():
            mine = {"_id": _HOLD_ID, "token": self._token}
            if not self._holds.update_one(mine, {"$set": {"heldUntil": self._now() + _HOLD}}).matched_count:
                raise MigrationRefusedError(
                    "Another migration has taken over, because this one stood still for a minute. What it has done is "
                    "done; the other one does the rest."
                )

    def _refuse_keyless(self, advice: str) -> None:
        with reading():
            count = self._jobs.count_documents(_KEYLESS, limit=1_000)
        if count:
            many = str(count) if count < 1_000 else "1000 or more"
            raise MigrationRefusedError(f"There are jobs without shard key: {many}. {advice}.")


def _requests(batch: Sequence[Document]) -> Iterator[tuple[str, str, JobId]]:
    for each in batch:
        client, key, job_id = each.get("client"), each.get("idempotencyKey"), each.get("jobId")
        if isinstance(client, str) and isinstance(key, str) and isinstance(job_id, str):
            yield client, key, JobId(job_id)


def _names(indexes: Sequence[IndexModel]) -> list[str]:
    return [index.document["name"] for index in indexes]
