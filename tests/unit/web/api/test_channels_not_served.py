"""A channel that the providers file has no route for: refused by its name, test keys and repetitions excepted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.web.conftest import WebEnvironment, make_environment
from wavecom.settings import Settings

MAIL_ONLY = '[providers.mail]\ntype = "sandbox"\nlatency_ms = "$UNSET"\n[routes]\nemail = ["mail"]\n'
SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}
EMAIL = {"type": "email", "to": {"email": "ada@example.org"}, "payload": {"subject": "Hello", "text": "Hello"}}


@pytest.fixture
def environment(tmp_path: Path) -> WebEnvironment:
    file = tmp_path / "providers.toml"
    file.write_text(MAIL_ONLY)
    return make_environment(Settings(secret_key="a secret for tests only", providers_file=file))


def is_refusal(problem: dict[str, Any]) -> bool:
    [wrong] = problem["errors"]
    assert wrong["pointer"] == "/type"
    assert wrong["code"] == "not_served"
    assert "send one of: email" in wrong["message"]
    assert "providers file" in wrong["message"]
    return bool(problem["code"] == "channel_not_served" and problem["status"] == 422)


def test_a_channel_without_a_route_is_refused_with_field_and_fix(environment: WebEnvironment) -> None:
    answer = environment.client().post("/api/notifications", json=SMS)

    assert answer.status_code == 422
    assert is_refusal(answer.get_json())
    assert environment.client().get("/api/notifications").get_json()["items"] == []


def test_those_with_a_route_are_accepted(environment: WebEnvironment) -> None:
    assert environment.client().post("/api/notifications", json=EMAIL).status_code == 202


def test_in_a_batch_each_item_is_answered_for_itself(environment: WebEnvironment) -> None:
    answer = environment.client().post("/api/notifications/batch", json={"notifications": [SMS, EMAIL, SMS]})

    body = answer.get_json()
    assert answer.status_code == 207
    assert [result["status"] for result in body["results"]] == [422, 202, 422]
    assert all(is_refusal(body["results"][index]["problem"]) for index in (0, 2))


def test_a_batch_of_nothing_else_is_refused_whole(environment: WebEnvironment) -> None:
    answer = environment.client().post("/api/notifications/batch", json={"notifications": [SMS]})

    assert (answer.status_code, answer.get_json()["code"]) == (422, "nothing_accepted")


def test_what_was_accepted_before_the_route_was_taken_out_is_answered_as_then(environment: WebEnvironment) -> None:
    before = make_environment(jobs=environment.jobs)
    headers = {"Idempotency-Key": "once"}
    first = before.client().post("/api/notifications", json=SMS, headers=headers)

    again = environment.client().post("/api/notifications", json=SMS, headers=headers)
    in_a_batch = environment.client().post(
        "/api/notifications/batch", json={"notifications": [SMS | {"idempotencyKey": "once"}]}
    )

    assert (first.status_code, again.status_code, in_a_batch.status_code) == (202, 202, 202)
    assert again.get_json()["jobId"] == first.get_json()["jobId"]


def test_a_test_key_reaches_the_sandbox_all_the_same(environment: WebEnvironment) -> None:
    made = environment.client().post("/api/keys", json={"name": "tests", "mode": "test", "scopes": ["send"]})
    assert made.status_code == 201, made.get_json()

    answer = environment.client(made.get_json()["key"]).post("/api/notifications", json=SMS)

    assert answer.status_code == 202
