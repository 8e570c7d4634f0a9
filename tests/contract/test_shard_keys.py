"""What a sharded MongoDB demands, by rule: none is at hand to try it on (ADR 41)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from tests.contract.job_commands import JobCommands
from tests.factories import NOW, later, make_claim, make_job, make_try
from wavecom.core.client_events import UnpublishedEvents
from wavecom.core.engine import AttemptFinished, decide
from wavecom.core.job import Job
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.storage import mongo as storage
from wavecom.storage.mongo.client_events import MongoRecordedEvents
from wavecom.storage.mongo.dead_letters import MongoDeadLetterRepository
from wavecom.storage.mongo.indexes import INDEXES, SHARD_KEYS
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.sharded_jobs import EARLIER_KEYS

#: Collections sharded by something else than ``_id`` although that is unique: it leads to one shard key, or is chance.
_IDS_THAT_NEED_NO_SHARD_KEY = {"jobs", "events", "callback_deliveries", "suppressions"}


_STORAGE = Path(storage.__file__).parent


def test_every_collection_says_what_it_is_sharded_by() -> None:
    named = {
        match[1]
        for path in _STORAGE.glob("*.py")
        for match in re.finditer(r'database\["(\w+)"\]', path.read_text("utf-8"))
    }

    assert len(named) > 20
    assert set(SHARD_KEYS) == set(INDEXES) | named | {EARLIER_KEYS}


def test_the_documentation_shards_each_collection_by_its_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "mongodb.md").read_text(encoding="utf-8")
    commands = re.findall(r'sh\.shardCollection\("wavecom\.(\w+)", \{(\w+): (?:1|"hashed")\}\)', page)

    assert dict(commands) == {name: key[0] for name, key in SHARD_KEYS.items() if key is not None}
    assert 'sh.shardCollection("wavecom.fallbacks", {_id: "hashed"})' in page, (
        "ids in the order of time go to one shard"
    )


@pytest.mark.parametrize("name", SHARD_KEYS)
def test_every_unique_index_begins_with_the_shard_key(name: str) -> None:
    key = SHARD_KEYS[name]
    if key is None:
        return  # Whole on one shard, where every unique index is kept.

    unique = [list(index.document["key"]) for index in INDEXES.get(name, []) if index.document.get("unique")]

    assert all(fields[: len(key)] == list(key) for fields in unique)
    assert key == ("_id",) or name in _IDS_THAT_NEED_NO_SHARD_KEY


@pytest.mark.parametrize("name", SHARD_KEYS)
def test_every_shard_key_has_an_index_to_be_split_by(name: str) -> None:
    """MongoDB shards by a key only if an index begins with it that has every document."""
    key = SHARD_KEYS[name]
    if key in {None, ("_id",)}:
        return

    whole = [
        list(index.document["key"])
        for index in INDEXES[name]
        if not index.document.get("sparse") and "partialFilterExpression" not in index.document
    ]

    assert any(fields[: len(key or ())] == list(key or ()) for fields in whole)


class Hot:
    """What every notification meets, with a job to do it to."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self.jobs = MongoJobRepository(database["jobs"], system_now=lambda: NOW)
        self.dead_letters = MongoDeadLetterRepository(database)
        self.events = MongoRecordedEvents(database)
        self.queued = [make_job(idempotency_key=f"key-{number}", records_events=True) for number in range(3)]
        self.claimed = [make_job(status=Status.PROCESSING) for _ in range(3)]
        self.jobs.insert([*self.queued, *self.claimed])

    def ids(self, jobs: list[Job]) -> list[Any]:
        return [job.job_id for job in jobs]

    def record(self, jobs: list[Job]) -> list[bool]:
        results = [AttemptFinished(job.claim.token, (make_try(),)) for job in jobs if job.claim is not None]
        transitions = [decide(job, result, NOW) for job, result in zip(jobs, results, strict=True)]
        return self.jobs.apply([transition for transition in transitions if transition is not None])

    def settle(self) -> None:
        due: list[UnpublishedEvents] = list(self.events.due(later(1), 10))
        assert due
        self.events.settle(due)


CALLS: dict[str, Callable[[Hot], object]] = {
    "insert": lambda hot: hot.jobs.insert([make_job(), make_job(idempotency_key="new")]),
    "insert what was there": lambda hot: hot.jobs.insert([make_job(idempotency_key="key-1"), hot.queued[0]]),
    "claim": lambda hot: hot.jobs.claim(hot.ids(hot.queued), make_claim(), NOW),
    "claim one that is gone": lambda hot: hot.jobs.claim([make_job().job_id], make_claim(), NOW),
    "record": lambda hot: hot.record(hot.claimed),
    "record one": lambda hot: hot.record(hot.claimed[:1]),
    "record what another has recorded": lambda hot: [hot.record(hot.claimed[:2]), hot.record(hot.claimed)],
    "get": lambda hot: hot.jobs.get(hot.queued[0].job_id, "acme"),
    "idempotency look-up": lambda hot: hot.jobs.by_idempotency_key("acme", ["key-1", "key-2", "none"]),
    "receipts by our id": lambda hot: hot.jobs.by_ids(hot.ids(hot.queued)),
    "list by idempotency key": lambda hot: hot.jobs.search(JobFilter(client="acme", idempotency_key="key-1"), 10),
    "list by id": lambda hot: hot.jobs.search(JobFilter(job_id=hot.queued[0].job_id), 10),
    "wanted dead letters": lambda hot: hot.dead_letters.wanted(hot.ids(hot.queued)),
    "dead letters by id": lambda hot: hot.dead_letters.find(hot.ids(hot.queued)),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_every_notification_meets_asks_one_shard(
    indexed_database: Database[dict[str, Any]], job_commands: JobCommands, name: str
) -> None:
    hot = Hot(indexed_database)
    job_commands.clear()

    CALLS[name](hot)

    asked = [where for _, where in job_commands.filters if where != {"shardKey": None}]
    assert asked or job_commands.inserted
    assert [where for where in asked if where.get("shardKey") is None] == []
    assert all(document["shardKey"] == document["jobId"][-8:] for document in job_commands.inserted)


def test_events_are_settled_in_their_jobs_shard(
    indexed_database: Database[dict[str, Any]], job_commands: JobCommands
) -> None:
    hot = Hot(indexed_database)

    hot.settle()

    named = [where["shardKey"] for name, where in job_commands.filters if name == "update"]
    shard_keys = {key for each in named for key in ([each] if isinstance(each, str) else each["$in"])}
    assert shard_keys == {job.job_id[-8:] for job in hot.queued}
