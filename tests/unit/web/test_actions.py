"""``POST /api/notifications/<jobId>/cancel``, ``…/retry`` and ``POST /api/notifications/replay``."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import make_claim, make_job, make_job_id
from tests.unit.web.conftest import NOW, WebEnvironment, later
from wavecom.core.audit import Action
from wavecom.core.job import Job, JobError, JobId, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


def _store(environment: WebEnvironment, **fields: Any) -> Job:
    job = make_job(**({"client": "default", "created_at": NOW} | fields))
    assert environment.jobs.insert([job]) == [None]
    return job


def _failed(environment: WebEnvironment, number: int = 0, **fields: Any) -> Job:
    """A dead letter that failed so many seconds before ``NOW``."""
    dates = {"finished_at": later(-number), "dead_lettered_at": later(-number), "due_at": None}
    return _store(environment, status=Status.FAILED, created_at=later(-3600), **dates | fields)


def _status(environment: WebEnvironment, job: Job) -> Status:
    stored = environment.jobs.get(job.job_id)
    assert stored is not None
    return stored.status


# --- Cancel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [Status.SCHEDULED, Status.QUEUED, Status.RETRYING])
def test_what_was_not_sent_is_cancelled_for_good_and_told_whole(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _store(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["status"]) == (200, "cancelled")
    assert answer.json["logs"][-1]["event"] == "cancelled"
    assert answer.json == api.get(f"/api/notifications/{job.job_id}").json
    assert environment.jobs.claim([job.job_id], make_claim(), later(60)) == {}


def test_cancelling_again_gets_the_same_answer(environment: WebEnvironment, api: FlaskClient) -> None:
    path = f"/api/notifications/{_store(environment).job_id}/cancel"
    first = api.post(path)

    second = api.post(path)

    assert (second.status_code, second.json) == (200, first.json)
    assert sum(environment.stats.totals(NOW.replace(second=0, microsecond=0), later(60)).values()) == 1


@pytest.mark.parametrize("status", [Status.PROCESSING, Status.SENT, Status.DELIVERED, Status.FAILED, Status.EXPIRED])
def test_what_is_on_its_way_or_done_is_too_late_to_cancel(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _store(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "too_late_to_cancel")
    assert status in answer.json["detail"]
    assert answer.json["type"] == "/docs/errors#too_late_to_cancel"
    assert environment.jobs.get(job.job_id) == job


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RETRYING, Status.UNCONFIRMED])
def test_what_may_have_been_sent_is_not_called_cancelled(
    status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    job = _store(environment, status=status, may_have_been_sent=True)

    answer = api.post(f"/api/notifications/{job.job_id}/cancel")

    assert (answer.status_code, answer.json["code"]) == (409, "may_have_been_sent")
    assert environment.jobs.get(job.job_id) == job


# --- Retry ----------------------------------------------------------------------------------------------------------


def test_a_failed_one_starts_again_with_all_its_attempts(environment: WebEnvironment, api: FlaskClient) -> None:
    job = _failed(environment, attempts=5)

    answer = api.post(f"/api/notifications/{job.job_id}/retry")

    assert (answer.status_code, answer.json["status"]) == (202, "queued")
    assert (answer.json["attempts"], answer.json["replays"], answer.json["error"]) == (0, 1, None)
    assert answer.json["logs"][-1]["event"] == "replayed"
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [job.job_id]


@pytest.mark.parametrize("status", [status for status in Status if status not in {Status.FAILED, Status.UNCONFIRMED}])
def test_only_a_failed_one_can_be_started_again(status: Status, environment: WebEnvironment, api: FlaskClient) -> None:
    job = _store(environment, status=status)

    answer = api.post(f"/api/notifications/{job.job_id}/retry")

    assert (answer.status_code, answer.json["code"]) == (409, "not_failed")
    assert environment.jobs.get(job.job_id) == job


# --- In doubt -------------------------------------------------------------------------------------------------------


def _in_doubt(environment: WebEnvironment, **fields: Any) -> Job:
    """Unconfirmed, or what that becomes without a receipt."""
    unknown = JobError("outcome_unknown", "timeout", "sandbox")
    dates = {"finished_at": NOW, "dead_lettered_at": NOW, "due_at": None} if "status" in fields else {}
    given = {"status": Status.UNCONFIRMED, "attempts": 1, "may_have_been_sent": True, "error": unknown}
    return _store(environment, **given | {"on_unknown_outcome": UnknownOutcomePolicy.STOP} | dates | fields)


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
    assert (run.action, run.done, run.filters["jobs"]) == (Action.REPLAY, 1, job.job_id)
    assert run.operator.startswith("key ")


def test_a_failed_one_without_doubt_takes_the_field_too(environment: WebEnvironment, api: FlaskClient) -> None:
    rejected = _failed(environment, on_unknown_outcome=UnknownOutcomePolicy.STOP)
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
    assert (run.action, run.done, run.filters["outcome"]) == (Action.SETTLE, 1, outcome)
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
    job = _store(environment, status=status)

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
    others = [_failed(environment, 5) for _ in range(2)]
    unconfirmed = _in_doubt(environment)
    ids = [job.job_id for job in (*doubtful, unconfirmed)]

    by_filter = api.post(PATH, json={"type": "sms", "limit": 2})
    by_id = api.post(PATH, json={"jobIds": ids})
    accepted = api.post(PATH, json={"jobIds": ids, "acceptDuplicate": True})

    assert (by_filter.json["replayed"], by_filter.json["inDoubt"]) == (2, 4)
    assert {_status(environment, job) for job in others} == {Status.QUEUED}
    assert (by_id.json["replayed"], by_id.json["inDoubt"], by_id.json["next"]) == (0, 5, None)
    assert (accepted.json["replayed"], accepted.json["inDoubt"]) == (5, 0)
    assert {_status(environment, job) for job in (*doubtful, unconfirmed)} == {Status.QUEUED}


def test_a_replay_that_meets_nothing_but_doubt_comes_to_an_end(environment: WebEnvironment, api: FlaskClient) -> None:
    for _ in range(7):
        _in_doubt(environment, status=Status.FAILED)
    body: dict[str, Any] | None = {"type": "sms", "limit": 2}
    calls = 0

    while body is not None and calls < 20:
        body = api.post(PATH, json=body).json["next"]
        calls += 1

    assert body is None


@pytest.mark.parametrize("action", ["cancel", "retry"])
@pytest.mark.parametrize("job_id", [make_job_id(), "nonsense"])
def test_an_unknown_id_is_not_found(action: str, job_id: str, api: FlaskClient) -> None:
    answer = api.post(f"/api/notifications/{job_id}/{action}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")


@pytest.mark.parametrize(("action", "status"), [("cancel", Status.QUEUED), ("retry", Status.FAILED)])
def test_another_clients_job_is_answered_like_none_and_left_alone(
    action: str, status: Status, environment: WebEnvironment, api: FlaskClient
) -> None:
    foreign = _store(environment, status=status, client="somebody else")

    answer = api.post(f"/api/notifications/{foreign.job_id}/{action}")

    assert (answer.status_code, answer.json["code"]) == (404, "job_not_found")
    assert environment.jobs.get(foreign.job_id) == foreign


# --- Replay ---------------------------------------------------------------------------------------------------------

PATH = "/api/notifications/replay"


def test_a_replay_starts_what_matches_all_filters_and_nothing_else(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    error = JobError("attempts_exhausted", "http_503", "gateway")
    meant = [_failed(environment, number, error=error) for number in (30, 20, 10)]
    others = [
        _failed(environment, 20, error=JobError("rejected", "http_400", "gateway")),
        _failed(environment, 20, error=JobError("attempts_exhausted", "http_503", "mail")),
        _failed(environment, 20, error=error, type=Channel.EMAIL),
        _failed(environment, 99, error=error),
        _failed(environment, 5, error=error),
        _failed(environment, 20, error=error, client="somebody else"),
        _failed(environment, 20, error=error, client="default:test"),
    ]
    filters = {
        "errorCode": "attempts_exhausted",
        "provider": "gateway",
        "type": "sms",
        "failedSince": later(-30).isoformat(),
        "failedBefore": later(-5).isoformat(),
    }

    answer = api.post(PATH, json=filters)

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
    assert {_status(environment, job) for job in meant} == {Status.QUEUED}
    assert {_status(environment, job) for job in others} == {Status.FAILED}
    run = environment.audit.only()
    assert run.operator.startswith("key ")
    assert run.filters["client"] == "default"
    [*_, entry] = environment.jobs.get(meant[0].job_id).logs  # type: ignore[union-attr]
    assert (entry.event, entry.message) == ("replayed", "by the client, audit entry run-1")


def test_ids_of_others_are_unknown_ones(environment: WebEnvironment, api: FlaskClient) -> None:
    mine, delivered = _failed(environment), _store(environment, status=Status.DELIVERED)
    foreign = _failed(environment, client="somebody else")
    ids = [job.job_id for job in (mine, foreign, delivered)] + [make_job_id(), mine.job_id.upper()]

    answer = api.post(PATH, json={"jobIds": ids})

    assert answer.status_code == 202
    assert (answer.json["replayed"], answer.json["skipped"], answer.json["unknown"]) == (1, 1, 2)
    assert _status(environment, foreign) is Status.FAILED
    assert environment.audit.only().filters["client"] == "default"


def test_a_dry_run_counts_and_shows_some_and_changes_nothing(environment: WebEnvironment, api: FlaskClient) -> None:
    jobs = [_failed(environment, number) for number in range(12)]
    _failed(environment, 3, client="somebody else")

    by_filter = api.post(PATH, json={"type": "sms", "dryRun": True, "limit": 5})
    by_id = api.post(PATH, json={"jobIds": [jobs[0].job_id, make_job_id()], "dryRun": True})

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
    jobs = [_failed(environment, 60 - number) for number in range(12)]
    body: dict[str, Any] | None = {"type": "sms", "ratePerSecond": 2, "limit": 5}
    answers = []

    while body is not None:
        answers.append(api.post(PATH, json=body))
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
        _failed(environment, number + 1)
    first = api.post(PATH, json={"type": "sms", "limit": 2}).json
    environment.clock.advance(60)
    again = _failed(environment, -30)

    second = api.post(PATH, json=first["next"]).json

    assert (second["replayed"], second["next"]) == (1, None)
    assert _status(environment, again) is Status.FAILED


def test_a_replay_may_be_repeated(environment: WebEnvironment, api: FlaskClient) -> None:
    _failed(environment)
    body = {"type": "sms"}
    api.post(PATH, json=body)

    again = api.post(PATH, json=body)

    assert (again.status_code, again.json["replayed"], again.json["next"]) == (202, 0, None)
    assert len(environment.publisher.delivery_messages) == 1


def test_what_rabbitmq_does_not_take_is_published_by_the_sweep(environment: WebEnvironment, api: FlaskClient) -> None:
    job = _failed(environment)
    environment.publisher.is_up = False

    answer = api.post(PATH, json={"type": "sms"})

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
    job = _failed(environment)

    answer = api.post(PATH, json=body)

    assert (answer.status_code, answer.json["code"]) == (422, "invalid_request")
    assert {error["pointer"]: error["code"] for error in answer.json["errors"]} == expected
    assert _status(environment, job) is Status.FAILED
