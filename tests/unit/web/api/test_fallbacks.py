"""Fallbacks in the API: accepted, refused, read, cancelled, and repeated."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.fakes import make_writer
from tests.fallback_environment import following_over
from tests.template_environment import sms_source
from tests.unit.web.conftest import WebEnvironment, later
from wavecom.core.engine import AttemptFinished, decide
from wavecom.core.fallback_following import FallbackFollowing, FallbackObserver
from wavecom.core.job import CallResult, Claim, Job, JobId, Outcome, ProviderResult
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.errors import StoreError, UncertainWriteError
from wavecom.web.api.arguments import is_idempotency_key

PUSH = {
    "type": "push",
    "to": {"platform": "fcm", "token": "device-token-1"},
    "payload": {"title": "Your code", "body": "493817"},
    "wait": "30s",
}
SMS = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "493817 is your code."}}
BODY: dict[str, Any] = {"fallback": [PUSH, SMS], "priority": "high", "ttlSeconds": 600}


def following(environment: WebEnvironment) -> FallbackFollowing:
    """What a worker does for them."""
    writer = make_writer(environment.jobs, environment.clock, move_observers=[FallbackObserver(environment.fallbacks)])
    return following_over(
        environment.fallbacks, environment.jobs, writer, environment.services.submission, environment.clock
    )


def deliver(environment: WebEnvironment, job_id: str, outcome: Outcome, *, expects_receipt: bool = False) -> None:
    """As a worker does, with what a provider answers."""
    now = environment.clock.now()
    writer = make_writer(environment.jobs, environment.clock, move_observers=[FallbackObserver(environment.fallbacks)])
    claim = Claim("token", "worker-1", later(630))
    [job] = environment.jobs.claim([JobId(job_id)], claim, now).values()
    call = CallResult("sandbox", ProviderResult(outcome, "answer"), now, 5.0)
    finished = decide(job, AttemptFinished("token", (call,), expects_receipt=expects_receipt), now)
    assert finished is not None
    writer.write([finished])


def jobs_of(environment: WebEnvironment) -> list[Job]:
    found = environment.jobs.search(JobFilter(), 100).jobs
    return sorted(found, key=lambda job: (job.created_at, job.parent.number if job.parent else 0))


def read(api: FlaskClient, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/api/notifications/{job_id}").get_json()
    return found


def test_a_fallback_is_accepted_with_its_first_step(environment: WebEnvironment, api: FlaskClient) -> None:
    response = api.post("/api/notifications", json=BODY)

    accepted = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/api/notifications/{accepted['jobId']}"
    assert (accepted["status"], accepted["type"], accepted["priority"]) == ("waiting", "fallback", "high")
    assert accepted["steps"] == [
        {"step": 1, "type": "push", "waitSeconds": 30},
        {"step": 2, "type": "sms", "waitSeconds": None},
    ]
    [job] = jobs_of(environment)
    assert (job.type, job.status, job.expires_at) == ("push", Status.QUEUED, later(600))
    found = read(api, accepted["jobId"])
    assert [step["jobId"] for step in found["steps"]] == [job.job_id, None]
    assert read(api, job.job_id)["parent"] == {"jobId": accepted["jobId"], "step": 1}


def test_the_next_step_begins_when_one_has_failed(environment: WebEnvironment, api: FlaskClient) -> None:
    job_id = api.post("/api/notifications", json=BODY).get_json()["jobId"]
    [push] = jobs_of(environment)
    deliver(environment, push.job_id, Outcome.REJECTED)
    environment.clock.advance(1)

    assert following(environment).run() == 1

    sms = jobs_of(environment)[-1]
    assert (sms.type, sms.parent and sms.parent.number, sms.expires_at) == ("sms", 2, later(600))
    deliver(environment, sms.job_id, Outcome.ACCEPTED)
    following(environment).run()
    found = read(api, job_id)
    assert (found["status"], found["deliveredStep"], found["mayHaveBeenSent"]) == ("delivered", 2, False)
    assert [(each["event"], each.get("step"), each.get("message")) for each in found["logs"]] == [
        ("accepted", None, None),
        ("step_begun", 2, "step 1: it failed: rejected"),
        ("delivered", 2, None),
    ]
    assert [step["status"] for step in found["steps"]] == ["failed", "delivered"]


def test_what_was_not_sent_in_its_time_is_cancelled_before_the_next_step(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    api.post("/api/notifications", json=BODY)
    environment.clock.advance(29)
    following(environment).run()
    assert len(jobs_of(environment)) == 1

    environment.clock.advance(1)
    following(environment).run()

    assert [(job.type, job.status) for job in jobs_of(environment)] == [
        ("push", Status.CANCELLED),
        ("sms", Status.QUEUED),
    ]


@pytest.mark.parametrize(("policy", "steps"), [("retry", 2), ("stop", 1)])
def test_what_was_handed_over_may_still_arrive(
    environment: WebEnvironment, api: FlaskClient, policy: str, steps: int
) -> None:
    job_id = api.post("/api/notifications", json=BODY | {"onUnknownOutcome": policy}).get_json()["jobId"]
    deliver(environment, jobs_of(environment)[0].job_id, Outcome.ACCEPTED, expects_receipt=True)
    environment.clock.advance(31)
    following(environment).run()

    assert len(jobs_of(environment)) == steps

    environment.clock.advance(600)
    following(environment).run()
    found = read(api, job_id)
    assert (found["status"], found["mayHaveBeenSent"]) == ("unconfirmed", True)


def test_cancelling_holds_for_the_whole(environment: WebEnvironment, api: FlaskClient) -> None:
    job_id = api.post("/api/notifications", json=BODY).get_json()["jobId"]

    first = api.post(f"/api/notifications/{job_id}/cancel")
    again = api.post(f"/api/notifications/{job_id}/cancel")

    assert (first.status_code, first.get_json()["status"], first.get_json()["mayHaveBeenSent"]) == (
        200,
        "cancelled",
        False,
    )
    assert again.get_json() == first.get_json()
    environment.clock.advance(60)
    following(environment).run()
    assert [job.status for job in jobs_of(environment)] == [Status.CANCELLED]


def test_what_was_handed_over_is_said_when_the_rest_is_cancelled(environment: WebEnvironment, api: FlaskClient) -> None:
    job_id = api.post("/api/notifications", json=BODY).get_json()["jobId"]
    deliver(environment, jobs_of(environment)[0].job_id, Outcome.ACCEPTED, expects_receipt=True)

    cancelled = api.post(f"/api/notifications/{job_id}/cancel").get_json()

    assert (cancelled["status"], cancelled["mayHaveBeenSent"]) == ("cancelled", True)


def test_what_has_ended_is_not_cancelled(environment: WebEnvironment, api: FlaskClient) -> None:
    job_id = api.post("/api/notifications", json=BODY).get_json()["jobId"]
    deliver(environment, jobs_of(environment)[0].job_id, Outcome.ACCEPTED)
    environment.clock.advance(1)
    following(environment).run()

    response = api.post(f"/api/notifications/{job_id}/cancel")

    assert (response.status_code, response.get_json()["code"]) == (409, "too_late_to_cancel")


def test_an_idempotency_key_is_one_request_whatever_it_was_used_for(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    headers = {"Idempotency-Key": "order 42"}
    first = api.post("/api/notifications", json=BODY, headers=headers)
    again = api.post("/api/notifications", json=BODY, headers=headers)
    plain = api.post(
        "/api/notifications", json={name: PUSH[name] for name in ("type", "to", "payload")}, headers=headers
    )
    other = api.post("/api/notifications", json=BODY | {"ttlSeconds": 60}, headers=headers)

    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert [plain.get_json()["code"], other.get_json()["code"]] == ["idempotency_mismatch"] * 2
    assert len(jobs_of(environment)) == 1
    assert len(environment.fallbacks.due(later(60), 10)) == 1


def test_nothing_was_stored_is_said_only_where_that_is_so(
    environment: WebEnvironment, api: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store goes away between the fallback and its first job, and stays away."""

    def be_away(*_: Any, **__: Any) -> Any:
        raise StoreError("The store is away.")

    monkeypatch.setattr(environment.jobs, "insert", be_away)
    first = api.post("/api/notifications", json=BODY)
    monkeypatch.setattr(environment.fallbacks, "remove", be_away)
    second = api.post("/api/notifications", json=BODY)

    assert [each.get_json()["code"] for each in (first, second)] == [StoreError.code, UncertainWriteError.code]
    assert len(environment.fallbacks.due(later(60), 10)) == 1


