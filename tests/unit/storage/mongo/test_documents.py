from __future__ import annotations

from typing import Any

import bson
import pytest

from tests.factories import NOW, later, make_claim, make_job, make_try
from tests.memory_storage.jobs import stored_copy
from wavecom.core.engine import AttemptFinished, AttemptPrevented, Parked, Transition, decide
from wavecom.core.job import Job, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.errors import BodyTooLargeError
from wavecom.storage.mongo.client import connect, default_database
from wavecom.storage.mongo.documents import CODEC, encode_job, to_document, to_patch
from wavecom.storage.mongo.jobs import MongoJobRepository

PUBLISHED = {
    "_id", "jobId", "type", "to", "payload", "status", "attempts", "maxAttempts", "logs", "metadata", "createdAt",
    "updatedAt", "client", "priority", "idempotencyKey", "fingerprint", "sendAt", "expiresAt", "onUnknownOutcome",
    "mayHaveBeenSent", "replays", "provider", "providerMessageId", "error", "claim", "nextAttemptAt", "queuedAt",
    "dueAt", "finishedAt", "deadLetteredAt", "purgeAt", "logCount",
}  # fmt: skip
#: Derived from the others, for indexes and guards.
INTERNAL = {"shardKey", "queue", "recipient", "parkedUntil", "hasEscapedKeys", "writes"}


@pytest.mark.parametrize("status", Status)
def test_documents_hold_published_names_and_nothing_that_is_none(status: Status) -> None:
    document = to_document(make_job(status=status))

    assert set(document) <= PUBLISHED | INTERNAL
    assert None not in document.values()


def test_fields_without_a_value_are_absent() -> None:
    document = to_document(make_job())

    assert not {"idempotencyKey", "fingerprint", "error", "claim", "provider", "purgeAt"} & set(document)


@pytest.mark.parametrize("key", ["$ref", "$id", "$db", "$$ref", "$$$db"])
def test_keys_that_mean_something_to_drivers_are_stored_as_others(key: str) -> None:
    job = make_job(metadata={key: "x", "inner": [{key: 1}]})

    raw = encode_job(job)

    stored: dict[str, Any] = bson.decode(raw.raw, codec_options=CODEC)
    assert list(stored["metadata"]) == [f"${key}", "inner"]
    assert stored_copy(job) == job


def test_the_words_themselves_in_a_text_change_nothing() -> None:
    job = make_job(payload={"text": "pay with $ref", "senderId": "$id"})

    assert stored_copy(job) == job


@pytest.mark.parametrize(
    ("job", "recipient"),
    [
        (make_job(type=Channel.EMAIL, to={"email": "A.b+c@example.com"}), "a.b+c@example.com"),
        (make_job(type=Channel.SMS, to={"phone": "+12025550143"}), "+12025550143"),
        (make_job(type=Channel.PUSH, to={"platform": "apns", "token": "00ff"}), "00ff"),
        (make_job(type=Channel.PUSH, to={"subscription": {"endpoint": "https://push.example/1"}}), "https://push.example/1"),
        (make_job(type=Channel.PUSH, to={"subscription": "odd"}), None),
    ],
)  # fmt: skip
def test_the_recipient_of_every_channel_is_in_one_field(job: Job, recipient: str | None) -> None:
    assert to_document(job).get("recipient") == recipient


def test_a_job_beyond_what_a_document_holds_is_refused() -> None:
    with pytest.raises(BodyTooLargeError):
        encode_job(make_job(payload={"text": "x" * (16 * 1024 * 1024)}))


def _decided(job: Job, event: Any) -> Transition:
    transition = decide(job, event, NOW)
    assert transition is not None
    return transition


def test_only_a_job_without_a_message_is_marked_as_parked() -> None:
    waiting, taken = make_job(), make_job(status=Status.PROCESSING, claim=make_claim("t"))
    parked = [to_patch(_decided(waiting, Parked(later(9)))), to_patch(_decided(taken, AttemptPrevented("t", 9)))]
    retrying = to_patch(_decided(taken, AttemptFinished("t", (make_try(Outcome.UNAVAILABLE),))))

    assert [patch.values["parkedUntil"] for patch in parked] == [later(9), later(9)]
    assert "parkedUntil" in retrying.removed
    assert to_document(make_job(queued_at=None))["parkedUntil"] == later(30)
    assert "parkedUntil" not in to_document(make_job())
    assert "parkedUntil" not in to_document(make_job(status=Status.SCHEDULED))


def test_a_repository_needs_no_server_to_be_made() -> None:
    with connect("mongodb://127.0.0.1:1/elsewhere", pool_size=3) as client:
        database = default_database(client)
        MongoJobRepository(database["jobs"])

        assert database.name == "elsewhere"
        assert client.options.pool_options.max_pool_size == 3
