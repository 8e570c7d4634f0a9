"""What may have been sent is neither cancelled nor sent again unasked; it is settled by hand."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.web.api.stored_jobs import REPLAY, status_of, store, store_failed
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.core.audit import AuditAction
from wavecom.core.job import Job, JobError, UnknownOutcomePolicy
from wavecom.core.states import Status


def _in_doubt(environment: WebEnvironment, **fields: Any) -> Job:
    """Unconfirmed, or what that becomes without a receipt."""
    unknown = JobError("outcome_unknown", "timeout", "sandbox")
    dates = {"finished_at": NOW, "dead_lettered_at": NOW, "due_at": None} if "status" in fields else {}
    given = {"status": Status.UNCONFIRMED, "attempts": 1, "may_have_been_sent": True, "error": unknown}
    return store(environment, **given | {"on_unknown_outcome": UnknownOutcomePolicy.STOP} | dates | fields)


@pytest.mark.parametrize("status", [Status.UNCONFIRMED, Status.FAILED])
@pytest.mark.parametrize("body", [None, {}, {"acceptDuplicate": False}])
def test_what_may_arrive_twice_is_not_retried_unasked_and_the_refusal_names_the_field(
    status: Status, body: Any, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _in_doubt(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/retry", json=body)

    assert (answer.status_code, answer.json["code"]) == (409, "duplicate_possible")
    [error] = answer.json["errors"]
    assert (error["pointer"], error["code"]) == ("/acceptDuplicate", "required")
    assert "acceptDuplicate: true" in answer.json["detail"]
    assert environment.jobs.get(job.job_id) == job
    assert (environment.publisher.delivery_messages, environment.audit.operations) == ([], {})


@pytest.mark.parametrize("status", [Status.UNCONFIRMED, Status.FAILED])
def test_who_accepts_a_duplicate_gets_it_sent_again_and_log_and_audit_say_so(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _in_doubt(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/retry", json={"acceptDuplicate": True})

    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert (answer.json["attempts"], answer.json["replays"], answer.json["mayHaveBeenSent"]) == (0, 1, True)
    assert answer.json["logs"][-1]["event"] == "replayed"
    assert "acceptDuplicate" in answer.json["logs"][-1]["message"]
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [job.job_id]
    run = environment.audit.only()
    assert (run.action, run.done, run.filters["jobs"]) == (AuditAction.REPLAY, 1, job.job_id)
    assert run.operator.startswith("key ")


def test_a_failed_one_without_doubt_takes_the_field_too(environment: WebEnvironment, api: FlaskClient) -> None:
    rejected = store_failed(environment, on_unknown_outcome=UnknownOutcomePolicy.STOP)
    at_least_once = _in_doubt(environment, status=Status.FAILED, on_unknown_outcome=UnknownOutcomePolicy.RETRY)

    answers = [
        api.post(f"/api/notifications/{rejected.job_id}/retry", json={"acceptDuplicate": True}),
        api.post(f"/api/notifications/{at_least_once.job_id}/retry"),
    ]

    assert [answer.status_code for answer in answers] == [202, 202]


@pytest.mark.parametrize("body", [{"acceptDuplicate": "yes"}, {"acceptDuplicate": None}, {"force": True}, []])
def test_a_wrong_body_of_a_retry_is_named(body: Any, environment: WebEnvironment, api: FlaskClient) -> None:
    job = _in_doubt(environment)

    answer = api.post(f"/api/notifications/{job.job_id}/retry", json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert environment.jobs.get(job.job_id) == job


@pytest.mark.parametrize("outcome", ["delivered", "failed"])
def test_an_unconfirmed_one_is_settled_by_hand_with_reason_and_audit(
    outcome: str, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _in_doubt(environment)
    body = {"outcome": outcome, "reason": "seen in the gateway's console"}

    answer = api.post(f"/api/notifications/{job.job_id}/settle", json=body)
    again = api.post(f"/api/notifications/{job.job_id}/settle", json=body)

    assert (answer.status_code, answer.json["status"]) == (200, outcome)
    [entry] = [entry for entry in answer.json["logs"] if entry["event"] == "settled"]
    assert entry["outcome"] == outcome
    assert "seen in the gateway's console" in entry["message"]
    assert (again.status_code, again.json) == (200, api.get(f"/api/notifications/{job.job_id}").json)
    run = environment.audit.only()
    assert (run.action, run.done, run.filters["outcome"]) == (AuditAction.SETTLE, 1, outcome)
    assert run.filters["reason"] == "seen in the gateway's console"
    assert run.operator.startswith("key ")
    error = answer.json["error"]
    assert (error and error["code"]) == (None if outcome == "delivered" else "settled")


def test_what_was_settled_as_failed_has_a_dead_letter_and_can_be_retried(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _in_doubt(environment)
    api.post(f"/api/notifications/{job.job_id}/settle", json={"outcome": "failed", "reason": "never arrived"})

    answer = api.post(f"/api/notifications/{job.job_id}/retry")

    assert [dead_letter.job_id for dead_letter in environment.publisher.dead_letters] == [job.job_id]
    assert answer.status_code == 202


def test_the_other_outcome_is_refused_once_it_is_settled(environment: WebEnvironment, api: FlaskClient) -> None:
    job = _in_doubt(environment)
    path = f"/api/notifications/{job.job_id}/settle"
    api.post(path, json={"outcome": "delivered", "reason": "it arrived"})

    answer = api.post(path, json={"outcome": "failed", "reason": "it did not"})

    assert (answer.status_code, answer.json["code"]) == (409, "not_unconfirmed")


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.UNCONFIRMED])
def test_only_an_unconfirmed_one_is_settled(status: Status, environment: WebEnvironment, api: FlaskClient) -> None:
    job = store(environment, status=status)

    answer = api.post(
        f"/api/notifications/{job.job_id}/settle", json={"outcome": "delivered", "reason": "looked it up"}
    )

    assert (answer.status_code, answer.json["code"]) == (409, "not_unconfirmed")
    assert status in answer.json["detail"]
    assert (environment.jobs.get(job.job_id), environment.audit.operations) == (job, {})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"outcome": "delivered"},
        {"reason": "why"},
        {"outcome": "sent", "reason": "why"},
        {"outcome": "failed", "reason": " "},
        {"outcome": "failed", "reason": "x" * 501},
        {"outcome": "failed", "reason": "two\nlines"},
    ],
)
def test_a_settlement_needs_an_outcome_and_a_reason(body: Any, environment: WebEnvironment, api: FlaskClient) -> None:
    job = _in_doubt(environment)

    answer = api.post(f"/api/notifications/{job.job_id}/settle", json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert environment.jobs.get(job.job_id) == job


def test_a_cancel_of_an_unconfirmed_one_says_what_can_be_done_instead(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _in_doubt(environment)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "may_have_been_sent")
    assert "settle" in answer.json["detail"]
    assert "acceptDuplicate" in answer.json["detail"]


def test_a_replay_leaves_what_is_in_doubt_alone_and_counts_it(environment: WebEnvironment, api: FlaskClient) -> None:
    long_ago = {"finished_at": later(-10), "dead_lettered_at": later(-10)}
    doubtful = [_in_doubt(environment, status=Status.FAILED, **long_ago) for _ in range(4)]
    others = [store_failed(environment, 5) for _ in range(2)]
    unconfirmed = _in_doubt(environment)
    ids = [job.job_id for job in (*doubtful, unconfirmed)]

    by_filter = api.post(REPLAY, json={"type": "sms", "limit": 2})
    by_id = api.post(REPLAY, json={"jobIds": ids})
    accepted = api.post(REPLAY, json={"jobIds": ids, "acceptDuplicate": True})

    assert (by_filter.json["replayed"], by_filter.json["inDoubt"]) == (2, 4)
    assert {status_of(environment, job) for job in others} == {Status.QUEUED}
    assert (by_id.json["replayed"], by_id.json["inDoubt"], by_id.json["next"]) == (0, 5, None)
    assert (accepted.json["replayed"], accepted.json["inDoubt"]) == (5, 0)
    assert {status_of(environment, job) for job in (*doubtful, unconfirmed)} == {Status.QUEUED}


def test_a_replay_that_meets_nothing_but_doubt_comes_to_an_end(environment: WebEnvironment, api: FlaskClient) -> None:
    for _ in range(7):
        _in_doubt(environment, status=Status.FAILED)
    body: dict[str, Any] | None = {"type": "sms", "limit": 2}
    calls = 0

    while body is not None and calls < 20:
        body = api.post(REPLAY, json=body).json["next"]
        calls += 1

    assert body is None
