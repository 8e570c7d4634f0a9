"""How jobs are found by id and by idempotency key, in one shard where the collection ``jobs`` is sharded (ADR 41).

Jobs of release 0.1 have no ``shardKey`` until ``wavecom migrate`` has given them one. As long as there is such a job
filters name none, and the indexes of 0.1 serve them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pymongo.collection import Collection
from pymongo.errors import ExecutionTimeout

from wavecom.core.job import JobId
from wavecom.core.job_ids import request_hash, shard_key_of, shard_key_of_request
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document

#: Where the idempotency keys stand of jobs of 0.1, whose ids were not made with them. ``_id``: ``request_hash``.
EARLIER_KEYS: Final = "earlier_idempotency_keys"

#: So often it is looked whether all jobs have a shard key.
_LOOK_EVERY_SECONDS: Final = 10.0
#: What was seen longer ago is not acted on before a new look. ``wavecom migrate --drop-old-indexes`` waits for longer.
BELIEVED_SECONDS: Final = 30.0
_LOOK_LIMIT_MS: Final = 2_000


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look has found, and its place in the order in which looks began."""

    number: int
    at: float
    all_have_keys: bool
    has_earlier_keys: bool


class ShardedJobs:
    """Finds jobs in ``jobs`` by what determines their place; safe to share between threads.

    Methods that ask the store raise ``PyMongoError``.
    """

    def __init__(self, jobs: Collection[Document], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._jobs = jobs
        self._earlier = durable(jobs.database[EARLIER_KEYS])
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._looks = 0
        self._seen: _Seen | None = None

    # --- filters ------------------------------------------------------------------------------------------------------

    def by_ids(self, job_ids: Sequence[JobId]) -> Document:
        """A filter for exactly these jobs, to be extended by conditions of other fields."""
        ids = _among(job_ids)
        if not self._state().all_have_keys:
            return {"jobId": ids}
        return {"shardKey": _among([shard_key_of(job_id) for job_id in job_ids]), "jobId": ids}

    def near_ids(self, job_ids: Sequence[JobId]) -> Document:
        """A filter for these jobs and, seldom, another one, as hardly any two share a shard key.

        For whoever has another condition that tells the jobs apart: two lists of ids cost the embedded servers half as
        much again.
        """
        if not self._state().all_have_keys:
            return {"jobId": _among(job_ids)}
        return {"shardKey": _among([shard_key_of(job_id) for job_id in job_ids])}

    def by_idempotency_keys(self, accounts: Sequence[str], keys: Sequence[str]) -> Document:
        """A filter for the jobs that hold one of these keys of one of the accounts, which are not none."""
        # ``$in`` even for one: for an equal value on a later field of a partial index secantusd-rs finds nothing.
        where: Document = {"client": {"$in": list(accounts)}, "idempotencyKey": {"$in": list(keys)}}
        if not self._state().all_have_keys:
            return where
        return self._in_shards_of(accounts, keys) | where

    def _in_shards_of(self, accounts: Sequence[str], keys: Sequence[str]) -> Document:
        shard_keys = [shard_key_of_request(account, key) for account in accounts for key in keys]
        shard_keys += [shard_key_of(job_id) for job_id in self._earlier_holders(accounts, keys)]
        return {"shardKey": {"$in": shard_keys}}

    # --- reads --------------------------------------------------------------------------------------------------------

    def find(
        self,
        job_ids: Sequence[JobId],
        projection: Document | None = None,
        jobs: Collection[Document] | None = None,
    ) -> list[Document]:
        """The documents of those jobs that exist; ``jobs``: the collection with other options to read it with.

        A projection must leave ``jobId`` in.
        """
        found = self.read(job_ids, projection, jobs)
        return self.read(job_ids, projection, jobs) if self.are_missed(job_ids, found) else found

    def read(
        self,
        job_ids: Sequence[JobId],
        projection: Document | None = None,
        jobs: Collection[Document] | None = None,
    ) -> list[Document]:
        """``find`` for who asks ``are_missed`` himself, and then does again what he has done before he read."""
        jobs = self._jobs if jobs is None else jobs
        wanted = frozenset(job_ids)
        found = jobs.find(self.near_ids(job_ids), projection)
        return [document for document in found if document.get("jobId") in wanted]

    def find_by_keys(self, account: str, keys: Sequence[str], projection: Document) -> list[Document]:
        """The documents of the jobs that hold these idempotency keys. A projection must leave account and key in."""
        if self._state().all_have_keys:
            # By the shard key alone, as in ``near_ids``.
            where, wanted = self._in_shards_of([account], keys), frozenset(keys)
            documents = self._jobs.find(where, projection)
            found = [
                each for each in documents if each.get("client") == account and each.get("idempotencyKey") in wanted
            ]
        else:
            found = list(self._jobs.find(self.by_idempotency_keys([account], keys), projection))
        missing = set(keys) - {document["idempotencyKey"] for document in found}
        if missing and self._is_more_to_be_asked():
            return self.find_by_keys(account, keys, projection)
        return found

    def find_by_earlier_keys(self, account: str, keys: Sequence[str], projection: Document) -> list[Document]:
        """Those of ``find_by_keys`` that an entry of ``EARLIER_KEYS`` leads to; asks nothing where there is none."""
        ids = self._earlier_holders([account], keys)
        # A job may be purged, and its key free again.
        return self.find(ids, projection) if ids else []

    def _earlier_holders(self, accounts: Sequence[str], keys: Sequence[str]) -> list[JobId]:
        if not self._state().has_earlier_keys:
            return []
        hashes = [request_hash(account, key) for account in accounts for key in keys]
        return [JobId(entry["jobId"]) for entry in self._earlier.find({"_id": {"$in": hashes}})]

    # --- whether all jobs have a shard key ----------------------------------------------------------------------------

    def are_missed(self, job_ids: Sequence[JobId], found: Sequence[Document]) -> bool:
        """Whether jobs that were not ``found`` may be there all the same, and all is to be done again.

        A process of 0.1 may have stored them since the last look; so it is looked once more.
        """
        return len(found) < len(set(job_ids)) and self._is_more_to_be_asked()

    def _is_more_to_be_asked(self) -> bool:
        """Looks; True if jobs without shard key or earlier idempotency keys are there that were not asked for."""
        before = self._state()
        if not before.all_have_keys:
            return False
        after = self._look()
        return not after.all_have_keys or (after.has_earlier_keys and not before.has_earlier_keys)

    def _state(self) -> _Seen:
        seen = self._seen
        age = _LOOK_EVERY_SECONDS if seen is None else self._monotonic() - seen.at
        if seen is None or age > BELIEVED_SECONDS:
            return self._look()
        if age >= _LOOK_EVERY_SECONDS and self._looking.acquire(blocking=False):
            # One thread looks; the others go on with what is known.
            try:
                return self._look()
            finally:
                self._looking.release()
        return seen

    def _look(self) -> _Seen:
        with self._lock:
            self._looks += 1
            number = self._looks
        at = self._monotonic()
        try:
            # In this order: a key is noted before the last job gets its shard key.
            keyless = self._jobs.find_one({"shardKey": None}, {"_id": 1}, max_time_ms=_LOOK_LIMIT_MS)
            earlier = self._earlier.find_one({}, {"_id": 1}, max_time_ms=_LOOK_LIMIT_MS)
        except ExecutionTimeout:
            if self._seen is None:
                raise
            return self._seen
        seen = _Seen(number, at, keyless is None, earlier is not None)
        with self._lock:
            # Of two looks at one time the later one wins, whichever ends first.
            if self._seen is None or self._seen.number < number:
                self._seen = seen
            return self._seen


def _among(values: Sequence[str]) -> str | Document:
    return values[0] if len(values) == 1 else {"$in": list(values)}
