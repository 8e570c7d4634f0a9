"""Many notifications are started again."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import make_job_id
from tests.unit.web.api.stored_jobs import REPLAY, status_of, store, store_failed
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.core.job import JobError, JobId
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


def test_a_replay_starts_what_matches_all_filters_and_nothing_else(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    error = JobError("attempts_exhausted", "http_503", "gateway")
    meant = [store_failed(environment, number, error=error) for number in (30, 20, 10)]
    others = [
        store_failed(environment, 20, error=JobError("rejected", "http_400", "gateway")),
        store_failed(environment, 20, error=JobError("attempts_exhausted", "http_503", "mail")),
        store_failed(environment, 20, error=error, type=Channel.EMAIL),
        store_failed(environment, 99, error=error),
        store_failed(environment, 5, error=error),
        store_failed(environment, 20, error=error, client="somebody else"),
        store_failed(environment, 20, error=error, client="default:test"),
    ]
    filters = {
        "errorCode": "attempts_exhausted",
        "provider": "gateway",
        "type": "sms",
        "failedSince": later(-30).isoformat(),
        "failedBefore": later(-5).isoformat(),
    }

    answer = api.post(REPLAY, json=filters)

    assert answer.status_code == 202
    assert answer.json == {
        "auditId": "run-1",
        "replayed": 3,
        "skipped": 0,
        "inDoubt": 0,
        "unknown": 0,
        "reasons": [{"code": "attempts_exhausted", "provider": "gateway", "count": 3}],
        "lastStartsAt": "2026-03-14T09:26:53.589Z",
        "remaining": 0,
        "next": None,
    }
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [
        job.job_id for job in meant
    ]
    assert {status_of(environment, job) for job in meant} == {Status.QUEUED}
    assert {status_of(environment, job) for job in others} == {Status.FAILED}
    run = environment.audit.only()
    assert run.operator.startswith("key ")
    assert run.filters["client"] == "default"
    [*_, entry] = environment.jobs.get(meant[0].job_id).logs  # type: ignore[union-attr]
    assert (entry.event, entry.message) == ("replayed", "by the client, audit entry run-1")


def test_ids_of_others_are_unknown_ones(environment: WebEnvironment, api: FlaskClient) -> None:
    mine, delivered = store_failed(environment), store(environment, status=Status.DELIVERED)
    foreign = store_failed(environment, client="somebody else")
    ids = [job.job_id for job in (mine, foreign, delivered)] + [make_job_id(), mine.job_id.upper()]

    answer = api.post(REPLAY, json={"jobIds": ids})

    assert answer.status_code == 202
    assert (answer.json["replayed"], answer.json["skipped"], answer.json["unknown"]) == (1, 1, 2)
    assert status_of(environment, foreign) is Status.FAILED
    assert environment.audit.only().filters["client"] == "default"


def test_a_dry_run_counts_and_shows_some_and_changes_nothing(environment: WebEnvironment, api: FlaskClient) -> None:
    jobs = [store_failed(environment, number) for number in range(12)]
    store_failed(environment, 3, client="somebody else")

    by_filter = api.post(REPLAY, json={"type": "sms", "dryRun": True, "limit": 5})
    by_id = api.post(REPLAY, json={"jobIds": [jobs[0].job_id, make_job_id()], "dryRun": True})

    assert by_filter.status_code == by_id.status_code == 200
    assert by_filter.json["count"] == 12
    assert by_filter.json["reasons"] == [{"code": "rejected", "provider": "sandbox", "count": 12}]
    assert [item["jobId"] for item in by_filter.json["sample"]] == [job.job_id for job in jobs[:10]]
    assert (by_id.json["count"], by_id.json["sample"][0]["jobId"]) == (1, jobs[0].job_id)
    assert [environment.jobs.get(job.job_id) for job in jobs] == jobs
    assert (environment.publisher.delivery_messages, environment.audit.operations) == ([], {})


def test_no_more_start_in_a_second_than_the_rate_says_whatever_the_number_of_calls(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    jobs = [store_failed(environment, 60 - number) for number in range(12)]
    body: dict[str, Any] | None = {"type": "sms", "ratePerSecond": 2, "limit": 5}
    answers = []

    while body is not None:
        answers.append(api.post(REPLAY, json=body))
        assert answers[-1].status_code == 202
        body = answers[-1].json["next"]

    assert [answer.json["replayed"] for answer in answers] == [5, 5, 2]
    assert [answer.json["remaining"] for answer in answers] == [7, 2, 0]
    # The first two start at once; for the others the sweep publishes when their second has come.
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [
        job.job_id for job in jobs[:2]
    ]
    starts = [environment.jobs.get(job.job_id).next_attempt_at or NOW for job in jobs]  # type: ignore[union-attr]
    assert starts == [later(second) for second in (0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 6, 6)]
    assert answers[-1].json["lastStartsAt"] == "2026-03-14T09:26:59.589Z"


def test_what_fails_again_meanwhile_is_not_taken_by_the_next_call(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    for number in range(3):
        store_failed(environment, number + 1)
    first = api.post(REPLAY, json={"type": "sms", "limit": 2}).json
    environment.clock.advance(60)
    again = store_failed(environment, -30)

    second = api.post(REPLAY, json=first["next"]).json

    assert (second["replayed"], second["next"]) == (1, None)
    assert status_of(environment, again) is Status.FAILED


def test_a_replay_may_be_repeated(environment: WebEnvironment, api: FlaskClient) -> None:
    store_failed(environment)
    body = {"type": "sms"}
    api.post(REPLAY, json=body)

    again = api.post(REPLAY, json=body)

    assert (again.status_code, again.json["replayed"], again.json["next"]) == (202, 0, None)
    assert len(environment.publisher.delivery_messages) == 1


def test_what_rabbitmq_does_not_take_is_published_by_the_sweep(environment: WebEnvironment, api: FlaskClient) -> None:
    job = store_failed(environment)
    environment.publisher.is_up = False

    answer = api.post(REPLAY, json={"type": "sms"})

    assert (answer.status_code, answer.json["replayed"]) == (202, 1)
    assert [found.job_id for found in environment.jobs.due(Status.QUEUED, later(31), 9)] == [job.job_id]


BAD_BODIES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"": "required"}),
    ({"dryRun": True}, {"": "required"}),
    ({"jobIds": [make_job_id()], "type": "sms"}, {"/type": "conflict"}),
    ({"jobIds": ["nonsense", make_job_id()]}, {"/jobIds/0": "invalid"}),
    ({"jobIds": [str(JobId(make_job_id()))] * 1001}, {"/jobIds": "too_many"}),
    ({"type": "fax"}, {"/type": "unknown_value"}),
    ({"type": "sms", "limit": 1001}, {"/limit": "out_of_range"}),
    ({"type": "sms", "ratePerSecond": 0}, {"/ratePerSecond": "out_of_range"}),
    ({"type": "sms", "dryRun": "yes"}, {"/dryRun": "wrong_type"}),
    ({"type": "sms", "client": "globex"}, {"/client": "unknown_field"}),
    ({"type": "sms", "startsAt": later(days=8).isoformat()}, {"/startsAt": "out_of_range"}),
    ({"failedSince": later(5).isoformat(), "failedBefore": later(5).isoformat()}, {"/failedBefore": "out_of_range"}),
]


@pytest.mark.parametrize(("body", "expected"), BAD_BODIES)
def test_a_wrong_body_is_refused_and_starts_nothing(
    body: dict[str, Any], expected: dict[str, str], environment: WebEnvironment, api: FlaskClient
) -> None:
    job = store_failed(environment)

    answer = api.post(REPLAY, json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert {error["pointer"]: error["code"] for error in answer.json["errors"]} == expected
    assert status_of(environment, job) is Status.FAILED
