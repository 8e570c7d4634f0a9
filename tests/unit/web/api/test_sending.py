"""``POST /api/notifications``."""

from __future__ import annotations

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.corpus.bodies import good_notifications
from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import NOW, WebEnvironment, later, make_environment
from wavecom.core.job import JobId, UnknownOutcomePolicy
from wavecom.core.lanes import Priority
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.errors import StoreError, UncertainWriteError

GOOD = good_notifications()
SMS: dict[str, Any] = {
    "type": "sms",
    "to": {"phone": "+447700900123"},
    "payload": {"text": "Your code is 493817"},
}


@pytest.mark.parametrize("entry", GOOD, ids=[entry["name"] for entry in GOOD])
def test_a_good_body_is_accepted_stored_as_sent_and_published(
    entry: dict[str, Any], shared_environment: WebEnvironment
) -> None:
    body = entry["body"]
    stored = entry.get("stored", {})

    answer = shared_environment.client().post("/api/notifications", json=body)

    assert answer.status_code == 202, answer.text
    job = shared_environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    assert job.status is Status.QUEUED
    assert dict(job.to) == body["to"] | stored.get("to", {})
    assert dict(job.payload) == body["payload"] | stored.get("payload", {})
    assert dict(job.metadata) == body.get("metadata", {})
    assert shared_environment.publisher.delivery_messages[-1] == job.delivery_message()


def test_the_corpus_is_large_and_has_every_type() -> None:
    types = [entry["body"]["type"] for entry in GOOD]

    assert len({entry["name"] for entry in GOOD}) == len(GOOD) >= 40
    assert set(types) == {"sms", "email", "push"}


def test_the_answer_names_the_job_and_where_it_is(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json=SMS)

    [job] = environment.jobs.search(JobFilter(), 2).jobs
    assert answer.json == {
        "jobId": job.job_id,
        "status": "queued",
        "type": "sms",
        "priority": "normal",
        "createdAt": "2026-03-14T09:26:53.589Z",
        "segments": 1,
        "encoding": "GSM-7",
    }
    assert answer.headers["Location"] == f"/api/notifications/{job.job_id}"
    assert api.get(answer.headers["Location"]).json["jobId"] == job.job_id


def test_behind_a_prefix_the_location_has_the_prefix(api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json=SMS, environ_overrides={"SCRIPT_NAME": "/wavecom"})

    assert answer.headers["Location"] == f"/wavecom/api/notifications/{answer.json['jobId']}"


def test_all_options_reach_the_job(environment: WebEnvironment, api: FlaskClient) -> None:
    options = {"metadata": {"a": 1}, "priority": "bulk", "maxAttempts": 7, "onUnknownOutcome": "stop"}

    answer = api.post("/api/notifications", json=SMS | options | {"expiresAt": "2026-03-14T12:00:00+02:00"})

    job = environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    assert job.client == "default"
    assert job.metadata == {"a": 1}
    assert (job.priority, job.max_attempts) == (Priority.BULK, 7)
    assert job.on_unknown_outcome is UnknownOutcomePolicy.STOP
    assert job.expires_at == NOW.replace(hour=10, minute=0, second=0, microsecond=0)


def test_without_options_the_defaults_hold(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json=SMS)

    job = environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    assert (job.priority, job.max_attempts) == (Priority.NORMAL, 5)
    assert job.on_unknown_outcome is UnknownOutcomePolicy.RETRY
    assert job.expires_at == later(hours=72)


def test_a_job_for_later_is_scheduled_and_not_published(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json=SMS | {"sendAt": "2026-03-15T09:00:00.5+01:00"})

    assert answer.json["status"] == "scheduled"
    assert answer.json["sendAt"] == "2026-03-15T08:00:00.500Z"
    assert environment.publisher.delivery_messages == []


