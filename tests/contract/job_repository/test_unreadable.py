"""What a document that this release can't read costs: itself, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from pymongo.database import Database
from structlog.testing import capture_logs

from tests.factories import NOW, later, make_claim, make_job
from wavecom.core.dead_letters import DeadLetterFilter
from wavecom.core.job import Job
from wavecom.core.lanes import Priority
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.storage.mongo.dead_letters import MongoDeadLetterRepository
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.jobs import MongoJobRepository

#: What another release, or a hand, may leave in a document.
DAMAGES: list[Document] = [
    {"$unset": {"replays": ""}},
    {"$set": {"priority": "urgent"}},
    {"$set": {"error": "a text"}},
    {"$set": {"onUnknownOutcome": ["stop"]}},
]


@pytest.fixture
def jobs(indexed_database: Database[Document]) -> MongoJobRepository:
    return MongoJobRepository(indexed_database["jobs"], system_now=lambda: NOW)


def _damage(database: Database[Document], job: Job, damage: Document = DAMAGES[0]) -> None:
    assert database["jobs"].update_one({"jobId": job.job_id}, damage).modified_count == 1


def _reported(logs: list[Any]) -> list[str]:
    return [entry["job_id"] for entry in logs if entry["event"] == "job_unreadable" and entry["log_level"] == "error"]


@pytest.mark.parametrize("damage", DAMAGES, ids=repr)
def test_a_claim_grants_the_others_and_leaves_what_it_cannot_read_to_nobody(
    indexed_database: Database[Document], jobs: MongoJobRepository, damage: Document
) -> None:
    before, broken, after = stored = [make_job(), make_job(), make_job()]
    jobs.insert(stored)
    _damage(indexed_database, broken, damage)

    with capture_logs() as logs:
        granted = jobs.claim([job.job_id for job in stored], make_claim(), NOW)
        again = jobs.claim([broken.job_id], make_claim(), NOW)

    assert (set(granted), again) == ({before.job_id, after.job_id}, {})
    assert _reported(logs) == [broken.job_id]
    left = indexed_database["jobs"].find_one({"jobId": broken.job_id}) or {}
    assert (left["status"], "claim" in left, left["attempts"]) == ("retrying", False, 0)


def test_a_job_that_was_mended_is_due_again_without_a_doubt_about_it(
    indexed_database: Database[Document], jobs: MongoJobRepository
) -> None:
    job = make_job(queued_at=NOW)
    jobs.insert([job])
    _damage(indexed_database, job)
    jobs.claim([job.job_id], make_claim(), NOW)
    while_broken = jobs.parked(job.priority, later(60), 10)

    _damage(indexed_database, job, {"$set": {"replays": 0}})
    [mended] = jobs.parked(job.priority, later(60), 10)

    assert (while_broken, mended.job_id, mended.may_have_been_sent) == ([], job.job_id, False)
    assert list(jobs.claim([job.job_id], make_claim(), later(60))) == [job.job_id]


def test_a_job_that_cannot_be_read_is_due_no_later_than_its_deadline(
    indexed_database: Database[Document], jobs: MongoJobRepository
) -> None:
    job = make_job(expires_at=later(5))
    jobs.insert([job])
    _damage(indexed_database, job)

    jobs.claim([job.job_id], make_claim(), NOW)

    left = indexed_database["jobs"].find_one({"jobId": job.job_id}) or {}
    assert left["dueAt"].timestamp() == later(5).timestamp()


SEARCHES: dict[str, tuple[datetime | None, Callable[[MongoJobRepository, Status], list[Job]]]] = {
    "due": (later(-40), lambda jobs, status: jobs.due(status, NOW, 2)),
    "lost": (later(-40), lambda jobs, status: jobs.due(status, NOW, 2, queued_before=later(3600))),
    "parked": (None, lambda jobs, _: jobs.parked(Priority.NORMAL, NOW, 2)),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING])
def test_what_cannot_be_read_takes_nobodys_place_among_the_due(
    indexed_database: Database[Document], jobs: MongoJobRepository, status: Status, search: str
) -> None:
    queued_at, find = SEARCHES[search]
    broken = [make_job(status=status, due_at=later(-9), queued_at=queued_at) for _ in range(5)]
    sound = [make_job(status=status, due_at=later(-number), queued_at=queued_at) for number in (3, 2, 1)]
    jobs.insert([*broken, *sound])
    for job in broken:
        _damage(indexed_database, job)

    with capture_logs() as logs:
        found = [find(jobs, status) for _ in range(2)]

    assert [[job.job_id for job in each] for each in found] == [[job.job_id for job in sound[:2]]] * 2
    assert sorted(_reported(logs)) == sorted(job.job_id for job in broken)


def test_pages_pass_over_what_cannot_be_read(indexed_database: Database[Document], jobs: MongoJobRepository) -> None:
    stored = [make_job(created_at=later(-number)) for number in range(9)]
    jobs.insert(stored)
    for job in stored[::2]:
        _damage(indexed_database, job)

    first = jobs.search(JobFilter(), 2)
    second = jobs.search(JobFilter(), 10, first.next)

    assert [job.job_id for job in (*first.jobs, *second.jobs)] == [job.job_id for job in stored[1::2]]


def test_dead_letters_pass_over_what_cannot_be_read(
    indexed_database: Database[Document], jobs: MongoJobRepository
) -> None:
    stored = [make_job(status=Status.FAILED, dead_lettered_at=later(number)) for number in range(6)]
    jobs.insert(stored)
    for job in stored[:3]:
        _damage(indexed_database, job)
    repository = MongoDeadLetterRepository(indexed_database)

    found, position = repository.page(DeadLetterFilter(), 2)
    while position is not None:
        more, position = repository.page(DeadLetterFilter(), 2, after=position)
        found += more

    assert [job.job_id for job in found] == [job.job_id for job in stored[3:]]
    assert [job.job_id for job in repository.find([job.job_id for job in stored])] == [job.job_id for job in stored[3:]]
