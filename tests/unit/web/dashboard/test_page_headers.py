from __future__ import annotations

import re

import pytest

from tests.factories import make_job
from tests.unit.web.dashboard.environment import Browser, DashboardEnvironment
from wavecom.web.dashboard.headers import HEADERS

JOB_ID = "019ceb00-0000-7000-8000-000000000001"


def test_every_address_of_the_pages_says_the_same_to_the_browser_whoever_asks_and_however(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    rules = [rule for rule in environment.app.url_map.iter_rules() if rule.endpoint.startswith("dashboard.")]
    wanted = {
        (method, rule.rule.replace("<job_id>", JOB_ID).replace("<session_id>", "some").replace("<path:filename>", "x"))
        for rule in rules
        for method in (rule.methods or set()) - {"OPTIONS"}
    }
    strict = {*HEADERS.items(), ("Cache-Control", "no-store")}
    stranger = environment.app.test_client()

    for method, path in sorted(wanted):
        for answer in (stranger.open(path, method=method), browser.client.open(path, method=method)):
            headers = answer.headers
            lacking = {name for name, value in strict if headers.get(name) != value} - (
                {"Cache-Control"} if path.startswith("/assets/") else set()
            )

            assert not lacking, (method, path, answer.status_code)
            assert "Access-Control-Allow-Origin" not in headers
    assert len(wanted) >= 25


PATHS = ["/status", "/status/live", "/notifications", "/outbox", "/send", "/notifications/x", "/no/such/page"]


@pytest.mark.parametrize("path", PATHS)
def test_a_page_loads_nothing_from_elsewhere_and_is_kept_nowhere(browser: Browser, path: str) -> None:
    headers = browser.get(path, headers={"Accept": "text/html"}).headers

    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


def test_no_page_has_a_script_style_or_address_inline(environment: DashboardEnvironment, browser: Browser) -> None:
    job = make_job()
    environment.put(job)
    environment.deliver(job)

    for path in ["/status", "/notifications", f"/notifications/{job.job_id}", "/outbox", "/send", "/send?type=push"]:
        page = browser.get(path).text

        assert not re.search(r"<script(?![^>]*\bsrc=)", page), path
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page), path
        assert set(re.findall(r"""(?:src|href|action)=["'](https?:)?//""", page)) == set(), path


@pytest.mark.parametrize("name", ["style.css", "refresh.js", "icon.svg"])
def test_static_files_are_cached_but_asked_for_again(environment: DashboardEnvironment, name: str) -> None:
    client = environment.app.test_client()

    first = client.get(f"/assets/{name}", buffered=True)
    second = client.get(f"/assets/{name}", headers={"If-None-Match": first.headers["ETag"]}, buffered=True)

    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "no-cache"
    assert second.status_code == 304
    assert "Set-Cookie" not in first.headers


def test_static_files_ask_for_nothing_from_elsewhere(environment: DashboardEnvironment) -> None:
    for name in ["style.css", "refresh.js", "icon.svg"]:
        text = environment.app.test_client().get(f"/assets/{name}", buffered=True).text
        text = text.replace("http://www.w3.org/2000/svg", "")

        assert "://" not in text, name
        assert "@import" not in text, name