def test_a_send_at_that_has_just_passed_means_now(environment: WebEnvironment, api: FlaskClient) -> None:
    just_passed = (NOW - timedelta(seconds=59)).isoformat()

    answer = api.post("/api/notifications", json=SMS | {"sendAt": just_passed})

    assert answer.json["status"] == "queued"
    assert len(environment.publisher.delivery_messages) == 1


@pytest.mark.parametrize(
    ("options", "expires_at"),
    [
        ({"ttlSeconds": 60}, later(60)),
        ({"ttlSeconds": 60, "sendAt": later(3600).isoformat()}, later(3660)),
        ({"ttlSeconds": 60, "sendAt": later(-30).isoformat()}, later(60)),
    ],
)
def test_a_time_to_live_counts_from_the_start(
    options: dict[str, Any], expires_at: Any, environment: WebEnvironment, api: FlaskClient
) -> None:
    answer = api.post("/api/notifications", json=SMS | options)

    job = environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    assert job.expires_at == expires_at


def test_the_last_of_a_name_given_twice_counts(environment: WebEnvironment, api: FlaskClient) -> None:
    text = '{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "a"}, "payload": {"text": "b"}}'

    answer = api.post("/api/notifications", data=text, content_type="application/json")

    job = environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    assert job.payload == {"text": "b"}


def test_a_broker_that_is_away_changes_nothing_for_the_client(environment: WebEnvironment, api: FlaskClient) -> None:
    environment.publisher.is_up = False

    answer = api.post("/api/notifications", json=SMS)

    assert answer.status_code == 202
    assert environment.jobs.get(JobId(answer.json["jobId"])) is not None


class _AwayRepository(MemoryJobRepository):
    def __init__(self, error: Exception) -> None:
        super().__init__(lambda: NOW)
        self._error = error

    def insert(self, jobs: Any) -> Any:
        raise self._error

    def search(self, *args: Any, **kwargs: Any) -> Any:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (StoreError("mongodb.internal:27017 refused"), "store_unavailable", "Nothing was stored"),
        (UncertainWriteError("mongodb.internal:27017 reset"), "store_uncertain", "may or may not have been accepted"),
    ],
)
def test_a_store_that_is_away_is_said_without_naming_its_address(error: Exception, code: str, words: str) -> None:
    api = make_environment(jobs=_AwayRepository(error)).client()

    answer = api.post("/api/notifications", json=SMS)

    assert (answer.status_code, answer.json["code"]) == (503, code)
    assert words in answer.json["detail"]
    assert answer.headers["Retry-After"] == "5"
    assert "mongodb.internal" not in answer.text


def test_an_attachment_stored_apart_is_told_by_its_size(api: FlaskClient) -> None:
    content = b64encode(b"a" * 100_000).decode()
    mail = {
        "type": "email",
        "to": {"email": "amina@example.com"},
        "payload": {
            "subject": "Invoice",
            "text": "Attached.",
            "attachments": [{"filename": "a.pdf", "contentType": "application/pdf", "content": content}],
        },
    }
    sent = api.post("/api/notifications", json=mail)

    answer = api.get(sent.headers["Location"])

    assert answer.json["payload"]["attachments"] == [
        {"filename": "a.pdf", "contentType": "application/pdf", "size": 100_000}
    ]


# --- Idempotency ----------------------------------------------------------------------------------------------------


def _send(api: FlaskClient, body: dict[str, Any], key: str = "order-42") -> Any:
    return api.post("/api/notifications", json=body, headers={"Idempotency-Key": key})


def test_the_same_key_and_body_get_the_first_answer_again(environment: WebEnvironment, api: FlaskClient) -> None:
    first = _send(api, SMS)
    environment.clock.advance(3600)

    second = _send(api, SMS)

    assert second.status_code == first.status_code == 202
    assert second.data == first.data
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(environment.publisher.delivery_messages) == 1


