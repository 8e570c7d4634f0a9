"""Nothing can be done from another site."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.web.dashboard.environment import PASSWORD, Browser, DashboardEnvironment
from tests.unit.web.dashboard.test_login import addresses


def test_every_form_needs_the_token_of_its_session(environment: DashboardEnvironment) -> None:
    for method, path in addresses(environment):
        if method == "POST":
            browser = environment.browser()
            browser.token = ""

            answer = browser.post(path, {})

            assert answer.status_code == 400, path
            assert "The form is out of date" in answer.text


def test_the_login_needs_it_too(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    browser.get("/login")
    browser.token = ""

    answer = browser.post("/login", {"secret": PASSWORD})

    assert answer.status_code == 400


def test_the_token_of_another_session_is_refused(environment: DashboardEnvironment, browser: Browser) -> None:
    other = environment.browser()

    browser.token = other.token

    assert browser.post("/logout", {}).status_code == 400


def test_a_form_may_be_filled_in_slowly(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.clock.advance(59 * 60)

    assert browser.post("/logout", {}).status_code == 303


@pytest.mark.parametrize("referrer", ["https://evil.example/form", ""])
def test_over_https_a_form_must_come_from_here(tmp_path: Path, referrer: str) -> None:
    browser = DashboardEnvironment(tmp_path, allowed_hosts=("wavecom.example",)).browser(None)
    here = {"base_url": "https://wavecom.example"}
    browser.get("/login", **here)

    foreign = browser.post("/login", {"secret": PASSWORD}, headers={"Referer": referrer}, **here)
    own = browser.post("/login", {"secret": PASSWORD}, headers={"Referer": "https://wavecom.example/login"}, **here)

    assert foreign.status_code == 400
    assert own.status_code == 303


def test_the_api_knows_nothing_of_tokens_and_sessions(environment: DashboardEnvironment) -> None:
    answer = environment.app.test_client().post("/api/notifications", json={})

    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers
    assert "Cookie" not in answer.headers.get("Vary", "")
