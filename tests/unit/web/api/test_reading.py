"""``GET /api/notifications`` and ``GET /api/notifications/<jobId>``."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask.testing import FlaskClient

from tests.factories import make_job, make_job_id
from tests.unit.web.conftest import NOW, WebEnvironment, later, make_environment
from wavecom.core.job import Job, JobError, LogEntry
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import Status
from wavecom.web.api import cursors


def _store(environment: WebEnvironment, **fields: Any) -> Job:
    job = make_job(**({"client": "default", "created_at": NOW} | fields))
    assert environment.jobs.insert([job]) == [None]
    return job


# --- One ------------------------------------------------------------------------------------------------------------


def test_no_two_apps_of_the_tests_and_no_factory_give_the_same_id() -> None:
    # Else a job that should be unknown is found, in whichever process of the tests the counters meet.
    sms = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Your code is 493817"}}
    apps = [make_environment().client() for _ in range(2)]

    ids = {make_job_id(), *(app.post("/api/notifications", json=sms).get_json()["jobId"] for app in apps)}

    assert len(ids) == 3


def test_a_job_is_told_whole(environment: WebEnvironment, api: FlaskClient) -> None:
    entry = LogEntry(
        later(2), "unavailable", 1, "gateway", "unavailable", "http_503", "busy", 12.5, next_attempt_at=later(6)
    )
    job = _store(
        environment,
        status=Status.RETRYING,
        metadata={"order": "A-1"},
        idempotency_key="order-42",
        fingerprint="f" * 64,
        logs=(LogEntry(NOW, "accepted"), entry),
        next_attempt_at=later(6),
        updated_at=later(2),
    )

    answer = api.get(f"/api/notifications/{job.job_id}")

    assert answer.status_code == 200
    assert answer.json == {
        "jobId": job.job_id,
        "type": "sms",
        "to": {"phone": "+12025550143"},
        "payload": {"text": "Your one-time password is 493817", "senderId": "BANK"},
        "metadata": {"order": "A-1"},
        "parent": None,
        "recipientId": None,
        "category": None,
        "heldUntil": None,
        "status": "retrying",
        "region": None,
        "template": None,
        "priority": "normal",
        "attempts": 1,
        "maxAttempts": 5,
        "onUnknownOutcome": "retry",
        "mayHaveBeenSent": False,
        "replays": 0,
        "provider": "sandbox",
        "providerMessageId": None,
        "error": {"code": "provider_unavailable", "message": "http_503", "provider": "sandbox"},
        "idempotencyKey": "order-42",
        "createdBy": None,
        "createdAt": "2026-03-14T09:26:53.589Z",
        "updatedAt": "2026-03-14T09:26:55.589Z",
        "sendAt": None,
        "expiresAt": "2026-03-17T09:26:53.589Z",
        "nextAttemptAt": "2026-03-14T09:26:59.589Z",
        "finishedAt": None,
        "logs": [
            {"at": "2026-03-14T09:26:53.589Z", "event": "accepted"},
            {
                "at": "2026-03-14T09:26:55.589Z",
                "event": "unavailable",
                "attempt": 1,
                "provider": "gateway",
                "outcome": "unavailable",
                "code": "http_503",
                "message": "busy",
                "latencyMs": 12.5,
                "nextAttemptAt": "2026-03-14T09:26:59.589Z",
            },
        ],
        "logCount": 2,
    }


def test_attachments_are_described_not_repeated(environment: WebEnvironment, api: FlaskClient) -> None:
    attachments = [
        {"filename": "a.txt", "contentType": "text/plain", "content": "QUJD"},
        {"filename": "b.txt", "contentType": "text/plain", "content": "QQ=="},
    ]
    job = _store(environment, type=Channel.EMAIL, payload={"subject": "S", "text": "T", "attachments": attachments})

    answer = api.get(f"/api/notifications/{job.job_id}")

    assert answer.json["payload"] == {
        "subject": "S",
        "text": "T",
        "attachments": [
            {"filename": "a.txt", "contentType": "text/plain", "size": 3},
            {"filename": "b.txt", "contentType": "text/plain", "size": 1},
        ],
    }


def test_an_id_may_be_in_capitals(environment: WebEnvironment, api: FlaskClient) -> None:
    job = _store(environment)

    assert api.get(f"/api/notifications/{job.job_id.upper()}").status_code == 200


@pytest.mark.parametrize("job_id", [make_job_id(), "nonsense", "%00", "a" * 5000, "{}"])
def test_an_unknown_id_is_not_found(job_id: str, api: FlaskClient) -> None:
    answer = api.get(f"/api/notifications/{quote(job_id, safe='%')}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")


def test_another_clients_job_is_answered_like_none(environment: WebEnvironment, api: FlaskClient) -> None:
    foreign = _store(environment, client="somebody else")
    missing = api.get(f"/api/notifications/{make_job_id()}")

    answer = api.get(f"/api/notifications/{foreign.job_id}")

    assert answer.status_code == 404
    assert answer.json | {"requestId": ""} == missing.json | {"requestId": ""}


# --- Many -----------------------------------------------------------------------------------------------------------


def _ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["jobId"] for item in answer.json["items"]]


def test_a_list_has_the_clients_own_jobs_newest_first(environment: WebEnvironment, api: FlaskClient) -> None:
    old, new = _store(environment, created_at=NOW), _store(environment, created_at=later(1))
    _store(environment, client="somebody else")

    answer = api.get("/api/notifications")

    assert _ids(answer) == [new.job_id, old.job_id]
    assert answer.json["next"] is None
    assert "Link" not in answer.headers
    assert not answer.json["items"][0].keys() & {"payload", "logs", "logCount"}


def test_an_item_is_the_job_without_payload_and_log(environment: WebEnvironment, api: FlaskClient) -> None:
    job = _store(environment, metadata={"a": 1})
    whole = api.get(f"/api/notifications/{job.job_id}").json

    [item] = api.get("/api/notifications").json["items"]

    assert item == {name: value for name, value in whole.items() if name not in {"payload", "logs", "logCount"}}


def test_links_lead_through_all_pages_and_keep_the_filters(environment: WebEnvironment, api: FlaskClient) -> None:
    jobs = [_store(environment, created_at=later(number // 3), metadata={"n": number}) for number in range(10)]
    _store(environment, created_at=later(3), status=Status.FAILED)
    seen: list[str] = []
    link = "/api/notifications?limit=4&status=queued&createdSince=2026-03-14T00:00:00%2B00:00"

    while link:
        answer = api.get(link)
        seen += _ids(answer)
        link = answer.json["next"]
        assert answer.headers.get("Link") == (f'<{link}>; rel="next"' if link else None)
        if link:
            assert parse_qs(urlsplit(link).query).keys() == {"limit", "status", "createdSince", "cursor"}

    assert sorted(seen) == sorted(job.job_id for job in jobs)
    assert len(seen) == len(set(seen))


def test_new_jobs_do_not_shift_the_pages(environment: WebEnvironment, api: FlaskClient) -> None:
    older = [_store(environment, created_at=later(number)) for number in range(3)]
    first = api.get("/api/notifications?limit=2")
    _store(environment, created_at=later(60))

    second = api.get(first.json["next"])

    assert _ids(second) == [older[0].job_id]


FILTERS = [
    ("status=failed", ["failed"]),
    ("status=failed,delivered", ["failed", "delivered"]),
    ("status=failed&status=delivered", ["failed", "delivered"]),
    ("status=failed,%20delivered&status=failed", ["failed", "delivered"]),
    ("type=email", ["mail"]),
    ("priority=high", ["urgent"]),
    ("provider=gateway", ["delivered"]),
    ("errorCode=rejected", ["failed"]),
    ("recipient=amina@example.com", ["mail"]),
    ("recipient=amina@EXAMPLE.com", ["mail"]),
    ("recipient=%2B447700900999", ["urgent"]),
    ("recipient=+44%207700%20900-999", ["urgent"]),
    ("recipient=(%2B44)%207700%20900999", ["urgent"]),
    ("recipient=cD3f:APA91bH", ["push"]),
    ("metadataKey=order", ["urgent", "late"]),
    ("metadataKey=order&metadataValue=42", ["urgent"]),
    ("metadataKey=order&metadataValue=A%20b", ["late"]),
    ("metadataKey=42", []),
    ("createdSince=2026-03-14T10:26:53.589Z", ["late"]),
    ("createdSince=2026-03-14T11:26:53.589+01:00", ["late"]),
    ("createdBefore=2026-03-14T09:26:53.589Z", []),
    ("type=sms&status=queued&createdBefore=2026-03-14T10:00:00Z", ["urgent"]),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
def test_a_list_can_be_narrowed(query: str, expected: list[str], environment: WebEnvironment, api: FlaskClient) -> None:
    names = {
        _store(environment, status=Status.FAILED, error=JobError("rejected", "no", "sandbox")).job_id: "failed",
        _store(environment, status=Status.DELIVERED, provider="gateway").job_id: "delivered",
        _store(environment, type=Channel.EMAIL).job_id: "mail",
        _store(
            environment, priority=Priority.HIGH, to={"phone": "+447700900999"}, metadata={"order": 42}
        ).job_id: "urgent",
        _store(environment, type=Channel.PUSH, to={"platform": "fcm", "token": "cD3f:APA91bH"}).job_id: "push",
        _store(
            environment, status=Status.CANCELLED, created_at=later(hours=1), metadata={"order": "A b"}
        ).job_id: "late",
    }

    answer = api.get(f"/api/notifications?{query}")

    assert {names[each] for each in _ids(answer)} == set(expected)


BAD_QUERIES = [
    ("status=sent,deliverd", {"status": "unknown_value"}),
    ("status=", {"status": "unknown_value"}),
    ("type=fax", {"type": "unknown_value"}),
    ("priority=urgent", {"priority": "unknown_value"}),
    ("limit=0", {"limit": "out_of_range"}),
    ("limit=201", {"limit": "out_of_range"}),
    ("limit=ten", {"limit": "invalid"}),
    ("limit=", {"limit": "invalid"}),
    ("limit=1e2", {"limit": "invalid"}),
    ("limit=10&limit=20", {"limit": "duplicate"}),
    ("provider=", {"provider": "empty"}),
    ("provider=a%00b", {"provider": "control_character"}),
    ("recipient=", {"recipient": "empty"}),
    ("metadataKey=", {"metadataKey": "empty"}),
    ("metadataKey=" + "k" * 65, {"metadataKey": "too_long"}),
    ("metadataValue=42", {"metadataKey": "required"}),
    ("metadataKey=a&metadataValue=b%00", {"metadataValue": "control_character"}),
    ("createdSince=yesterday", {"createdSince": "invalid"}),
    ("createdSince=2026-03-14", {"createdSince": "invalid"}),
    ("createdSince=2026-03-15T00:00:00Z&createdBefore=2026-03-14T00:00:00Z", {"createdBefore": "out_of_range"}),
    ("cursor=", {"cursor": "invalid"}),
    ("cursor=abc", {"cursor": "invalid"}),
    ("cursor=" + "A" * 38, {"cursor": "invalid"}),
    ("state=failed", {"state": "unknown_field"}),
    ("page=2&per_page=10", {"page": "unknown_field", "per_page": "unknown_field"}),
    ("limit=x&type=y&z=1&limit=2", {"limit": "duplicate", "type": "unknown_value", "z": "unknown_field"}),
]


@pytest.mark.parametrize(("query", "expected"), BAD_QUERIES)
def test_a_wrong_query_is_refused_naming_every_parameter(
    query: str, expected: dict[str, str], api: FlaskClient
) -> None:
    answer = api.get(f"/api/notifications?{query}")

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert {error["parameter"]: error["code"] for error in answer.json["errors"]} == expected


def test_the_parameter_that_was_meant_is_suggested(api: FlaskClient) -> None:
    answer = api.get("/api/notifications?state=failed&createdsince=x")

    messages = [error["message"] for error in answer.json["errors"]]
    assert messages == [
        "is not a known field; did you mean `status`?",
        "is not a known field; did you mean `createdSince`?",
    ]


def test_a_cursor_that_was_tampered_with_is_refused(environment: WebEnvironment, api: FlaskClient) -> None:
    for number in range(3):
        _store(environment, created_at=later(number))
    link = api.get("/api/notifications?limit=1").json["next"]
    cursor = parse_qs(urlsplit(link).query)["cursor"][0]

    for place in range(len(cursor)):
        changed = cursor[:place] + ("A" if cursor[place] != "A" else "B") + cursor[place + 1 :]
        answer = api.get(f"/api/notifications?cursor={changed}")
        # The last character holds two bits that mean nothing.
        assert answer.status_code == 422 or cursors.decode(changed) == cursors.decode(cursor)


def test_head_answers_like_get_without_a_body(environment: WebEnvironment, api: FlaskClient) -> None:
    job = _store(environment)

    for path in ("/api/notifications", f"/api/notifications/{job.job_id}"):
        answer = api.head(path)

        assert answer.status_code == 200
        assert answer.data == b""
        assert answer.headers["Content-Length"] == api.get(path).headers["Content-Length"]


def test_options_tell_the_methods_to_anybody(environment: WebEnvironment) -> None:
    answer = environment.client(None).options("/api/notifications")

    assert answer.status_code == 200
    assert {"GET", "HEAD", "OPTIONS", "POST"} == set(answer.allow)
