"""What the MongoDB repository does when the connection is cut in the middle of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, PyMongoError

from tests.contract.faulty_collection import (
    Call,
    Fault,
    FaultyCollection,
    collision,
    lost_on_the_way_back,
    lost_on_the_way_out,
    no_server,
    unconfirmed,
)
from tests.factories import NOW, later, make_claim, make_job, make_try
from wavecom.core.engine import AttemptFinished, Transition, decide
from wavecom.core.job import Job, Outcome
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.errors import StoreError, UncertainWriteError
from wavecom.storage.mongo.jobs import MongoJobRepository


@pytest.fixture
def collection(indexed_database: Database[dict[str, Any]]) -> FaultyCollection:
    return FaultyCollection(indexed_database["jobs"])


@pytest.fixture
def jobs(collection: FaultyCollection) -> MongoJobRepository:
    return MongoJobRepository(cast("Collection[dict[str, Any]]", collection))


def _taken(jobs: MongoJobRepository, count: int = 1) -> list[Job]:
    stored = [make_job() for _ in range(count)]
    jobs.insert(stored)
    return list(jobs.claim([job.job_id for job in stored], make_claim(), NOW).values())


def _record(job: Job, outcome: Outcome = Outcome.UNAVAILABLE) -> Transition:
    assert job.claim is not None
    transition = decide(job, AttemptFinished(job.claim.token, (make_try(outcome),)), NOW)
    assert transition is not None
    return transition


def _log_counts(jobs: MongoJobRepository, written: list[Job]) -> list[int]:
    found = [jobs.get(job.job_id) for job in written]
    return [job.log_count for job in found if job is not None]


@pytest.mark.parametrize("trouble", [lost_on_the_way_out, lost_on_the_way_back, unconfirmed])
def test_an_insert_is_repeated_until_it_is_known_what_is_stored(
    jobs: MongoJobRepository, collection: FaultyCollection, trouble: Fault
) -> None:
    holder = make_job(idempotency_key="taken", logs=())
    jobs.insert([holder])
    batch = [make_job(), make_job(idempotency_key="own"), make_job(idempotency_key="taken")]
    collection.faults["insert_many"] = [trouble]

    results = jobs.insert(batch)

    assert results == [None, None, holder]
    assert [jobs.get(job.job_id) is not None for job in batch] == [True, True, False]


@pytest.mark.parametrize("trouble", [lost_on_the_way_out, lost_on_the_way_back, collision])
@pytest.mark.parametrize("step", ["update_many", "find"])
def test_a_claim_is_repeated_until_it_is_known_what_is_granted(
    jobs: MongoJobRepository, collection: FaultyCollection, trouble: Fault, step: str
) -> None:
    stored = [make_job() for _ in range(3)]
    jobs.insert(stored)
    collection.faults[step] = [trouble]

    granted = jobs.claim([job.job_id for job in stored], make_claim(), NOW)

    assert set(granted) == {job.job_id for job in stored}


@pytest.mark.parametrize("trouble", [lost_on_the_way_out, lost_on_the_way_back, unconfirmed, collision])
@pytest.mark.parametrize("count", [1, 5])
def test_a_record_is_repeated_until_it_is_known_what_is_written(
    jobs: MongoJobRepository, collection: FaultyCollection, trouble: Fault, count: int
) -> None:
    taken = _taken(jobs, count)
    collection.faults["bulk_write"] = [trouble]

    written = jobs.apply([_record(job) for job in taken])

    assert written == [True] * count
    assert _log_counts(jobs, taken) == [2] * count


def test_a_batch_that_was_cut_in_the_middle_is_written_once(
    jobs: MongoJobRepository, collection: FaultyCollection
) -> None:
    first, second, moved = _taken(jobs, 3)
    records = [_record(first), _record(second, Outcome.REJECTED), _record(moved)]
    jobs.apply([_record(moved, Outcome.ACCEPTED)])

    def half(_call: Call) -> Any:
        MongoJobRepository.apply(jobs, records[:1])
        raise AutoReconnect("connection closed")

    collection.faults["bulk_write"] = [half]
    written = jobs.apply(records)

    assert written == [True, True, False]
    assert _log_counts(jobs, [first, second, moved]) == [2, 3, 2]


def test_a_caller_who_repeats_after_an_uncertain_write_is_told_that_it_was_made(
    jobs: MongoJobRepository, collection: FaultyCollection
) -> None:
    [job] = _taken(jobs)
    record = _record(job)
    collection.faults["bulk_write"] = [lost_on_the_way_back, lost_on_the_way_out, lost_on_the_way_out]
    with pytest.raises(UncertainWriteError):
        jobs.apply([record])

    written = jobs.apply([record])

    assert written == [True]
    assert _log_counts(jobs, [job]) == [2]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        ([no_server], StoreError),
        ([lost_on_the_way_out, no_server], UncertainWriteError),
        ([lost_on_the_way_out] * 3, UncertainWriteError),
    ],
)
def test_an_insert_says_whether_something_may_have_been_stored(
    jobs: MongoJobRepository, collection: FaultyCollection, faults: list[Fault], error: type[StoreError]
) -> None:
    collection.faults["insert_many"] = list(faults)

    with pytest.raises(StoreError) as caught:
        jobs.insert([make_job()])

    assert caught.type is error
    assert collection.calls.count("insert_many") == len(faults)


def test_a_call_that_failed_late_is_not_repeated(indexed_database: Database[dict[str, Any]]) -> None:
    collection = FaultyCollection(indexed_database["jobs"])
    times: Iterator[float] = iter([0.0, 6.0])
    jobs = MongoJobRepository(cast("Collection[dict[str, Any]]", collection), monotonic=lambda: next(times))
    collection.faults["insert_many"] = [lost_on_the_way_out]

    with pytest.raises(UncertainWriteError):
        jobs.insert([make_job()])

    assert collection.calls == ["insert_many"]


@pytest.mark.parametrize(
    "call",
    [
        lambda jobs: jobs.insert([make_job()]),
        lambda jobs: jobs.claim([make_job().job_id], make_claim(), NOW),
        lambda jobs: jobs.apply([_record(make_job(status=Status.PROCESSING))]),
        lambda jobs: jobs.get(make_job().job_id),
        lambda jobs: jobs.search(JobFilter(), 10),
        lambda jobs: jobs.due(Status.QUEUED, later(1), 10),
        lambda jobs: jobs.now(),
        lambda jobs: jobs.ping(),
    ],
    ids=["insert", "claim", "apply", "get", "search", "due", "now", "ping"],
)
def test_a_server_that_is_away_is_a_store_error_and_nothing_else(call: Callable[[MongoJobRepository], Any]) -> None:
    # Port 1 of the loopback: nobody listens there.
    with MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=20") as client:
        jobs = MongoJobRepository(client["wavecom"]["jobs"])

        with pytest.raises(StoreError) as caught:
            call(jobs)

    assert caught.type is StoreError
    assert isinstance(caught.value.__cause__, PyMongoError)
