"""The forms that send a notification: what they send."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from tests.factories import NOW
from tests.unit.web.dashboard.environment import (
    CLIENT,
    KEY,
    READ_ONLY_KEY,
    TEST_KEY,
    Browser,
    DashboardEnvironment,
)
from tests.unit.web.dashboard.send_forms import EMAIL, PUSH, SMS, VALID, sent, stored
from wavecom.core.job import UnknownOutcomePolicy
from wavecom.core.lanes import Priority
from wavecom.core.states import Status

SUBSCRIPTION = (
    '{"endpoint": "https://push.example.com/abc", "keys": {"p256dh": '
    '"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", '
    '"auth": "BTBZMqHH6r4Tts7J_aSIgg"}}'
)


@pytest.mark.parametrize("channel", ["email", "sms", "push"])
def test_a_filled_in_form_sends_and_leads_to_its_notification(
    environment: DashboardEnvironment, browser: Browser, channel: str
) -> None:
    answer = browser.send(channel, **VALID[channel])

    job = sent(environment, answer)
    assert (job.type, job.status) == (channel, Status.QUEUED)
    assert [message.job_id for message in environment.publisher.delivery_messages] == [job.job_id]
    assert "Accepted. WaveCom keeps the notification" in browser.get(answer.location).text


def test_every_field_of_an_email_arrives(environment: DashboardEnvironment, browser: Browser) -> None:
    answer = browser.send(
        "email",
        **EMAIL,
        to_name="Amina Haddad",
        html="<p>We have received 12.50 EUR.</p>",
        from_email="bank@example.com",
        from_name="The Bank",
        reply_to="help@example.com",
        headers="X-Campaign: receipts\nX-Shop: a:b",
        attachments=[(BytesIO(b"%PDF-"), "receipt.pdf", "application/pdf"), (BytesIO(b"\x00"), "x.bin")],
    )

    job = sent(environment, answer)
    assert job.to == {"email": "amina@example.com", "name": "Amina Haddad"}
    assert job.payload == {
        "subject": "Payment received",
        "text": "We have received 12.50 EUR.",
        "html": "<p>We have received 12.50 EUR.</p>",
        "from": {"email": "bank@example.com", "name": "The Bank"},
        "replyTo": "help@example.com",
        "headers": {"X-Campaign": "receipts", "X-Shop": "a:b"},
        "attachments": [
            {"filename": "receipt.pdf", "contentType": "application/pdf", "content": "JVBERi0="},
            {"filename": "x.bin", "contentType": "application/octet-stream", "content": "AA=="},
        ],
    }


def test_every_field_of_an_sms_arrives(environment: DashboardEnvironment, browser: Browser) -> None:
    job = sent(environment, browser.send("sms", **SMS, sender_id="BANK"))

    assert job.to == {"phone": "+447700900123"}
    assert job.payload == {"text": "Your code is 493817", "senderId": "BANK"}


def test_every_field_of_a_push_message_arrives(environment: DashboardEnvironment, browser: Browser) -> None:
    answer = browser.send(
        "push",
        **PUSH,
        data="parcel: 1Z999\nurl: https://example.com/1",
        click_url="myapp://orders/1",
        image_url="https://example.com/a.png",
        badge="3",
        sound="ping",
        ttl_seconds="600",
        collapse_key="parcel-1Z999",
    )

    job = sent(environment, answer)
    assert job.to == {"platform": "fcm", "token": "device-token-1"}
    assert job.payload == {
        "title": "Parcel",
        "body": "It arrives today",
        "data": {"parcel": "1Z999", "url": "https://example.com/1"},
        "clickUrl": "myapp://orders/1",
        "imageUrl": "https://example.com/a.png",
        "badge": 3,
        "sound": "ping",
        "ttlSeconds": 600,
        "collapseKey": "parcel-1Z999",
    }


def test_a_web_push_subscription_is_pasted_as_the_browser_gives_it(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    answer = browser.send("push", to_platform="webpush", to_subscription=SUBSCRIPTION, body="Hello")

    assert sent(environment, answer).to["subscription"]["endpoint"] == "https://push.example.com/abc"


def test_the_delivery_options_arrive(environment: DashboardEnvironment, browser: Browser) -> None:
    answer = browser.send(
        "sms",
        **SMS,
        priority="high",
        max_attempts="2",
        send_at=f"{NOW + timedelta(hours=1):%Y-%m-%dT%H:%M}",
        expires_at=f"{NOW + timedelta(hours=2):%Y-%m-%dT%H:%M:%S}",
        on_unknown_outcome="stop",
        metadata="order: 1042\n\nbranch : Lyon",
    )

    job = sent(environment, answer)
    assert (job.priority, job.max_attempts, job.status) == (Priority.HIGH, 2, Status.SCHEDULED)
    assert job.on_unknown_outcome is UnknownOutcomePolicy.STOP
    assert job.send_at == (NOW + timedelta(hours=1)).replace(second=0, microsecond=0)
    assert job.expires_at == (NOW + timedelta(hours=2)).replace(microsecond=0)
    assert job.metadata == {"order": "1042", "branch": "Lyon"}


def test_texts_arrive_as_they_were_typed(environment: DashboardEnvironment, browser: Browser) -> None:
    # Browsers send line ends as CRLF, whatever was typed.
    job = sent(environment, browser.send("sms", to_phone=" +44 7700 900123 ", text="  مرحبا 👋\r\n\r\n<b>&amp;</b> "))

    assert job.payload["text"] == "  مرحبا 👋\n\n<b>&amp;</b> "
    assert job.to == {"phone": "+447700900123", "asSent": "+44 7700 900123"}


def test_a_key_sends_for_its_client(environment: DashboardEnvironment) -> None:
    job = sent(environment, environment.browser(KEY).send("sms", **SMS))

    assert job.client == CLIENT


def test_the_operator_sends_as_the_operator(environment: DashboardEnvironment, browser: Browser) -> None:
    assert sent(environment, browser.send("sms", **SMS)).client == "operator"


def test_the_form_counts_against_the_keys_limits_and_says_when_to_come_back(tmp_path: Path) -> None:
    environment = DashboardEnvironment(tmp_path, key_daily_quota=1)
    browser = environment.browser(KEY)

    first = browser.send("sms", **SMS)
    second = browser.send("sms", **SMS)
    by_operator = environment.browser().send("sms", **SMS)

    assert sent(environment, first).created_by == "key id-" + KEY[8:10]
    assert second.status_code == 429
    assert int(second.headers["Retry-After"]) > 0
    assert "1 notifications a day" in second.text
    assert SMS["text"] in second.text, "nothing that was typed is lost"
    assert by_operator.status_code == 303, "operators have no limits"
    assert stored(environment) == 2


def test_a_form_that_is_wrong_counts_against_the_rate(tmp_path: Path) -> None:
    browser = DashboardEnvironment(tmp_path, key_rate_per_second=0.2).browser(KEY)

    answers = [browser.send("sms", **SMS | {"to_phone": "nowhere"}).status_code for _ in range(4)]

    assert answers == [422, 422, 429, 429]


def test_a_test_key_sends_to_the_sandbox(environment: DashboardEnvironment) -> None:
    job = sent(environment, environment.browser(TEST_KEY).send("sms", **SMS))

    assert job.client == f"{CLIENT}:test"


def test_a_key_that_may_not_send_is_told_so(environment: DashboardEnvironment) -> None:
    browser = environment.browser(READ_ONLY_KEY)

    shown = browser.get("/send")
    tried = browser.post("/send?type=sms", SMS)

    assert shown.status_code == tried.status_code == 403
    assert "may look, but not send" in shown.text
    assert stored(environment) == 0
    assert "Send a notification" not in browser.get("/notifications").text


def test_an_unknown_type_has_no_form(browser: Browser) -> None:
    assert browser.get("/send?type=fax").status_code == 404
