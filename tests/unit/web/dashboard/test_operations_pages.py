"""Dead letters by reason, and operations on many notifications: dry run, pace, progress, stop and resume."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment
from tests.waiting import wait_until
from wavecom.core.audit import FailureReason
from wavecom.core.bulk_operations import BulkOperationState
from wavecom.core.dead_letters import DeadLetterFilter
from wavecom.core.job import Job, JobError
from wavecom.core.roles import Role
from wavecom.core.states import Status
from wavecom.core.vocabulary import JobErrorCode
from wavecom.web.dashboard.words import ERROR_CODES, code_explanation


def failed(code: str, provider: str = "gateway", **overrides: Any) -> Job:
    return make_job(
        status=Status.FAILED,
        error=JobError(code, "told so", provider),
        dead_lettered_at=NOW,
        finished_at=NOW,
        **overrides,
    )


@pytest.fixture
def jobs(environment: DashboardEnvironment) -> list[Job]:
    jobs = [failed("attempts_exhausted") for _ in range(3)] + [failed("rejected", "other")]
    environment.put(*jobs)
    return jobs


def statuses(environment: DashboardEnvironment, jobs: list[Job]) -> list[str]:
    found = [environment.jobs.get(job.job_id) for job in jobs]
    return [job.status.value for job in found if job is not None]


def start(browser: Browser, query: str = "", **typed: str) -> str:
    """Start a replay; the address of its page."""
    data = {"rate": "1000", "reason": "incident 7", "start": "1"} | typed
    browser.get(f"/dead-letters/again{query}")
    answer = browser.post("/dead-letters/again", data)
    assert answer.status_code == 303, answer.text
    return answer.location


def ended(environment: DashboardEnvironment) -> bool:
    operations = list(environment.audit.operations.values())
    return bool(operations) and all(each.state is not BulkOperationState.RUNNING for each in operations)


def test_dead_letters_are_counted_by_reason_with_what_it_means(
    environment: DashboardEnvironment, browser: Browser, jobs: list[Job]
) -> None:
    page = browser.get("/dead-letters").text
    narrowed = browser.get("/dead-letters?errorCode=rejected").text

    assert "4 in all" in page
    assert "attempts_exhausted" in page
    assert ERROR_CODES[JobErrorCode.ATTEMPTS_EXHAUSTED] in page.replace("&#39;", "'")
    assert "1 in all" in narrowed
    assert "attempts_exhausted" not in narrowed


def test_many_who_look_have_dead_letters_counted_once(
    environment: DashboardEnvironment, browser: Browser, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, counted = environment.services.dead_letters.repository, []
    right = repository.tally

    def tally(where: DeadLetterFilter) -> Mapping[FailureReason, int]:
        counted.append(where)
        return right(where)

    monkeypatch.setattr(repository, "tally", tally)
    for _ in range(5):
        assert "4 in all" in browser.get("/dead-letters").text
    assert len(counted) == 1
    browser.get("/dead-letters?provider=other")
    assert len(counted) == 2
    environment.clock.advance(16)
    browser.get("/dead-letters")
    assert len(counted) == 3


def test_every_code_is_explained_in_words() -> None:
    assert set(ERROR_CODES) == set(JobErrorCode)
    assert all(code_explanation(code) for code in ("http_503", "http_401", "http_422", "smtp_550", "timeout"))
    assert code_explanation("30007") == ""


def test_a_dry_run_counts_and_changes_nothing(
    environment: DashboardEnvironment, browser: Browser, jobs: list[Job]
) -> None:
    browser.get("/dead-letters/again")
    answer = browser.post("/dead-letters/again", {"rate": "1000", "reason": "incident 7", "dryRun": "1"})
    wait_until(lambda: ended(environment))

    assert statuses(environment, jobs) == ["failed"] * 4
    assert (environment.audit.only().is_dry_run, environment.audit.only().done) == (True, 4)
    assert "nothing is changed" in browser.get(answer.location).text


def test_what_a_filter_finds_is_started_again_and_written_down_with_name_and_reason(
    environment: DashboardEnvironment, jobs: list[Job]
) -> None:
    browser = environment.browser_as(Role.OPERATOR)

    address = start(browser, errorCode="attempts_exhausted")
    wait_until(lambda: ended(environment))

    assert statuses(environment, jobs) == ["queued"] * 3 + ["failed"]
    operation = environment.audit.only()
    assert (operation.operator, operation.filters["reason"]) == ("user some-operator", "incident 7")
    assert address.endswith(operation.operation_id)
    page = browser.get(address).text
    assert "finished" in page
    assert "incident 7" in page


def test_an_operation_stops_when_it_is_asked_to_and_goes_on_where_it_was(
    environment: DashboardEnvironment, browser: Browser, jobs: list[Job]
) -> None:
    # One a batch, and after the first one somebody has asked.
    environment.audit.on_record = lambda operation: (
        environment.stop_requests.add(operation.operation_id, "ada", NOW) if operation.done == 1 else None
    )
    address = start(browser, rate="1")
    wait_until(lambda: ended(environment))
    stopped = statuses(environment, jobs).count("queued")
    environment.audit.on_record = lambda _operation: None

    page = browser.get(address).text
    answer = browser.post(f"{address}/resume", {"rate": "1000"})
    wait_until(lambda: len(environment.audit.operations) == 2 and ended(environment))

    assert stopped == 1
    assert ">Resume</button>" in page
    assert answer.status_code == 303
    assert statuses(environment, jobs) == ["queued"] * 4
    states = [each.state for each in environment.audit.operations.values()]
    assert states == [BulkOperationState.INTERRUPTED, BulkOperationState.FINISHED]


def test_the_button_asks_the_operation_to_stop(
    environment: DashboardEnvironment, browser: Browser, jobs: list[Job]
) -> None:
    address = start(browser)
    wait_until(lambda: ended(environment))
    operation_id = environment.audit.only().operation_id

    browser.post(f"{address}/stop", {})

    assert environment.stop_requests.has(operation_id)


def test_what_has_finished_is_not_resumed(environment: DashboardEnvironment, browser: Browser, jobs: list[Job]) -> None:
    address = start(browser)
    wait_until(lambda: ended(environment))

    answer = browser.post(f"{address}/resume", {"rate": "1"})

    assert "can be resumed" in browser.get(answer.location).text
    assert len(environment.audit.operations) == 1


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"rate": "0"}, "from 1 to 1000"),
        ({"rate": "9999999"}, "from 1 to 1000"),
        ({"rate": "9" * 5000}, "from 1 to 1000"),
        ({"limit": "9" * 5000}, "from 1 to 1000000000"),
        ({"limit": "0"}, "from 1 to 1000000000"),
        ({"rate": "x"}, "from 1 to 1000"),
        ({"limit": "-1"}, "whole number"),
        ({"reason": ""}, "Say why"),
        ({"reason": "x" * 501}, "Say why"),
    ],
)
def test_what_is_asked_for_wrongly_is_said_and_not_done(
    environment: DashboardEnvironment, browser: Browser, jobs: list[Job], typed: dict[str, str], says: str
) -> None:
    answer = browser.post("/dead-letters/again", {"rate": "10", "reason": "x", "start": "1"} | typed)

    assert answer.status_code == 422
    assert says in answer.text
    assert environment.audit.operations == {}


@pytest.mark.parametrize("path", ["/dead-letters/reveal", "/dead-letters/explode", "/dead-letters/settle"])
def test_only_what_is_meant_for_many_can_be_started(browser: Browser, path: str) -> None:
    assert browser.get(path).status_code == 404
    assert browser.post(path, {"rate": "1", "reason": "x"}).status_code == 404


def test_the_list_of_operations_has_the_last_ones(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.audit_entries.entries = [
        {"entryId": "e-1", "action": "replay", "operator": "ada", "startedAt": NOW, "state": "running", "done": 7}
    ]

    page = browser.get("/operations").text

    assert re.search(r'href="/operations/e-1"', page)
    assert "running" in page