def test_a_replay_of_a_scheduled_job_says_scheduled_even_when_it_has_gone_on(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    body = SMS | {"sendAt": later(30).isoformat()}
    first = _send(api, body)
    environment.clock.advance(31)

    second = _send(api, body)

    assert second.data == first.data


def test_a_replay_wins_over_a_send_at_that_has_passed_meanwhile(environment: WebEnvironment, api: FlaskClient) -> None:
    body = SMS | {"sendAt": later(30).isoformat()}
    first = _send(api, body)
    environment.clock.advance(3600)

    second = _send(api, body)

    assert (second.status_code, second.data) == (202, first.data)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert _send(api, body, "another").status_code == 422
    assert _send(api, body | {"priority": "high"}).json["code"] == "invalid_request"
    assert len(environment.jobs.search(JobFilter(), 5).jobs) == 1


@pytest.mark.parametrize(
    ("text", "segments", "encoding"),
    [
        ("a" * 160, 1, "GSM-7"),
        ("a" * 161, 2, "GSM-7"),
        ("€" * 80, 1, "GSM-7"),
        ("é☃", 1, "UCS-2"),
        ("☃" * 71, 2, "UCS-2"),
    ],
)
def test_the_segments_of_an_sms_are_in_the_answer(text: str, segments: int, encoding: str, api: FlaskClient) -> None:
    answer = api.post("/api/notifications", json=SMS | {"payload": {"text": text}})

    assert (answer.json["segments"], answer.json["encoding"]) == (segments, encoding)


def test_the_order_of_names_and_white_space_do_not_make_another_body(api: FlaskClient) -> None:
    first = _send(api, SMS | {"metadata": {"a": 1, "b": 2}})
    text = (
        '{ "metadata": {"b":2,"a":1}, "payload": {"text": "Your code is 493817"},'
        '"to": {"phone": "+447700900123"}, "type": "sms" }'
    )

    second = api.post(
        "/api/notifications", data=text, content_type="application/json", headers={"Idempotency-Key": "order-42"}
    )

    assert second.json["jobId"] == first.json["jobId"]


def test_the_same_key_with_another_body_is_refused(environment: WebEnvironment, api: FlaskClient) -> None:
    _send(api, SMS)

    answer = _send(api, SMS | {"priority": "high"})

    assert (answer.status_code, answer.json["code"]) == (422, "idempotency_mismatch")
    assert len(environment.jobs.search(JobFilter(), 5).jobs) == 1


def test_another_key_is_another_job(environment: WebEnvironment, api: FlaskClient) -> None:
    _send(api, SMS, "order-42")

    _send(api, SMS, "order-43")

    assert len(environment.jobs.search(JobFilter(), 5).jobs) == 2


def test_without_a_key_every_request_is_a_job(environment: WebEnvironment, api: FlaskClient) -> None:
    api.post("/api/notifications", json=SMS)

    api.post("/api/notifications", json=SMS)

    assert len(environment.jobs.search(JobFilter(), 5).jobs) == 2


def test_a_refused_request_does_not_use_up_its_key(api: FlaskClient) -> None:
    _send(api, SMS | {"maxAttempts": 0})

    answer = _send(api, SMS)

    assert answer.status_code == 202
    assert "Idempotent-Replayed" not in answer.headers


def test_a_long_thread_keeps_all_its_message_ids(environment: WebEnvironment, api: FlaskClient) -> None:
    def mail(headers: dict[str, str]) -> dict[str, Any]:
        payload = {"subject": "Re: parcel", "text": "It is here.", "headers": headers}
        return {"type": "email", "to": {"email": "amina@example.com"}, "payload": payload}

    ids = " ".join(f"<{number:024x}.notification@mail.example.com>" for number in range(120))
    answer = api.post("/api/notifications", json=mail({"References": ids, "X-Thread": "x" * 998}))

    job = environment.jobs.get(JobId(answer.json["jobId"]))
    assert job is not None
    assert job.payload["headers"]["References"] == ids
    for too_long in ({"References": f"{ids} {ids}"}, {"X-Thread": "x" * 999}):
        assert api.post("/api/notifications", json=mail(too_long)).json["errors"][0]["code"] == "too_long"
