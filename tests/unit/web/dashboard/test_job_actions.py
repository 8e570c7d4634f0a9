"""Cancel, retry and settle on a notification's page: who may, what is asked first, and what is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_job
from tests.unit.web.dashboard.environment import CLIENT, KEY, PASSWORD, READ_ONLY_KEY, Browser, DashboardEnvironment
from wavecom.core.job import Job, JobError, UnknownOutcomePolicy
from wavecom.core.states import Status

ACTIONS = ("cancel", "retry", "settle")


def _put(environment: DashboardEnvironment, status: Status, **fields: Any) -> Job:
    job = make_job(client=CLIENT, status=status, **fields)
    environment.put(job)
    return job


def _now(environment: DashboardEnvironment, job: Job) -> Job:
    found = environment.jobs.get(job.job_id)
    assert found is not None
    return found


def _offered(browser: Browser, job: Job) -> list[str]:
    page = browser.get(f"/notifications/{job.job_id}").text
    return [name for name in ACTIONS if f"/notifications/{job.job_id}/{name}" in page]


@pytest.mark.parametrize(
    ("status", "offered"),
    [
        (Status.SCHEDULED, ["cancel"]),
        (Status.QUEUED, ["cancel"]),
        (Status.RETRYING, ["cancel"]),
        (Status.PROCESSING, []),
        (Status.SENT, []),
        (Status.UNCONFIRMED, ["retry", "settle"]),
        (Status.DELIVERED, []),
        (Status.FAILED, ["retry"]),
        (Status.EXPIRED, []),
        (Status.CANCELLED, []),
    ],
)
def test_a_page_offers_what_can_be_done_and_the_rest_is_refused(
    environment: DashboardEnvironment, browser: Browser, status: Status, offered: list[str]
) -> None:
    job = _put(environment, status)

    assert _offered(browser, job) == offered
    for name in ACTIONS:
        asked = browser.get(f"/notifications/{job.job_id}/{name}")
        assert asked.status_code == (200 if name in offered else 409), name
        assert ("<button" in asked.text.split("<main")[1]) is (name in offered), name


@pytest.mark.parametrize("secret", [PASSWORD, KEY])
def test_cancelling_asks_first_and_then_cancels(environment: DashboardEnvironment, secret: str) -> None:
    job, browser = _put(environment, Status.SCHEDULED), environment.browser(secret)

    asked = browser.get(f"/notifications/{job.job_id}/cancel")
    before = _now(environment, job).status
    answer = browser.post(f"/notifications/{job.job_id}/cancel", {})

    assert "Cancel this notification?" in asked.text
    assert before is Status.SCHEDULED
    assert answer.location == f"/notifications/{job.job_id}"
    assert "It will never be sent" in browser.get(answer.location).text
    cancelled = _now(environment, job)
    assert cancelled.status is Status.CANCELLED
    assert cancelled.logs[-1].by == ("operator" if secret == PASSWORD else "key id-kk")


def test_a_retry_counts_against_the_limits_of_the_key(tmp_path: Path) -> None:
    environment = DashboardEnvironment(tmp_path, key_daily_quota=1)
    first, second = _put(environment, Status.FAILED), _put(environment, Status.FAILED)
    browser = environment.browser(KEY)
    browser.get(f"/notifications/{first.job_id}/retry")

    answers = [browser.post(f"/notifications/{job.job_id}/retry", {}) for job in (first, second)]

    assert [answer.status_code for answer in answers] == [303, 429]
    assert "Retry-After" in answers[1].headers
    assert "a day" in answers[1].text
    assert _now(environment, second).status is Status.FAILED


@pytest.mark.parametrize(("secret", "who"), [(PASSWORD, "operator"), (KEY, "key id-kk")])
def test_a_retry_starts_it_again_and_says_who_asked(environment: DashboardEnvironment, secret: str, who: str) -> None:
    job, browser = _put(environment, Status.FAILED), environment.browser(secret)
    browser.get(f"/notifications/{job.job_id}/retry")

    answer = browser.post(f"/notifications/{job.job_id}/retry", {})

    assert answer.status_code == 303
    assert _now(environment, job).status is Status.QUEUED
    assert [run.operator for run in environment.audit.operations.values()] == [who]


def test_pressing_the_button_twice_starts_it_once(environment: DashboardEnvironment, browser: Browser) -> None:
    job = _put(environment, Status.FAILED)
    browser.get(f"/notifications/{job.job_id}/retry")

    browser.post(f"/notifications/{job.job_id}/retry", {})
    second = browser.post(f"/notifications/{job.job_id}/retry", {})

    assert second.status_code == 303
    assert "Only a failed notification" in browser.get(second.location).text
    assert _now(environment, job).replays == 1


IN_DOUBT = [
    {"status": Status.UNCONFIRMED},
    {
        "status": Status.FAILED,
        "on_unknown_outcome": UnknownOutcomePolicy.STOP,
        "error": JobError("outcome_unknown", "no answer", "gateway"),
    },
]


@pytest.mark.parametrize("fields", IN_DOUBT, ids=["unconfirmed", "failed"])
def test_what_may_have_been_sent_is_sent_again_only_by_who_accepts_a_duplicate(
    environment: DashboardEnvironment, browser: Browser, fields: dict[str, Any]
) -> None:
    job = _put(environment, may_have_been_sent=True, **fields)
    asked = browser.get(f"/notifications/{job.job_id}/retry")

    refused = browser.post(f"/notifications/{job.job_id}/retry", {})
    between = _now(environment, job).status
    browser.post(f"/notifications/{job.job_id}/retry", {"acceptDuplicate": "true"})

    assert 'name="acceptDuplicate"' in asked.text
    assert (refused.status_code, between) == (422, fields["status"])
    assert "Tick the box" in refused.text
    assert _now(environment, job).status is Status.QUEUED


@pytest.mark.parametrize(("outcome", "status"), [("delivered", Status.DELIVERED), ("failed", Status.FAILED)])
def test_who_has_found_out_settles_it_with_a_reason(
    environment: DashboardEnvironment, browser: Browser, outcome: str, status: Status
) -> None:
    job = _put(environment, Status.UNCONFIRMED, may_have_been_sent=True)
    browser.get(f"/notifications/{job.job_id}/settle")

    browser.post(f"/notifications/{job.job_id}/settle", {"outcome": outcome, "reason": " The gateway says so. "})

    settled = _now(environment, job)
    assert settled.status is status
    assert "The gateway says so." in str(settled.logs[-1].message)
    assert [run.operator for run in environment.audit.operations.values()] == ["operator"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "Choose what became of it"),
        ({"outcome": "cancelled", "reason": "x"}, "Choose what became of it"),
        ({"outcome": "delivered"}, "Say how you know"),
        ({"outcome": "delivered", "reason": "  "}, "Say how you know"),
        ({"outcome": "delivered", "reason": "x" * 2000}, "Say how you know"),
        ({"outcome": "failed", "reason": "a\x00b"}, "Say how you know"),
    ],
)
def test_what_is_lacking_is_said_and_what_was_typed_stays(
    environment: DashboardEnvironment, browser: Browser, typed: dict[str, str], said: str
) -> None:
    job = _put(environment, Status.UNCONFIRMED)
    browser.get(f"/notifications/{job.job_id}/settle")

    answer = browser.post(f"/notifications/{job.job_id}/settle", typed)

    assert answer.status_code == 422
    assert said in answer.text
    assert ("checked" in answer.text) is (typed.get("outcome") in {"delivered", "failed"})
    assert _now(environment, job).status is Status.UNCONFIRMED


@pytest.mark.parametrize("name", ACTIONS)
def test_a_key_without_the_scope_sees_no_buttons_and_can_do_nothing(
    environment: DashboardEnvironment, name: str
) -> None:
    job = _put(
        environment, Status.UNCONFIRMED if name == "settle" else Status.FAILED if name == "retry" else Status.QUEUED
    )
    browser = environment.browser(READ_ONLY_KEY)

    offered = _offered(browser, job)
    asked = browser.get(f"/notifications/{job.job_id}/{name}").status_code
    browser.get("/status")
    done = browser.post(f"/notifications/{job.job_id}/{name}", {"outcome": "failed", "reason": "x"}).status_code

    assert (offered, asked, done) == ([], 403, 403)
    assert _now(environment, job) == job


def test_while_the_store_is_away_nothing_is_claimed_to_be_done(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    job = _put(environment, Status.QUEUED)
    browser.get(f"/notifications/{job.job_id}/cancel")
    environment.jobs.is_up = False

    answer = browser.post(f"/notifications/{job.job_id}/cancel", {})

    assert answer.status_code == 503