def test_a_repetition_is_answered_though_it_could_not_be_accepted_any_more(
    environment: WebEnvironment, api: FlaskClient
) -> None:
    body = {"fallback": [PUSH, SMS], "expiresAt": "2026-03-14T09:30:00Z"}
    headers = {"Idempotency-Key": "order 42"}
    first = api.post("/api/notifications", json=body, headers=headers)
    environment.clock.advance(600)

    again = api.post("/api/notifications", json=body, headers=headers)

    assert (again.status_code, again.get_json()) == (202, first.get_json())
    assert api.post("/api/notifications", json=body).status_code == 422


def test_every_mistake_is_named_with_its_step(environment: WebEnvironment, api: FlaskClient) -> None:
    body = {
        "fallback": [
            {**PUSH, "wait": "1s", "priority": "high"},
            {name: SMS[name] for name in ("type", "to")},
            {**SMS, "wait": "30s", "to": {"phone": "12"}},
        ],
        "ttl": 5,
    }

    response = api.post("/api/notifications", json=body)

    assert response.status_code == 422
    assert sorted({each["pointer"] for each in response.get_json()["errors"]}) == [
        "/fallback/0/priority",
        "/fallback/0/wait",
        "/fallback/1/payload",
        "/fallback/2/to/phone",
        "/ttl",
    ]
    assert jobs_of(environment) == []


