"""Cancelling all that wait and match the list's filters: tried out, started, stopped, resumed; by operators alone."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment, text_of
from tests.unit.web.dashboard.test_operations_pages import ended
from tests.waiting import wait_until
from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperationState
from wavecom.core.job import Job
from wavecom.core.roles import Role
from wavecom.core.states import Status

QUERY = "?metadataKey=campaign&metadataValue=spring"
FILTERS = {"metadataKey": "campaign", "metadataValue": "spring"}


def put(environment: DashboardEnvironment, count: int, **overrides: Any) -> list[Job]:
    fields = {"status": Status.QUEUED, "metadata": {"campaign": "spring"}, "created_at": NOW} | overrides
    jobs = [make_job(**fields) for _ in range(count)]
    environment.put(*jobs)
    environment.clock.advance(10)
    return jobs


def cancelled(environment: DashboardEnvironment, jobs: list[Job]) -> int:
    found = [environment.jobs.get(job.job_id) for job in jobs]
    return sum(job is not None and job.status is Status.CANCELLED for job in found)


def start(browser: Browser, **typed: str) -> str:
    """Start it as the form stands; the address of the operation's page."""
    browser.get(f"/notifications/cancel{QUERY}")
    answer = browser.post("/notifications/cancel", FILTERS | {"rate": "1000", "reason": "wrong price"} | typed)
    assert answer.status_code == 303, answer.text
    return answer.location


def test_the_list_leads_there_with_its_filters_and_says_how_many(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    put(environment, 3)
    put(environment, 2, status=Status.DELIVERED)

    page = browser.get(f"/notifications{QUERY}").text
    assert "/notifications/cancel?metadataKey=campaign&amp;metadataValue=spring" in page
    assert "/notifications/cancel" not in browser.get("/notifications").text
    asked = text_of(browser.get(f"/notifications/cancel{QUERY}").text)

    assert "Cancel 3 that wait and match?" in asked
    assert "campaign" in asked


def test_a_dry_run_counts_and_cancels_nothing(environment: DashboardEnvironment, browser: Browser) -> None:
    jobs = put(environment, 3)

    address = start(browser, dryRun="1")
    wait_until(lambda: ended(environment), "the dry run")

    assert cancelled(environment, jobs) == 0
    page = text_of(browser.get(address).text)
    assert "a dry run: nothing is changed" in page
    assert re.search(r"Would change 3\b", page)


def test_what_waits_is_cancelled_and_the_audit_says_who_which_and_why(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    jobs, others = put(environment, 5), put(environment, 2, metadata={"campaign": "autumn"})

    address = start(browser, start="1")
    wait_until(lambda: ended(environment), "the operation")

    assert (cancelled(environment, jobs), cancelled(environment, others)) == (5, 0)
    [operation] = environment.audit.operations.values()
    assert (operation.action, operation.operator) == (AuditAction.CANCEL, "operator")
    assert operation.filters == {
        "metadata_key": "campaign",
        "metadata_value": "spring",
        "statuses": "queued retrying scheduled",
        "reason": "wrong price",
    }
    assert "wrong price" in browser.get(address).text


def test_it_is_stopped_and_resumed_from_its_page(environment: DashboardEnvironment, browser: Browser) -> None:
    jobs = put(environment, 30)
    address = start(browser, start="1", rate="5", limit="6")
    wait_until(lambda: ended(environment), "the first part")
    [first] = environment.audit.operations.values()
    first.state = BulkOperationState.INTERRUPTED

    answer = browser.post(f"{address}/resume", {"rate": "1000"})
    wait_until(lambda: cancelled(environment, jobs) == 30, "the rest")

    assert answer.status_code == 303
    assert answer.location != address
    assert f"/operations/{first.operation_id}" in browser.get(answer.location).text


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "without a filter that would be everything"),
        ("?recipient=amina@example.com", "names no recipient"),
        ("?jobId=0197c5b0-0000-7000-8000-000000000000", "no single notification"),
        ("?providerMessageId=m-1", "about one notification"),
        ("?status=delivered", "nothing of this status waits"),
        ("?createdSince=2026-03-14T09:00&createdBefore=2026-03-13T09:00", "must be after"),
    ],
)
def test_what_can_not_be_meant_is_refused_with_the_reason(
    environment: DashboardEnvironment, browser: Browser, query: str, says: str
) -> None:
    jobs = put(environment, 2)

    answer = browser.get(f"/notifications/cancel{query}")
    posted = browser.post(f"/notifications/cancel{query}", {"rate": "1000", "reason": "r", "start": "1"})

    assert (answer.status_code, posted.status_code) == (422, 422)
    assert says in text_of(answer.text)
    assert 'name="start"' not in answer.text
    assert (cancelled(environment, jobs), environment.audit.operations) == (0, {})


@pytest.mark.parametrize("typed", [{"rate": "0"}, {"reason": ""}, {"limit": "x"}])
def test_a_form_that_is_wrong_is_shown_again(
    environment: DashboardEnvironment, browser: Browser, typed: dict[str, str]
) -> None:
    put(environment, 2)
    browser.get(f"/notifications/cancel{QUERY}")

    answer = browser.post("/notifications/cancel", FILTERS | {"rate": "10", "reason": "r", "start": "1"} | typed)

    assert answer.status_code == 422
    assert environment.audit.operations == {}


def test_a_viewer_sees_no_button_and_a_key_opens_no_such_page(environment: DashboardEnvironment) -> None:
    put(environment, 2)

    looking = environment.browser_as(Role.VIEWER)

    assert "/notifications/cancel" not in looking.get(f"/notifications{QUERY}").text
    assert looking.get(f"/notifications/cancel{QUERY}").status_code == 403
