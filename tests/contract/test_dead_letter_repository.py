"""One suite over the store's view of dead letters and its twin."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later, make_job, make_job_id
from tests.memory_storage import MemoryDeadLetterRepository, MemoryJobRepository
from wavecom.core.audit import FailureReason
from wavecom.core.dead_letters import DeadLetterFilter, DeadLetterRepository, PagePosition
from wavecom.core.engine import Discarded, decide
from wavecom.core.job import Job, JobError, JobId
from wavecom.core.lanes import Channel
from wavecom.core.ports import JobRepository
from wavecom.core.states import Status
from wavecom.storage.mongo.dead_letters import MongoDeadLetterRepository
from wavecom.storage.mongo.jobs import MongoJobRepository

EVERYTHING = DeadLetterFilter()


class Store:
    def __init__(self, jobs: JobRepository, repository: DeadLetterRepository) -> None:
        self.jobs = jobs
        self.repository = repository

    def dead(self, seconds: float = 0, **overrides: Any) -> Job:
        """A job that failed so many seconds after ``NOW``, with its dead letter in the queue a second later."""
        dates = {"finished_at": later(seconds), "dead_lettered_at": later(seconds + 1), "due_at": None}
        return self.job(status=Status.FAILED, **dates | overrides)

    def job(self, **overrides: Any) -> Job:
        job = make_job(**overrides)
        assert self.jobs.insert([job]) == [None]
        return job

    def all(self, where: DeadLetterFilter = EVERYTHING, limit: int = 2, **options: Any) -> list[JobId]:
        """Page after page."""
        found: list[JobId] = []
        position: PagePosition | None = None
        while True:
            jobs, position = self.repository.page(where, limit, after=position, **options)
            assert len(jobs) <= limit
            found += [job.job_id for job in jobs]
            if position is None:
                return found


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        jobs = MemoryJobRepository()
        return Store(jobs, MemoryDeadLetterRepository(jobs))
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return Store(MongoJobRepository(database["jobs"]), MongoDeadLetterRepository(database))


def test_only_failed_jobs_with_a_letter_are_dead_letters(store: Store) -> None:
    dead = store.dead()
    discarded = store.dead()
    transition = decide(discarded, Discarded(), later(9))
    assert transition is not None
    store.jobs.apply([transition])
    owed = store.job(status=Status.FAILED)
    for status in (Status.QUEUED, Status.DELIVERED, Status.EXPIRED):
        store.job(status=status)

    assert store.all() == [dead.job_id]
    assert (store.repository.count(), store.repository.unpublished()) == (1, 1)
    assert store.repository.wanted([dead.job_id, discarded.job_id, owed.job_id]) == {
        dead.job_id: NOW,
        owed.job_id: NOW,
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_show_each_dead_letter_once_though_many_died_at_once(store: Store, limit: int) -> None:
    jobs = [store.dead(seconds) for seconds in (3, 1, 1, 1, 1, 2, 1)]

    oldest_first = store.all(limit=limit)
    newest_first = store.all(limit=limit, newest_first=True)

    assert sorted(oldest_first) == sorted(newest_first) == sorted(job.job_id for job in jobs)
    assert oldest_first[-2:] == newest_first[1::-1] == [jobs[5].job_id, jobs[0].job_id]


def test_jobs_that_die_while_others_are_replayed_are_left_out(store: Store) -> None:
    early, _ = store.dead(0), store.dead(10)

    assert store.all(until=later(5)) == [early.job_id]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (DeadLetterFilter(), "abcd"),
        (DeadLetterFilter(error_code="rejected"), "acd"),
        (DeadLetterFilter(provider="mail"), "b"),
        (DeadLetterFilter(type=Channel.EMAIL), "b"),
        (DeadLetterFilter(client="other"), "c"),
        (DeadLetterFilter(failed_since=later(20)), "cd"),
        (DeadLetterFilter(failed_before=later(20)), "ab"),
        (DeadLetterFilter(failed_since=later(10), failed_before=later(30)), "bc"),
        (DeadLetterFilter(error_code="rejected", failed_since=later(10), client="acme"), "d"),
        (DeadLetterFilter(client="nobody"), ""),
    ],
)
def test_every_filter_narrows_the_list_and_the_tally_alike(
    store: Store, where: DeadLetterFilter, expected: str
) -> None:
    names = {
        store.dead(0).job_id: "a",
        store.dead(10, type=Channel.EMAIL, error=JobError("outcome_unknown", "timeout", "mail")).job_id: "b",
        store.dead(20, client="other").job_id: "c",
        store.dead(30).job_id: "d",
    }

    found = [names[job_id] for job_id in store.all(where)]

    assert "".join(found) == expected
    assert sum(store.repository.tally(where).values()) == len(expected)


def test_the_tally_counts_by_error_and_provider(store: Store) -> None:
    for _ in range(3):
        store.dead()
    store.dead(error=JobError("outcome_unknown", "lease_expired", None))

    assert dict(store.repository.tally(DeadLetterFilter())) == {
        FailureReason("rejected", "sandbox"): 3,
        FailureReason("outcome_unknown", None): 1,
    }


def test_jobs_are_found_by_id_whatever_became_of_them(store: Store) -> None:
    dead, queued = store.dead(), store.job()

    found = store.repository.find([dead.job_id, queued.job_id, make_job_id()])

    assert {job.job_id for job in found} == {dead.job_id, queued.job_id}
    assert store.repository.find([dead.job_id], "acme")[0].job_id == dead.job_id
    assert store.repository.find([dead.job_id], "globex") == []
    assert all(job.payload == {} and job.logs == () for job in found)