@pytest.mark.parametrize(
    ("steps", "pointer"),
    [
        ([PUSH], "/fallback"),
        ([PUSH] * 6, "/fallback"),
        ("push", "/fallback"),
        ([SMS, SMS], "/fallback/0/wait"),
        ([PUSH, PUSH], "/fallback/1/wait"),
        ([PUSH, 5], "/fallback/1"),
        ([{**PUSH, "wait": {"for": "read", "seconds": 30}}, SMS], "/fallback/0/wait"),
        ([{**PUSH, "wait": "4d"}, SMS], "/fallback/0/wait"),
    ],
)
def test_steps_that_make_no_fallback_are_refused(api: FlaskClient, steps: Any, pointer: str) -> None:
    response = api.post("/api/notifications", json={"fallback": steps})

    assert response.status_code == 422
    assert [each["pointer"] for each in response.get_json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("waits", "ttl", "pointer"), [(("59s",), 60, None), (("60s",), 60, "/0"), (("30s", "40s"), 60, "/1")]
)
def test_waits_end_before_the_whole_expires(
    api: FlaskClient, waits: tuple[str, ...], ttl: int, pointer: str | None
) -> None:
    steps = [*({**PUSH, "wait": wait} for wait in waits), SMS]

    response = api.post("/api/notifications", json={"fallback": steps, "ttlSeconds": ttl})

    wrong = [each["pointer"] for each in response.get_json().get("errors", [])]
    assert wrong == ([] if pointer is None else [f"/fallback{pointer}/wait"])


def test_no_client_can_have_a_step_s_key_and_none_is_shown_it(environment: WebEnvironment, api: FlaskClient) -> None:
    api.post("/api/notifications", json=BODY)
    api.post("/api/notifications", json=BODY, headers={"Idempotency-Key": "order 42"})

    jobs = jobs_of(environment)

    assert [read(api, job.job_id)["idempotencyKey"] for job in jobs] == [None, None]
    keys = {job.idempotency_key or "" for job in jobs} - {"order 42"}
    assert [is_idempotency_key(key) for key in keys] == [False]


def test_a_wait_may_say_what_is_waited_for(api: FlaskClient) -> None:
    steps = [{**PUSH, "wait": {"for": "delivered", "seconds": 45}}, SMS]

    accepted = api.post("/api/notifications", json={"type": "fallback", "fallback": steps}).get_json()

    assert accepted["steps"][0]["waitSeconds"] == 45


def test_templates_write_steps_when_the_fallback_is_accepted(environment: WebEnvironment, api: FlaskClient) -> None:
    name = {"type": "text", "example": "x"}
    environment.templates.publish("default", "code", sms_source("{{ name }}, your code is 493817.", name=name))
    by_template = {"type": "sms", "to": SMS["to"], "template": "code", "variables": {"name": "Bo"}}
    wrong = {**by_template, "variables": {}}

    response = api.post("/api/notifications", json={"fallback": [PUSH, by_template]})
    refused = api.post("/api/notifications", json={"fallback": [PUSH, wrong]})

    assert response.status_code == 202
    [fallback] = environment.fallbacks.due(later(60), 9)
    assert fallback.steps[1].payload == {"text": "Bo, your code is 493817."}
    assert [each["pointer"] for each in refused.get_json()["errors"]] == ["/fallback/1/variables/name"]
