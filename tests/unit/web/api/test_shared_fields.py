"""A batch that carries once what its items have in common."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.unit.web.conftest import WebEnvironment
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Priority

ONE, TWO = {"phone": "+447700900123"}, {"phone": "+447700900124"}
COMMON: dict[str, Any] = {
    "type": "sms",
    "payload": {"text": "Hello", "senderId": "BANK"},
    "metadata": {"run": "spring"},
    "priority": "bulk",
}


def send(api: FlaskClient, common: Any, *items: Any) -> TestResponse:
    return api.post("/api/notifications/batch", json={"common": common, "notifications": list(items)})


def jobs_of(environment: WebEnvironment, answer: TestResponse) -> list[Job]:
    assert answer.status_code == 202, answer.text
    found = [environment.jobs.get(JobId(each["notification"]["jobId"])) for each in answer.json["results"]]
    return [job for job in found if job is not None]


def pointers_of(answer: TestResponse) -> list[list[str]]:
    return [
        [each["pointer"] for each in result["problem"]["errors"]] if "problem" in result else []
        for result in answer.json["results"]
    ]


def test_an_item_is_what_it_says_laid_over_what_all_share(api: FlaskClient, environment: WebEnvironment) -> None:
    item = {"to": TWO, "payload": {"text": "Hallo"}, "metadata": {"run": "late", "order": 7}, "priority": "high"}

    first, second = jobs_of(environment, send(api, COMMON, {"to": ONE}, item))

    assert (first.to, first.payload, first.metadata, first.priority) == (
        ONE,
        COMMON["payload"],
        {"run": "spring"},
        Priority.BULK,
    )
    assert (second.to, second.payload, second.metadata, second.priority) == (
        TWO,
        {"text": "Hallo", "senderId": "BANK"},
        {"run": "late", "order": 7},
        Priority.HIGH,
    )


def test_an_address_is_never_mixed_of_two(api: FlaskClient, environment: WebEnvironment) -> None:
    common = COMMON | {"to": {"phone": "+447700900199"}}

    assert [job.to for job in jobs_of(environment, send(api, common, {}, {"to": ONE}))] == [
        {"phone": "+447700900199"},
        ONE,
    ]


def test_it_is_the_same_notification_as_one_that_is_written_out(api: FlaskClient) -> None:
    shared = send(api, COMMON, {"to": ONE, "idempotencyKey": "k"})
    alone = api.post("/api/notifications", json=COMMON | {"to": ONE}, headers={"Idempotency-Key": "k"})

    assert alone.headers["Idempotent-Replayed"] == "true"
    assert alone.json["jobId"] == shared.json["results"][0]["notification"]["jobId"]


def test_what_is_wrong_is_named_where_it_stands(api: FlaskClient) -> None:
    wrong: dict[str, Any] = COMMON | {"payload": {"text": " ", "senderId": "BANK"}, "maxAttempts": 0}

    answer = send(
        api,
        wrong,
        {"to": ONE},
        {"to": {"phone": "1"}, "maxAttempts": 99, "payload": {"text": "x", "senderId": "!"}},
        "nothing",
        {"to": ONE, "maxAttempts": 1, "payload": {"text": "Hello"}},
    )

    assert answer.status_code == 207
    assert [set(each) for each in pointers_of(answer)] == [
        {"/common/payload/text", "/common/maxAttempts"},
        {"/to/phone", "/maxAttempts", "/payload/senderId"},
        {""},
        set(),
    ]


def test_what_the_store_of_rules_finds_is_named_where_it_stands_too(api: FlaskClient) -> None:
    answer = send(api, COMMON | {"category": "nothing"}, {"to": ONE}, {"to": TWO, "category": "none"})

    assert pointers_of(answer) == [["/common/category"], ["/category"]]


@pytest.mark.parametrize(
    ("common", "pointer"), [("x", "/common"), ([], "/common"), ({"idempotencyKey": "k"}, "/common/idempotencyKey")]
)
def test_what_can_not_be_shared_is_refused_for_all(api: FlaskClient, common: Any, pointer: str) -> None:
    answer = send(api, common, COMMON | {"to": ONE})

    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


def test_what_is_shared_is_not_too_large_when_each_has_it(api: FlaskClient) -> None:
    common = {"type": "email", "payload": {"subject": "Hi", "html": "x" * 40_000}}

    answer = send(api, common, *[{"to": {"email": f"u{number}@example.com"}} for number in range(1000)])

    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")
