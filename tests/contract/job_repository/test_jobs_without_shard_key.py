"""Jobs of 0.1, which have no shard key, beside those of this release: each is found by either, whenever it came."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from tests.contract.job_commands import JobCommands
from tests.factories import NOW, make_claim, make_job, make_job_id, make_try
from wavecom.core.engine import AttemptFinished, decide
from wavecom.core.job import Job
from wavecom.core.job_ids import request_hash, shard_key_of
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.storage.mongo.documents import to_document
from wavecom.storage.mongo.indexes import OLD_INDEXES
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.sharded_jobs import EARLIER_KEYS

pytestmark = pytest.mark.without_shard_keys


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Stores:
    """A store as 0.1 has left it, and this release at work on it."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self.clock = Clock()
        self.collection = database["jobs"]
        self.earlier = database[EARLIER_KEYS]
        self.collection.create_indexes(list(OLD_INDEXES))
        self.jobs = MongoJobRepository(self.collection, system_now=lambda: NOW, monotonic=self.clock)

    def store_as_before(self, job: Job) -> Job:
        """By a process of 0.1: with an id that was made by chance, and no shard key."""
        job = replace(job, job_id=make_job_id())
        document = to_document(job)
        del document["shardKey"]
        self.collection.insert_one(document)
        return job

    def migrate(self, job: Job) -> None:
        """As ``wavecom migrate`` does it."""
        if job.idempotency_key is not None:
            entry = {"_id": request_hash(job.client, job.idempotency_key), "jobId": job.job_id}
            self.earlier.insert_one(entry)
        self.collection.update_one({"jobId": job.job_id}, {"$set": {"shardKey": shard_key_of(job.job_id)}})

    def drop_old_indexes(self) -> None:
        for index in OLD_INDEXES:
            self.collection.drop_index(index.document["name"])


@pytest.fixture(params=["was there from the start", "came while all had keys"])
def stores(request: pytest.FixtureRequest, indexed_database: Database[dict[str, Any]]) -> Stores:
    stores = Stores(indexed_database)
    if request.param == "was there from the start":
        stores.store_as_before(make_job())
    # The first look.
    stores.jobs.get(make_job_id())
    return stores


def test_a_job_of_before_is_read_claimed_and_recorded(stores: Stores) -> None:
    old = stores.store_as_before(make_job())
    new = make_job()
    stores.jobs.insert([new])

    assert stores.jobs.get(old.job_id) == old
    granted = stores.jobs.claim([new.job_id, old.job_id], make_claim("token"), NOW)
    done = [decide(job, AttemptFinished("token", (make_try(),)), NOW) for job in granted.values()]

    assert set(granted) == {new.job_id, old.job_id}
    assert stores.jobs.apply([each for each in done if each is not None]) == [True, True]
    assert {job.status for job in stores.jobs.by_ids([new.job_id, old.job_id]).values()} == {Status.DELIVERED}


def test_a_claim_alone_finds_a_job_of_before(stores: Stores) -> None:
    old = stores.store_as_before(make_job())

    assert set(stores.jobs.claim([old.job_id], make_claim(), NOW)) == {old.job_id}


def test_a_record_alone_finds_a_job_of_before(stores: Stores) -> None:
    claimed = make_job(status=Status.PROCESSING)
    assert claimed.claim is not None
    old = stores.store_as_before(claimed)
    transition = decide(old, AttemptFinished(claimed.claim.token, (make_try(),)), NOW)
    assert transition is not None

    assert stores.jobs.apply([transition]) == [True]


def test_a_request_of_before_is_repeated(stores: Stores) -> None:
    old = stores.store_as_before(make_job(idempotency_key="order-42"))

    [holder] = stores.jobs.insert([make_job(idempotency_key="order-42")])

    assert holder is not None
    assert holder.job_id == old.job_id
    assert stores.jobs.by_idempotency_key("acme", ["order-42"])["order-42"].job_id == old.job_id


@pytest.mark.parametrize("are_indexes_there", [True, False], ids=["old indexes there", "old indexes dropped"])
def test_a_request_of_before_is_repeated_when_its_job_is_migrated(stores: Stores, are_indexes_there: bool) -> None:
    old = stores.store_as_before(make_job(idempotency_key="order-42"))
    stores.migrate(old)
    for document in stores.collection.find({"shardKey": None}):
        stores.collection.update_one({"_id": document["_id"]}, {"$set": {"shardKey": document["jobId"][-8:]}})
    if not are_indexes_there:
        stores.clock.seconds += 31
        stores.drop_old_indexes()

    results = stores.jobs.insert([make_job(idempotency_key="order-42"), make_job(idempotency_key="order-43")])

    assert [job and job.job_id for job in results] == [old.job_id, None]
    assert stores.jobs.by_idempotency_key("acme", ["order-42"])["order-42"].job_id == old.job_id
    page = stores.jobs.search(JobFilter(client="acme", idempotency_key="order-42"), 10)
    assert [job.job_id for job in page.jobs] == [old.job_id]


def test_the_key_of_a_job_that_was_purged_since_is_free(stores: Stores) -> None:
    old = stores.store_as_before(make_job(idempotency_key="order-42"))
    stores.migrate(old)
    stores.clock.seconds += 31
    stores.collection.delete_one({"jobId": old.job_id})
    new = make_job(idempotency_key="order-42")

    assert stores.jobs.insert([new]) == [None]
    assert stores.jobs.by_idempotency_key("acme", ["order-42"])["order-42"].job_id == new.job_id


def test_the_shard_key_is_named_again_when_the_last_job_has_one(stores: Stores, job_commands: JobCommands) -> None:
    old = stores.store_as_before(make_job())
    assert stores.jobs.get(old.job_id) == old
    for document in stores.collection.find({"shardKey": None}):
        stores.collection.update_one({"_id": document["_id"]}, {"$set": {"shardKey": document["jobId"][-8:]}})
    stores.clock.seconds += 10
    job_commands.clear()

    assert stores.jobs.get(old.job_id) == old
    assert job_commands.scattered() == []
    assert {"shardKey": shard_key_of(old.job_id)} in [where for _, where in job_commands.filters]
