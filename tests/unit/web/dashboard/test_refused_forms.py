"""Forms that are filled in wrongly: each mistake is named beside its field, and nothing that was typed is lost."""

from __future__ import annotations

import html
import re
from io import BytesIO
from typing import Any

import pytest

from tests.unit.web.dashboard.environment import (
    Browser,
    DashboardEnvironment,
    controls,
)
from tests.unit.web.dashboard.send_forms import EMAIL, PUSH, SMS, problems, sent, stored
from wavecom.core.lanes import Channel
from wavecom.web.dashboard.send_form import SendForm


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
    environment: DashboardEnvironment, browser: Browser, channel: str, typed: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = browser.send(channel, **typed)

    assert answer.status_code == 422
    assert stored(environment) == 0
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


def test_attempts_that_nobody_typed_are_as_many_as_the_settings_say(
    environment: DashboardEnvironment, browser: Browser
) -> None:
    assert controls(browser.get("/send?type=sms").text)["max_attempts"] == ""

    # As the engine's policy says it: the request leaves it open.
    body, problems = SendForm.filled(Channel.SMS, SMS | {"max_attempts": ""}).request()

    assert "maxAttempts" not in body
    assert problems == []
    assert sent(environment, browser.send("sms", **SMS)).max_attempts == 5


def test_a_mistake_in_a_folded_group_unfolds_it(browser: Browser) -> None:
    calm = browser.get("/send?type=sms").text
    wrong = browser.send("sms", **SMS, max_attempts="99").text

    assert '<details class="fold">' in calm
    assert '<details class="fold" open>' in wrong


def test_options_that_were_set_stay_unfolded(browser: Browser) -> None:
    page = browser.send("sms", text="no recipient", metadata="order: 1").text

    assert '<details class="fold" open>' in page
