"""One suite for every ``CapHistory``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import NOW, later, make_job
from tests.memory_storage import MemoryCapHistory, MemoryJobRepository
from wavecom.core.frequency_caps import CapHistory, CapKey, CountedJob
from wavecom.core.job import Claim
from wavecom.core.ports import JobRepository
from wavecom.core.states import Status
from wavecom.storage.mongo.cap_history import MongoCapHistory
from wavecom.storage.mongo.jobs import MongoJobRepository

KEY = CapKey("acme", "user-42", "news")


@pytest.fixture(params=["memory", "mongo"])
def stores(request: pytest.FixtureRequest) -> tuple[JobRepository, CapHistory]:
    if request.param == "memory":
        jobs = MemoryJobRepository()
        return jobs, MemoryCapHistory(jobs)
    database = request.getfixturevalue("indexed_database")
    return MongoJobRepository(database["jobs"]), MongoCapHistory(database)


def test_what_a_worker_has_or_was_sent_since_is_counted(stores: tuple[JobRepository, CapHistory]) -> None:
    jobs, history = stores
    fields = {"recipient_id": "user-42", "category": "news", "created_at": later(-9000), "updated_at": NOW}
    claim = Claim("token", "worker", later(30))
    sent = make_job(**fields, status=Status.DELIVERED, sent_at=later(-10))
    doubtful = make_job(**fields, status=Status.RETRYING, sent_at=later(-20), claim=claim)
    claimed = make_job(**fields, status=Status.PROCESSING, claim=claim)
    others = [
        make_job(**fields, status=Status.DELIVERED, sent_at=later(-9000)),
        make_job(**fields, status=Status.FAILED),
        make_job(**fields, status=Status.QUEUED),
        make_job(**fields | {"recipient_id": "user-43"}, sent_at=NOW),
        make_job(**fields | {"category": "bills"}, sent_at=NOW),
        make_job(**fields | {"category": None}, sent_at=NOW),
        make_job(**fields, client="acme:test", sent_at=NOW),
    ]
    jobs.insert([sent, doubtful, claimed, *others])

    found = history.of([KEY, CapKey("acme", "user-44", "bills")], NOW - timedelta(hours=1))

    assert {each.job_id: each for each in found} == {
        job.job_id: CountedJob(KEY, job.job_id, job.created_at, job.sent_at, token)
        for job, token in ((sent, None), (doubtful, None), (claimed, "token"))
    }
    assert history.of([], NOW) == []
