"""The forms that send a notification."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import TestResponse, encode_multipart

from tests.factories import NOW
from tests.unit.dashboard.environment import CLIENT, KEY, READ_ONLY_KEY, TEST_KEY, Browser, World, controls
from wavecom.core.job import Channel, Job, JobId, Priority, UnknownOutcomePolicy
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.web.dashboard.send_form import SendForm

EMAIL = {"to_email": "amina@example.com", "subject": "Payment received", "text": "We have received 12.50 EUR."}
SMS = {"to_phone": "+447700900123", "text": "Your code is 493817"}
PUSH = {"to_token": "device-token-1", "title": "Parcel", "body": "It arrives today"}
VALID: dict[str, dict[str, Any]] = {"email": EMAIL, "sms": SMS, "push": PUSH}

SUBSCRIPTION = (
    '{"endpoint": "https://push.example.com/abc", "keys": {"p256dh": '
    '"BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", '
    '"auth": "BTBZMqHH6r4Tts7J_aSIgg"}}'
)


def sent(world: World, answer: TestResponse) -> Job:
    """The job that a form made."""
    assert answer.status_code == 303, problems(answer)
    job = world.jobs.get(JobId(answer.location.rpartition("/")[2]))
    assert job is not None
    return job


def problems(answer: TestResponse) -> dict[str, str]:
    """Label → what the summary says about it."""
    summary = re.search(r'role="alert".*?</ul>', answer.text, re.DOTALL)
    items = re.findall(r"<li>(?:<a[^>]*>(.*?)</a> )?(.*?)</li>", summary[0], re.DOTALL) if summary else []
    return {html.unescape(label): html.unescape(message) for label, message in items}


def stored(world: World) -> int:
    return len(world.jobs.search(JobFilter(), 100).jobs)


# --- What is sent -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["email", "sms", "push"])
def test_a_filled_in_form_sends_and_leads_to_its_notification(world: World, browser: Browser, channel: str) -> None:
    answer = browser.send(channel, **VALID[channel])

    job = sent(world, answer)
    assert (job.type, job.status) == (channel, Status.QUEUED)
    assert [message.job_id for message in world.publisher.delivery_messages] == [job.job_id]
    assert "Accepted. WaveCom keeps the notification" in browser.get(answer.location).text


def test_every_field_of_an_email_arrives(world: World, browser: Browser) -> None:
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

    job = sent(world, answer)
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


def test_every_field_of_an_sms_arrives(world: World, browser: Browser) -> None:
    job = sent(world, browser.send("sms", **SMS, sender_id="BANK"))

    assert job.to == {"phone": "+447700900123"}
    assert job.payload == {"text": "Your code is 493817", "senderId": "BANK"}


def test_every_field_of_a_push_message_arrives(world: World, browser: Browser) -> None:
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

    job = sent(world, answer)
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


def test_a_web_push_subscription_is_pasted_as_the_browser_gives_it(world: World, browser: Browser) -> None:
    answer = browser.send("push", to_platform="webpush", to_subscription=SUBSCRIPTION, body="Hello")

    assert sent(world, answer).to["subscription"]["endpoint"] == "https://push.example.com/abc"


def test_the_delivery_options_arrive(world: World, browser: Browser) -> None:
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

    job = sent(world, answer)
    assert (job.priority, job.max_attempts, job.status) == (Priority.HIGH, 2, Status.SCHEDULED)
    assert job.on_unknown_outcome is UnknownOutcomePolicy.STOP
    assert job.send_at == (NOW + timedelta(hours=1)).replace(second=0, microsecond=0)
    assert job.expires_at == (NOW + timedelta(hours=2)).replace(microsecond=0)
    assert job.metadata == {"order": "1042", "branch": "Lyon"}


def test_texts_arrive_as_they_were_typed(world: World, browser: Browser) -> None:
    # Browsers send line ends as CRLF, whatever was typed.
    job = sent(world, browser.send("sms", to_phone=" +44 7700 900123 ", text="  مرحبا 👋\r\n\r\n<b>&amp;</b> "))

    assert job.payload["text"] == "  مرحبا 👋\n\n<b>&amp;</b> "
    assert job.to == {"phone": "+447700900123", "asSent": "+44 7700 900123"}


def test_a_key_sends_for_its_client(world: World) -> None:
    job = sent(world, world.browser(KEY).send("sms", **SMS))

    assert job.client == CLIENT


def test_the_operator_sends_as_the_operator(world: World, browser: Browser) -> None:
    assert sent(world, browser.send("sms", **SMS)).client == "operator"


def test_the_form_counts_against_the_keys_limits_and_says_when_to_come_back(tmp_path: Path) -> None:
    world = World(tmp_path, key_daily_quota=1)
    browser = world.browser(KEY)

    first = browser.send("sms", **SMS)
    second = browser.send("sms", **SMS)
    by_operator = world.browser().send("sms", **SMS)

    assert sent(world, first).created_by == "key id-" + KEY[8:10]
    assert second.status_code == 429
    assert int(second.headers["Retry-After"]) > 0
    assert "1 notifications a day" in second.text
    assert SMS["text"] in second.text, "nothing that was typed is lost"
    assert by_operator.status_code == 303, "operators have no limits"
    assert stored(world) == 2


def test_a_form_that_is_wrong_counts_against_the_rate(tmp_path: Path) -> None:
    browser = World(tmp_path, key_rate_per_second=0.2).browser(KEY)

    answers = [browser.send("sms", **SMS | {"to_phone": "nowhere"}).status_code for _ in range(4)]

    assert answers == [422, 422, 429, 429]


def test_a_test_key_sends_to_the_sandbox(world: World) -> None:
    job = sent(world, world.browser(TEST_KEY).send("sms", **SMS))

    assert job.client == f"{CLIENT}:test"


def test_a_key_that_may_not_send_is_told_so(world: World) -> None:
    browser = world.browser(READ_ONLY_KEY)

    shown = browser.get("/send")
    tried = browser.post("/send?type=sms", SMS)

    assert shown.status_code == tried.status_code == 403
    assert "may look, but not send" in shown.text
    assert stored(world) == 0
    assert "Send a notification" not in browser.get("/notifications").text


def test_an_unknown_type_has_no_form(browser: Browser) -> None:
    assert browser.get("/send?type=fax").status_code == 404


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "typed", "expected"),
    [
        (
            "email",
            {},
            {"E-mail address": "is missing", "Subject": "is missing", "Text": "must have text or html"},
        ),
        ("email", EMAIL | {"to_email": "amina"}, {"E-mail address": "must be an e-mail address"}),
        ("email", EMAIL | {"subject": "a" * 999}, {"Subject": "at most 998 characters"}),
        ("email", EMAIL | {"from_name": "Bank"}, {"From address": "is missing"}),
        ("email", EMAIL | {"reply_to": "nobody"}, {"Reply to": "must be an e-mail address"}),
        ("email", EMAIL | {"headers": "Bcc: a@b.example"}, {"Further headers": "Bcc is not a header that can be set"}),
        ("email", EMAIL | {"headers": "X-A: 1\nnonsense"}, {"Further headers": "line 2 has none"}),
        ("email", EMAIL | {"headers": "X-A: 1\nX-A: 2"}, {"Further headers": "line 2 repeats “X-A”"}),
        (
            "email",
            EMAIL | {"attachments": [(BytesIO(b"a"), "a.eml", "message/rfc822")]},
            {"Attachments": "no. 1 contentType must be"},
        ),
        ("sms", {}, {"Phone number": "is missing", "Text": "is missing"}),
        ("sms", SMS | {"to_phone": "07700 900123"}, {"Phone number": "begin with + and the country code"}),
        ("sms", SMS | {"text": "ü" * 1601}, {"Text": "at most 1600 characters"}),
        ("sms", SMS | {"sender_id": "A very long sender"}, {"Sender": "must have at most 16"}),
        (
            "push",
            {},
            {"Device token": "is missing; fcm needs", "Text": "must have a title, a body, a badge or some data"},
        ),
        ("push", PUSH | {"to_platform": "apns"}, {"Device token": "must be an APNs device token"}),
        ("push", PUSH | {"to_platform": "webpush"}, {"Device token": "left out", "Subscription": "is missing"}),
        ("push", PUSH | {"to_subscription": "{"}, {"Subscription": "must be JSON"}),
        ("push", PUSH | {"data": "aps: 1"}, {"Data": "aps has a name that the push services reserve"}),
        ("push", PUSH | {"badge": "many"}, {"Badge": "must be a whole number from 0 to 99999"}),
        ("push", PUSH | {"image_url": "http://example.com/a"}, {"Image": "must be an https URL"}),
        ("sms", SMS | {"max_attempts": "21"}, {"Attempts at most": "from 1 to 20"}),
        ("sms", SMS | {"priority": "urgent"}, {"Priority": "must be one of high, normal, bulk"}),
        ("sms", SMS | {"send_at": "2020-01-01T00:00"}, {"Send at (UTC)": "must be in the future"}),
        ("sms", SMS | {"expires_at": "tomorrow"}, {"Give up at (UTC)": "RFC 3339"}),
        ("sms", SMS | {"on_unknown_outcome": "x"}, {"When nobody can tell whether it was sent": "one of retry, stop"}),
        ("sms", SMS | {"metadata": "a"}, {"Metadata": "must have a colon in every line"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_named_beside_its_field_and_in_a_summary(
    world: World, browser: Browser, channel: str, typed: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = browser.send(channel, **typed)

    assert answer.status_code == 422
    assert stored(world) == 0
    found = problems(answer)
    assert found.keys() == expected.keys()
    for label, message in expected.items():
        assert message in found[label]
        link = re.search(rf'<a href="#(field-[a-z_]+)">{re.escape(label)}</a>', answer.text)
        assert link
        beside = re.search(rf'id="{link[1]}-error">.*?<span>(.*?)</span>', answer.text)
        assert beside
        assert message[1:] in html.unescape(beside[1])
        control = re.search(rf'<(?:input|select|textarea) id="{link[1]}"[^>]*>', answer.text)
        assert control
        assert 'aria-invalid="true"' in control[0]
        assert f"{link[1]}-error" in control[0]


@pytest.mark.parametrize("channel", ["email", "sms", "push"])
def test_what_was_typed_is_kept(browser: Browser, channel: str) -> None:
    names = [name for name in controls(browser.get(f"/send?type={channel}").text) if name not in {"csrf_token", ""}]
    selects = {"priority": "bulk", "on_unknown_outcome": "stop", "to_platform": "apns"}
    typed = {name: selects.get(name, f'wrong\x0b "{name}" <b>\n two') for name in names}
    typed["form_id"] = "f" * 32
    lines = {"text", "html", "headers", "metadata", "data", "body", "to_subscription"}
    typed |= {name: value.replace("\n", " ") for name, value in typed.items() if name not in lines}

    answer = browser.post(f"/send?type={channel}", typed)

    assert answer.status_code == 422
    kept = controls(answer.text)
    assert {name: kept[name] for name in names} == typed


def test_attempts_that_nobody_typed_are_as_many_as_the_settings_say(world: World, browser: Browser) -> None:
    assert controls(browser.get("/send?type=sms").text)["max_attempts"] == ""

    # As the engine's policy says it: the request leaves it open.
    body, problems = SendForm.filled(Channel.SMS, SMS | {"max_attempts": ""}).request()

    assert "maxAttempts" not in body
    assert problems == []
    assert sent(world, browser.send("sms", **SMS)).max_attempts == 5


def test_a_mistake_in_a_folded_group_unfolds_it(browser: Browser) -> None:
    calm = browser.get("/send?type=sms").text
    wrong = browser.send("sms", **SMS, max_attempts="99").text

    assert '<details class="fold">' in calm
    assert '<details class="fold" open>' in wrong


def test_options_that_were_set_stay_unfolded(browser: Browser) -> None:
    page = browser.send("sms", text="no recipient", metadata="order: 1").text

    assert '<details class="fold" open>' in page


# --- Sending twice ----------------------------------------------------------------------------------------------------


def test_a_form_that_is_sent_twice_is_one_notification(world: World, browser: Browser) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS

    first = browser.post("/send?type=sms", typed)
    second = browser.post("/send?type=sms", typed)

    assert first.location == second.location
    assert stored(world) == 1
    assert "no second one was made" in browser.get(second.location).text


def test_a_new_form_is_a_new_notification(world: World, browser: Browser) -> None:
    first, second = browser.send("sms", **SMS), browser.send("sms", **SMS)

    assert first.location != second.location
    assert stored(world) == 2


def test_a_form_that_was_sent_and_changed_asks_before_it_sends_again(world: World, browser: Browser) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS
    browser.post("/send?type=sms", typed)

    changed = browser.post("/send?type=sms", typed | {"text": "Another text"})
    again = browser.post("/send?type=sms", controls(changed.text))

    assert changed.status_code == 409
    assert "sent before with other contents" in problems(changed)[""]
    assert sent(world, again).payload["text"] == "Another text"
    assert stored(world) == 2


def test_an_invented_form_id_is_replaced(world: World, browser: Browser) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS | {"form_id": "../../etc"}

    job = sent(world, browser.post("/send?type=sms", typed))

    assert job.idempotency_key is not None
    assert re.fullmatch(r"page:[0-9a-f]{32}", job.idempotency_key)


# --- When a server is away --------------------------------------------------------------------------------------------


def test_without_the_store_nothing_typed_is_lost_and_sending_again_sends_once(world: World, browser: Browser) -> None:
    typed = controls(browser.get("/send?type=sms").text) | SMS
    world.jobs.is_up = False

    away = browser.post("/send?type=sms", typed)
    world.jobs.is_up = True
    back = browser.post("/send?type=sms", controls(away.text))

    assert away.status_code == 503
    assert "Everything you typed is still here" in problems(away)[""]
    assert "mongodb.internal" not in away.text
    assert controls(away.text)["form_id"] == typed["form_id"]
    assert sent(world, back).payload["text"] == SMS["text"]


def test_without_the_broker_it_is_accepted_all_the_same(world: World, browser: Browser) -> None:
    world.publisher.is_up = False

    assert sent(world, browser.send("sms", **SMS)).type is Channel.SMS


def test_too_much_gets_a_page_that_says_so(tmp_path: Path) -> None:
    browser = World(tmp_path, max_body_bytes=100_000).browser()

    answer = browser.send("email", **EMAIL, attachments=[(BytesIO(b"a" * 100_000), "a.bin")])

    assert answer.status_code == 413
    assert "That is too large" in answer.text


def test_a_long_text_is_not_too_much_for_the_form(world: World, browser: Browser) -> None:
    typed = controls(browser.get("/send").text) | EMAIL | {"html": "é" * 1_000_000}
    boundary, body = encode_multipart(typed)

    answer = browser.client.post("/send", data=body, content_type=f"multipart/form-data; boundary={boundary}")

    assert len(sent(world, answer).payload["html"]) == 1_000_000


# --- Channels that nobody delivers ------------------------------------------------------------------------------------


@pytest.fixture
def mail_only(tmp_path: Path) -> World:
    file = tmp_path / "providers.toml"
    file.write_text('[providers.mail]\ntype = "sandbox"\n[routes]\nemail = ["mail"]\n')
    return World(tmp_path, providers_file=file)


def tabs(answer: TestResponse) -> list[str]:
    return re.findall(r'href="/send\?type=(\w+)"', answer.text)


def test_only_channels_that_are_delivered_are_offered(mail_only: World) -> None:
    page = mail_only.browser().get("/send")

    assert tabs(page) == ["email"]


def test_the_form_of_another_says_so_and_what_is_sent_by_it_is_refused(mail_only: World) -> None:
    browser = mail_only.browser()

    page = browser.get("/send?type=sms")
    answer = browser.send("sms", **SMS)

    assert "SMS is not delivered here" in page.text
    assert answer.status_code == 422
    assert "no provider is set up to deliver" in " ".join(problems(answer).values())
    assert stored(mail_only) == 0


def test_a_test_key_is_offered_all(mail_only: World) -> None:
    assert tabs(mail_only.browser(TEST_KEY).get("/send")) == ["email", "sms", "push"]
