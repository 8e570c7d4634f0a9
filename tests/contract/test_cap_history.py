"""One suite for every ``CapHistory``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import NOW, later, make_job
from tests.memory_storage import MemoryCapHistory, MemoryJobRepository
from wavecom.core.frequency_caps import STARTED, CapHistory, CapKey, CountedJob
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


def test_what_is_on_its_way_or_has_changed_since_is_counted(stores: tuple[JobRepository, CapHistory]) -> None:
    jobs, history = stores
    fields = {"recipient_id": "user-42", "category": "news", "created_at": later(-9000)}
    by_status = {
        status: make_job(**fields, status=status, updated_at=at)
        for status, at in ((Status.DELIVERED, later(-10)), (Status.FAILED, later(-20)), (Status.QUEUED, later(-9000)))
    }
    others = [
        make_job(**fields, status=Status.DELIVERED, updated_at=later(-9000)),
        make_job(**fields | {"recipient_id": "user-43"}, updated_at=NOW),
        make_job(**fields | {"category": "bills"}, updated_at=NOW),
        make_job(**fields | {"category": None}, updated_at=NOW),
        make_job(**fields, client="acme:test", updated_at=NOW),
    ]
    doubtful = make_job(**fields, status=Status.RETRYING, updated_at=NOW, may_have_been_sent=True)
    jobs.insert([*by_status.values(), *others, doubtful])

    found = history.of([KEY, CapKey("acme", "user-44", "bills")], NOW - timedelta(hours=1))

    wanted = [*by_status.values(), doubtful]
    assert {each.job_id: each for each in found} == {
        job.job_id: CountedJob(KEY, job.job_id, job.created_at, job.status, job.updated_at, job.may_have_been_sent)
        for job in wanted
    }
    assert Status.QUEUED in STARTED
    assert history.of([], NOW) == []
