"""Forms that are sent twice, without a server, or for a channel that nobody delivers."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import pytest
from werkzeug.test import TestResponse, encode_multipart

from tests.unit.web.dashboard.environment import (
    TEST_KEY,
    Browser,
    DashboardEnvironment,
    controls,
)
from tests.unit.web.dashboard.send_forms import EMAIL, SMS, problems, sent, stored
from wavecom.core.lanes import Channel


def test_a_form_that_is_sent_twice_is_one_notification(environment: DashboardEnvironment, browser: Browser) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS

    first = browser.post("/send?type=sms", typed)
    second = browser.post("/send?type=sms", typed)

    assert first.location == second.location
    assert stored(environment) == 1
    assert "no second one was made" in browser.get(second.location).text


def test_a_new_form_is_a_new_notification(environment: DashboardEnvironment, browser: Browser) -> None:
    first, second = browser.send("sms", **SMS), browser.send("sms", **SMS)

    assert first.location != second.location
    assert stored(environment) == 2


def test_a_form_that_was_sent_and_changed_asks_before_it_sends_again(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS
    browser.post("/send?type=sms", typed)

    changed = browser.post("/send?type=sms", typed | {"text": "Another text"})
    again = browser.post("/send?type=sms", controls(changed.text))

    assert changed.status_code == 409
    assert "sent before with other contents" in problems(changed)[""]
    assert sent(environment, again).payload["text"] == "Another text"
    assert stored(environment) == 2


def test_an_invented_form_id_is_replaced(environment: DashboardEnvironment, browser: Browser) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS | {"form_id": "../../etc"}

    job = sent(environment, browser.post("/send?type=sms", typed))

    assert job.idempotency_key is not None
    assert re.fullmatch(r"page:[0-9a-f]{32}", job.idempotency_key)


def test_without_the_store_nothing_typed_is_lost_and_sending_again_sends_once(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS
    environment.jobs.is_up = False

    away = browser.post("/send?type=sms", typed)
    environment.jobs.is_up = True
    back = browser.post("/send?type=sms", controls(away.text))

    assert away.status_code == 503
    assert "Everything you typed is still here" in problems(away)[""]
    assert "mongodb.internal" not in away.text
    assert controls(away.text)["form_id"] == typed["form_id"]
    assert sent(environment, back).payload["text"] == SMS["text"]


def test_without_the_broker_it_is_accepted_all_the_same(environment: DashboardEnvironment, browser: Browser) -> None:
    environment.publisher.is_up = False

    assert sent(environment, browser.send("sms", **SMS)).type is Channel.SMS


def test_too_much_gets_a_page_that_says_so(tmp_path: Path) -> None:
    browser = DashboardEnvironment(tmp_path, max_body_bytes=100_000).browser()

    answer = browser.send("email", **EMAIL, attachments=[(BytesIO(b"a" * 100_000), "a.bin")])

    assert answer.status_code == 413
    assert "That is too large" in answer.text


def test_a_long_text_is_not_too_much_for_the_form(environment: DashboardEnvironment, browser: Browser) -> None:
    typed = controls(browser.get("/send").text) | EMAIL | {"html": "é" * 1_000_000}
    boundary, body = encode_multipart(typed)

    answer = browser.client.post("/send", data=body, content_type=f"multipart/form-data; boundary={boundary}")

    assert len(sent(environment, answer).payload["html"]) == 1_000_000


@pytest.fixture
def mail_only(tmp_path: Path) -> DashboardEnvironment:
    file = tmp_path / "providers.toml"
    file.write_text('[providers.mail]\ntype = "sandbox"\n[routes]\nemail = ["mail"]\n')
    return DashboardEnvironment(tmp_path, providers_file=file)


def tabs(answer: TestResponse) -> list[str]:
    return re.findall(r'href="/send\?type=(\w+)"', answer.text)


def test_only_channels_that_are_delivered_are_offered(mail_only: DashboardEnvironment) -> None:
    page = mail_only.browser().get("/send")

    assert tabs(page) == ["email"]


def test_the_form_of_another_says_so_and_what_is_sent_by_it_is_refused(mail_only: DashboardEnvironment) -> None:
    browser = mail_only.browser()

    page = browser.get("/send?type=sms")
    answer = browser.send("sms", **SMS)

    assert "SMS is not delivered here" in page.text
    assert answer.status_code == 422
    assert "no provider is set up to deliver" in " ".join(problems(answer).values())
    assert stored(mail_only) == 0


def test_a_test_key_is_offered_all(mail_only: DashboardEnvironment) -> None:
    assert tabs(mail_only.browser(TEST_KEY).get("/send")) == ["email", "sms", "push"]
