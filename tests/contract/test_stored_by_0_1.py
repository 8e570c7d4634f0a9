"""What 0.1 has stored and sent, kept as it was (``tests/corpus/stored_by_0_1.json``): each later release reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bson import json_util
from kombu.message import Message
from pymongo.database import Database

from tests.factories import NOW, make_claim, make_job, make_try
from wavecom.broker.dead_letter_queue import queued_dead_letter_of
from wavecom.core.engine import AttemptFinished, decide
from wavecom.core.job import JobId
from wavecom.core.states import FINAL, Status
from wavecom.storage.mongo.documents import to_document, to_job
from wavecom.storage.mongo.indexes import OLD_INDEXES
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.shard_key_migration import ShardKeyMigration
from wavecom.worker.delivery_consumer import job_id_of

pytestmark = pytest.mark.without_shard_keys

STORED: dict[str, dict[str, Any]] = json_util.loads(
    (Path(__file__).parents[1] / "corpus" / "stored_by_0_1.json").read_text(encoding="utf-8"),
    json_options=json_util.CANONICAL_JSON_OPTIONS.with_options(tz_aware=True),
)
DOCUMENTS, MESSAGES = STORED["documents"], STORED["messages"]
#: ``MongoJobRepository`` gives a document an ``_id`` of its own, and this release a shard key.
_NOT_THE_JOB = {"_id", "shardKey", "hasEscapedKeys"}


@pytest.fixture
def jobs(indexed_database: Database[dict[str, Any]]) -> MongoJobRepository:
    collection = indexed_database["jobs"]
    collection.create_indexes(list(OLD_INDEXES))
    collection.insert_many([dict(document) for document in DOCUMENTS.values()])
    return MongoJobRepository(collection, system_now=lambda: NOW)


def test_there_is_a_document_of_every_status() -> None:
    assert {document["status"] for document in DOCUMENTS.values()} == set(Status)
    assert not any("shardKey" in document for document in DOCUMENTS.values())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_field_is_read(name: str) -> None:
    document = DOCUMENTS[name]

    again = to_document(to_job(document))

    assert _without_names(again) == _without_names(document)


def _without_names(document: dict[str, Any]) -> dict[str, Any]:
    # Keys such as $ref are escaped by the encoder alone.
    metadata = {key.replace("$$ref", "$ref"): value for key, value in document["metadata"].items()}
    return {key: value for key, value in document.items() if key not in _NOT_THE_JOB} | {"metadata": metadata}


@pytest.mark.parametrize("is_migrated", [False, True], ids=["as it is", "migrated"])
def test_what_is_open_is_delivered_and_what_was_asked_is_repeated(
    indexed_database: Database[dict[str, Any]], jobs: MongoJobRepository, is_migrated: bool
) -> None:
    if is_migrated:
        migration = ShardKeyMigration(indexed_database, now=lambda: NOW, sleep=lambda seconds: None, holder="test")
        assert migration.run(jobs_per_second=1_000).migrated == len(DOCUMENTS)
    ids = [JobId(DOCUMENTS[name]["jobId"]) for name in ("queued", "queued email", "with an idempotency key")]

    granted = jobs.claim(ids, make_claim("token"), NOW)
    done = [decide(job, AttemptFinished("token", (make_try(),)), NOW) for job in granted.values()]
    written = jobs.apply([each for each in done if each is not None])
    [live, test] = [
        jobs.insert([make_job(client=client, idempotency_key="order-42")])[0] for client in ("acme", "acme:test")
    ]

    assert (set(granted), written) == (set(ids), [True] * 3)
    assert {jobs.by_ids(ids)[job_id].status for job_id in ids} <= FINAL | {Status.SENT}
    assert live is not None
    assert test is not None
    assert live.job_id == DOCUMENTS["with an idempotency key"]["jobId"]
    assert test.job_id == DOCUMENTS["of a test account"]["jobId"]


def _message(name: str) -> Message:
    kept = MESSAGES[name]
    return Message(
        kept["body"].encode(),
        content_type="application/json",
        content_encoding="utf-8",
        headers=kept["headers"],
        properties=kept["properties"],
    )


def test_a_delivery_message_names_its_job() -> None:
    assert job_id_of(_message("delivery message")) == MESSAGES["delivery message"]["headers"]["id"]


def test_a_dead_letter_says_which_job_failed_and_when() -> None:
    read = queued_dead_letter_of(_message("dead letter"))

    assert (read.job_id, read.reason) == (MESSAGES["dead letter"]["properties"]["message_id"], "failed_job")
    assert read.failed_at == NOW
