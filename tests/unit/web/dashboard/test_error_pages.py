"""What goes wrong, as pages for people; programs get problem details as everywhere."""

from __future__ import annotations

import pytest

from tests.unit.web.dashboard.environment import KEY, PASSWORD, Browser, DashboardEnvironment

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("path", ["/notifications", "/notifications/019ceb00-0000-7000-8000-000000000001"])
def test_without_the_store_a_page_says_what_to_do(
    environment: DashboardEnvironment, browser: Browser, path: str
) -> None:
    environment.jobs.is_up = False

    answer = browser.get(f"{path}?a=b")

    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.mimetype == "text/html"
    assert "does not answer now" in answer.text
    assert f'href="{path}?a=b">Try again' in answer.text
    assert "mongodb.internal" not in answer.text


def test_without_the_store_the_password_still_opens_the_status_page(environment: DashboardEnvironment) -> None:
    environment.jobs.is_up = environment.stats.is_up = environment.keys.is_up = False
    browser = environment.browser(PASSWORD)

    answer = browser.get("/status")

    assert answer.status_code == 200


def test_without_the_store_no_key_can_be_checked_and_none_counts_as_failed(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    environment.keys.is_up = False

    away = [browser.log_in(KEY).status_code for _ in range(8)]
    environment.keys.is_up = True
    back = browser.log_in(KEY).status_code

    assert away == [503] * 8
    assert back == 303


def test_an_unknown_address_is_a_page_for_browsers_whoever_they_are(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    for each in (browser, environment.browser(None)):
        answer = each.get("/no/such/page", headers=HTML)

        assert answer.status_code == 404
        assert answer.mimetype == "text/html"
        assert "There is no such page" in answer.text


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/problem+json", ""])
def test_an_unknown_address_is_a_problem_for_programs(environment: DashboardEnvironment, accept: str) -> None:
    answer = environment.app.test_client().get("/no/such/page", headers={"Accept": accept})

    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_below_the_apis_address_everything_is_a_problem(environment: DashboardEnvironment) -> None:
    answer = environment.app.test_client().get("/api/no/such/thing", headers=HTML)

    assert answer.status_code == 404
    assert answer.mimetype == "application/problem+json"


def test_a_wrong_method_says_which_ones_are_right(browser: Browser) -> None:
    answer = browser.client.put("/status", headers=HTML)

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.mimetype == "text/html"


def test_a_bug_is_a_page_that_tells_nothing_of_the_inside(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.app.view_functions["dashboard.outbox"] = broken

    answer = browser.get("/outbox")

    assert answer.status_code == 500
    assert answer.mimetype == "text/html"
    assert "Something went wrong" in answer.text
    assert "the inside" not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def broken() -> str:
    raise LookupError("the inside")
