"""What lists and counts ask of MongoDB, as the driver sends it: led by an index, and bounded in number and time.

With a million notifications stored a list must not read a million. The plan is the server's; that it can have a good
one is ours: every question names the first field of an index whose documents hold all that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient, monitoring

from tests.factories import NOW, make_job
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.storage.mongo.client import CLIENT_OPTIONS, default_database
from wavecom.storage.mongo.indexes import INDEXES, ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository

ONE_ID = JobId("019cebab-8995-7000-8000-000000000001")
FILTERS: dict[str, JobFilter] = {
    "everything": JobFilter(),
    "a client's": JobFilter(client="acme"),
    "of live keys": JobFilter(is_test=False),
    "a status that goes well": JobFilter(statuses=frozenset({Status.DELIVERED})),
    "an open status": JobFilter(statuses=frozenset({Status.QUEUED})),
    "what went wrong": JobFilter(statuses=frozenset({Status.FAILED, Status.EXPIRED})),
    "a channel": JobFilter(type=Channel.PUSH),
    "a priority": JobFilter(priority=Priority.BULK),
    "a provider": JobFilter(provider="relay"),
    "a provider that nobody uses": JobFilter(provider="nobody"),
    "an error": JobFilter(error_code="rejected"),
    "a recipient": JobFilter(recipient="+447700900123"),
    "metadata": JobFilter(metadata_key="order", metadata_value="7"),
    "a name in metadata": JobFilter(metadata_key="order"),
    "one job": JobFilter(job_id=ONE_ID),
    "an idempotency key": JobFilter(client="acme", idempotency_key="order-42"),
    "three weeks ago": JobFilter(created_since=NOW - timedelta(days=21), created_before=NOW - timedelta(days=20)),
    "all at once": JobFilter(
        client="acme",
        statuses=frozenset({Status.DELIVERED}),
        type=Channel.SMS,
        priority=Priority.NORMAL,
        provider="relay",
        error_code="rejected",
        metadata_key="order",
    ),
}


class JobQuestions(monitoring.CommandListener):
    """What was asked of ``jobs``."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command.get(event.command_name) == "jobs":
            self.asked.append(dict(event.command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        return None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        return None


def leads(where: Mapping[str, Any]) -> set[str]:
    """The indexes that lead to what is asked for, by their first field."""
    found = set()
    for index in INDEXES["jobs"]:
        document = index.document
        first = next(iter(document["key"]))
        only = document.get("partialFilterExpression", {})
        if first in where and all(_is_within(where.get(name), condition) for name, condition in only.items()):
            found.add(first)
    return found


def _is_within(asked: Any, condition: Mapping[str, Any]) -> bool:
    if "$exists" in condition:
        return asked is not None
    wanted = asked["$in"] if isinstance(asked, Mapping) and "$in" in asked else [asked]
    return set(wanted) <= set(condition["$in"])


@pytest.fixture
def questions() -> JobQuestions:
    return JobQuestions()


@pytest.fixture
def jobs(mongodb_uri: str, questions: JobQuestions) -> Iterator[MongoJobRepository]:
    with MongoClient[dict[str, Any]](mongodb_uri, event_listeners=[questions], **CLIENT_OPTIONS) as client:
        database = default_database(client)
        ensure_indexes(database)
        repository = MongoJobRepository(database["jobs"])
        repository.insert([make_job(created_at=NOW - timedelta(days=number)) for number in range(5)])
        questions.asked.clear()
        yield repository


@pytest.mark.parametrize("name", FILTERS)
def test_a_list_is_led_by_an_index_and_bounded(jobs: MongoJobRepository, questions: JobQuestions, name: str) -> None:
    first = jobs.search(FILTERS[name], 2)
    if first.next is not None:
        jobs.search(FILTERS[name], 2, first.next)

    assert questions.asked
    for question in questions.asked:
        assert question["find"] == "jobs"
        assert leads(question["filter"]), question
        if "sort" not in question:
            # Where the one job that is meant was moved to, by its id alone.
            assert question["projection"].keys() <= {"_id", "jobId", "client", "idempotencyKey"}
            continue
        assert question["limit"] <= 3
        assert question["maxTimeMS"] > 0
        assert question["projection"]["payload"] == 0, "lists never read messages"


@pytest.mark.parametrize("name", FILTERS)
def test_a_count_ends(jobs: MongoJobRepository, questions: JobQuestions, name: str) -> None:
    jobs.count(FILTERS[name], 1000)

    question = questions.asked[-1]
    assert {"$limit": 1000} in question["pipeline"]
    assert question["maxTimeMS"] > 0
