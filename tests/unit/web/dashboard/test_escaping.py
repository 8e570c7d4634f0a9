"""Whatever a sender writes is shown, never run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.factories import NOW, make_job
from tests.unit.web.dashboard.environment import PASSWORD, Browser, DashboardEnvironment, controls
from wavecom.core.job import JobError, LogEntry
from wavecom.core.lanes import Channel
from wavecom.core.states import Status

ATTACK = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}</textarea></title>&"

TAGS = {"script": {"src", "defer"}, "img": {"src", "width", "height", "alt"}}


class Tags(HTMLParser):
    """Finds what an attack would have added to a page."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if any(name.startswith("on") for name in names) or not names <= TAGS.get(tag, names):
            self.foreign.append(tag)
        if tag in TAGS and not str(dict(attrs)["src"]).startswith("/assets/"):
            self.foreign.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_harmless(page: str) -> str:
    """No tag or attribute came from the attack; the text as a reader sees it is returned."""
    tags = Tags()
    tags.feed(page)
    assert tags.foreign == []
    assert "49</textarea>" not in page
    return tags.text


def test_a_notification_full_of_attacks_is_shown_as_text(environment: DashboardEnvironment, browser: Browser) -> None:
    job = make_job(
        type=Channel.EMAIL,
        status=Status.RETRYING,
        client=ATTACK,
        to={"email": ATTACK, "name": ATTACK, "asSent": ATTACK},
        payload={
            **dict.fromkeys(["subject", "text", "html", "title", "body", "senderId", "somethingNew"], ATTACK),
            "from": {"email": ATTACK, "name": ATTACK},
            "replyTo": ATTACK,
            "headers": {ATTACK: ATTACK},
            "data": {ATTACK: ATTACK},
            "attachments": [{"filename": ATTACK, "contentType": ATTACK, "content": "QQ=="}],
        },
        metadata={ATTACK: ATTACK},
        provider=ATTACK,
        provider_message_id=ATTACK,
        idempotency_key=ATTACK,
        error=JobError(ATTACK, ATTACK, ATTACK),
        logs=(LogEntry(NOW, ATTACK, 1, ATTACK, ATTACK, ATTACK, ATTACK, 1.0, NOW),),
    )
    environment.put(job)
    environment.deliver(job)

    texts = [assert_harmless(browser.get(path).text) for path in (f"/notifications/{job.job_id}", "/outbox")]
    assert_harmless(browser.get("/notifications").text)

    assert texts[0].count("<script>alert(1)</script>") >= 25
    assert texts[1].count("<script>alert(1)</script>") >= 14


@pytest.mark.parametrize("channel", ["email", "sms", "push"])
def test_every_field_of_a_form_gives_back_an_attack_as_text(browser: Browser, channel: str) -> None:
    typed = dict.fromkeys(controls(browser.get(f"/send?type={channel}").text), ATTACK)
    typed.pop("csrf_token")

    page = browser.post(f"/send?type={channel}", typed).text

    assert_harmless(page)
    kept = controls(page)
    selects = {"priority", "on_unknown_outcome", "to_platform", "form_id", "csrf_token"}
    assert all(kept[name] == ATTACK for name in typed if name not in selects)


def test_every_filter_gives_back_an_attack_as_text(browser: Browser) -> None:
    names = ["status", "type", "priority", "recipient", "provider", "errorCode", "createdSince", "createdBefore"]

    for name in [*names, "cursor"]:
        assert_harmless(browser.get("/notifications", query_string={name: ATTACK}).text)


def test_the_login_gives_back_nothing(environment: DashboardEnvironment) -> None:
    browser = environment.browser(None)
    browser.get("/login", query_string={"next": ATTACK})

    page = browser.post("/login", {"secret": ATTACK, "next": ATTACK}).text

    assert_harmless(page)
    assert "alert(1)" not in page


def test_an_address_is_not_repeated_on_its_error_page(browser: Browser) -> None:
    for path in ["/<script>alert(1)</script>", "/notifications/<script>alert(1)</script>", f"/{ATTACK}"]:
        page = browser.get(path, headers={"Accept": "text/html"}).text

        assert_harmless(page)
        assert "alert(1)" not in page


def test_the_password_stands_on_no_page(environment: DashboardEnvironment, browser: Browser) -> None:
    for path in ["/status", "/notifications", "/outbox", "/send", "/login"]:
        assert PASSWORD not in browser.get(path).text


def test_a_name_that_is_not_known_in_the_template_is_not_run(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    job = make_job(payload={"text": "{{ config }}{% for x in y %}"})
    environment.put(job)

    page = browser.get(f"/notifications/{job.job_id}").text

    assert "{{ config }}{% for x in y %}" in page
    assert not re.search(r"SECRET_KEY", page)
