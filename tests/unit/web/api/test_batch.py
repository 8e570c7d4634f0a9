"""``POST /api/notifications/batch``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.corpus.bodies import bad_notifications, good_notifications
from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import NOW, WebEnvironment, later, make_environment
from wavecom.core.job import Job, JobId
from wavecom.core.ports import JobFilter
from wavecom.errors import StoreError, UncertainWriteError

PATH = "/api/notifications/batch"


def sms(number: int = 0, **members: Any) -> dict[str, Any]:
    return {
        "type": "sms",
        "to": {"phone": f"+4477009{number:05d}"},
        "payload": {"text": "Hello"},
        **members,
    }


BAD = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": " "}}


def _post(api: FlaskClient, items: list[Any], key: str | None = None) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(PATH, json={"notifications": items}, headers=headers)


def _count(environment: WebEnvironment) -> int:
    return len(environment.jobs.search(JobFilter(), 2000).jobs)


def test_a_batch_that_is_right_is_taken_as_a_whole_in_order(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = _post(api, [sms(number) for number in range(1000)])

    assert answer.status_code == 202
    assert (answer.json["accepted"], answer.json["refused"]) == (1000, 0)
    jobs = [environment.jobs.get(JobId(result["notification"]["jobId"])) for result in answer.json["results"]]
    assert [job.to["phone"] for job in jobs if job] == [sms(number)["to"]["phone"] for number in range(1000)]
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [
        job.job_id for job in jobs if job
    ]


def test_an_item_is_answered_as_it_would_be_by_itself(environment: WebEnvironment, api: FlaskClient) -> None:
    alone = api.post("/api/notifications", json=sms()).json

    [result] = _post(api, [sms()]).json["results"]

    assert result == {"status": 202, "notification": alone | {"jobId": result["notification"]["jobId"]}}


def test_what_is_wrong_with_one_costs_no_other(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = _post(api, [sms(1), BAD, sms(2), "no object", {"type": "fax"}])

    assert answer.status_code == 207
    assert [result["status"] for result in answer.json["results"]] == [202, 422, 202, 422, 422]
    assert (answer.json["accepted"], answer.json["refused"]) == (2, 3)
    assert _count(environment) == 2


def test_a_refusal_names_its_faults_by_pointers_that_begin_at_the_item(api: FlaskClient) -> None:
    answer = _post(api, [sms(), BAD])

    problem = answer.json["results"][1]["problem"]
    assert (problem["code"], problem["status"]) == ("invalid_request", 422)
    assert problem["requestId"] == answer.headers["X-Request-ID"]
    assert problem["errors"] == [{"pointer": "/payload/text", "message": "must not be empty", "code": "empty"}]


def test_when_none_is_right_the_whole_answer_is_a_problem_with_all_results(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    answer = _post(api, [BAD, BAD])

    assert (answer.status_code, answer.json["code"]) == (422, "nothing_accepted")
    assert answer.mimetype == "application/problem+json"
    assert [result["problem"]["code"] for result in answer.json["results"]] == ["invalid_request"] * 2
    assert _count(environment) == 0


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/notifications", "required"),
        ({"notifications": {}}, "/notifications", "wrong_type"),
        ({"notifications": []}, "/notifications", "empty"),
        ({"notifications": [1] * 1001}, "/notifications", "too_many"),
        ({"notifications": [1], "items": []}, "/items", "unknown_field"),
        ([], "", "wrong_type"),
    ],
)
def test_what_is_no_batch_at_all_is_refused_as_a_whole(body: Any, pointer: str, code: str, api: FlaskClient) -> None:
    answer = api.post(PATH, json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert [(error["pointer"], error["code"]) for error in answer.json["errors"]] == [(pointer, code)]


ITEMS = [entry for entry in bad_notifications() if "body" in entry and "errors" in entry and "headers" not in entry]


@pytest.mark.parametrize("entry", ITEMS, ids=[entry["name"] for entry in ITEMS])
def test_a_bad_item_gets_the_errors_that_it_gets_by_itself(
    entry: dict[str, Any], shared_environment: WebEnvironment
) -> None:
    api = shared_environment.client()
    alone = api.post("/api/notifications", data=json.dumps(entry["body"]), content_type="application/json").json
    if any("idempotency" in error["pointer"].lower() for error in alone.get("errors", ())):
        return  # a field that only an item may have

    [result] = _post(api, [entry["body"]]).json["results"]

    assert [(e["pointer"], e["code"]) for e in result["problem"]["errors"]] == [
        (e["pointer"], e["code"]) for e in alone["errors"]
    ]


def test_the_good_ones_are_good_in_a_batch_too(api: FlaskClient) -> None:
    answer = _post(api, [entry["body"] for entry in good_notifications()])

    assert answer.status_code == 202


def test_a_thousand_with_all_that_can_be_said_in_few_words_fit(api: FlaskClient) -> None:
    options = {
        "metadata": {f"label-{number}": number for number in range(20)},
        "priority": "bulk",
        "maxAttempts": 3,
        "ttlSeconds": 600,
        "onUnknownOutcome": "stop",
    }

    answer = _post(api, [sms(number, **options, idempotencyKey=f"k-{number}") for number in range(1000)])

    assert answer.status_code == 202


def test_more_values_than_a_batch_may_have_are_refused_before_parsing(api: FlaskClient) -> None:
    answer = api.post(PATH, data=b"[" + b"1," * 100_000 + b"1]", content_type="application/json")

    assert (answer.status_code, answer.json["code"]) == (413, "body_too_large")


# --- Idempotency ------------------------------------------------------------------------------------------------------


def test_each_item_may_have_a_key_of_its_own(environment: WebEnvironment, api: FlaskClient) -> None:
    first = _post(api, [sms(1, idempotencyKey="a"), sms(2, idempotencyKey="b")])

    second = _post(api, [sms(2, idempotencyKey="b"), sms(3, idempotencyKey="c"), sms(4, idempotencyKey="a")])

    assert second.status_code == 207
    repeated, fresh, other = second.json["results"]
    assert repeated == first.json["results"][1] | {"replayed": True}
    assert "replayed" not in fresh
    assert other["problem"]["code"] == "idempotency_mismatch"
    assert _count(environment) == 3


def test_a_key_is_the_same_key_in_a_batch_and_alone(environment: WebEnvironment, api: FlaskClient) -> None:
    alone = api.post("/api/notifications", json=sms(), headers={"Idempotency-Key": "a"})

    [result] = _post(api, [sms(idempotencyKey="a")]).json["results"]

    assert result == {"status": 202, "notification": alone.json, "replayed": True}
    assert _count(environment) == 1


def test_of_items_with_one_key_the_first_counts(environment: WebEnvironment, api: FlaskClient) -> None:
    answer = _post(api, [sms(1, idempotencyKey="a"), sms(1, idempotencyKey="a"), sms(2, idempotencyKey="a")])

    first, same, other = answer.json["results"]
    assert same == first | {"replayed": True}
    assert other["problem"]["code"] == "idempotency_mismatch"
    assert _count(environment) == 1


def test_with_the_header_the_whole_batch_may_be_repeated(environment: WebEnvironment, api: FlaskClient) -> None:
    items = [sms(1), sms(2, idempotencyKey="mine"), sms(3)]
    first = _post(api, items, "campaign-7")

    second = _post(api, items, "campaign-7")

    assert [result["notification"] for result in second.json["results"]] == [
        result["notification"] for result in first.json["results"]
    ]
    assert all(result["replayed"] for result in second.json["results"])
    assert (first.headers.get("Idempotent-Replayed"), second.headers["Idempotent-Replayed"]) == (None, "true")
    keys = [job.idempotency_key for job in environment.jobs.search(JobFilter(), 9).jobs]
    assert sorted(map(str, keys)) == ["campaign-7/0", "campaign-7/2", "mine"]


def test_a_repetition_wins_over_times_that_have_passed_meanwhile(environment: WebEnvironment, api: FlaskClient) -> None:
    items = [sms(1, idempotencyKey="a", sendAt=later(30).isoformat()), sms(2)]
    first = _post(api, items)
    environment.clock.advance(3600)

    second = _post(api, items)

    assert second.status_code == 202
    assert second.json["results"][0] == first.json["results"][0] | {"replayed": True}
    assert "Idempotent-Replayed" not in second.headers, "the other one is new"
    assert _count(environment) == 3


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "é", 7, None])
def test_a_key_that_is_none_is_a_fault_of_its_item(key: Any, environment: WebEnvironment, api: FlaskClient) -> None:
    answer = _post(api, [sms(1, idempotencyKey=key), sms(2)])

    assert answer.status_code == 207
    [error] = answer.json["results"][0]["problem"]["errors"]
    assert error["pointer"] == "/idempotencyKey"
    assert _count(environment) == 1


# --- The store --------------------------------------------------------------------------------------------------------


class _Away(MemoryJobRepository):
    def __init__(self, error: Exception) -> None:
        super().__init__(lambda: NOW)
        self._error = error

    def insert(self, jobs: Any) -> list[Job | None]:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code"), [(StoreError("away"), "store_unavailable"), (UncertainWriteError("cut"), "store_uncertain")]
)
def test_when_nothing_can_be_stored_the_whole_batch_is_to_come_again(error: Exception, code: str) -> None:
    api = make_environment(jobs=_Away(error)).client()

    answer = _post(api, [sms(), sms(1)])

    assert (answer.status_code, answer.json["code"]) == (503, code)
    assert answer.headers["Retry-After"] == "5"


def test_a_batch_is_as_large_as_a_body_may_be_and_no_larger(api: FlaskClient) -> None:
    body = json.dumps({"notifications": [sms(payload={"text": "x" * 15_000_000})]})

    answer = api.post(PATH, data=body, content_type="application/json")

    assert answer.status_code == 413
