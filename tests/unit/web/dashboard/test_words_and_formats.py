from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from importlib.resources import files

import pytest

from tests.factories import make_job
from wavecom.core.audit import AuditAction
from wavecom.core.callback_audit import CallbackAction
from wavecom.core.campaigns.audit import CampaignAction
from wavecom.core.category_audit import CategoryAction
from wavecom.core.job import UnknownOutcomePolicy
from wavecom.core.keys import KeyAction
from wavecom.core.lanes import Channel, Priority
from wavecom.core.provider_control import ProviderAction
from wavecom.core.states import Status
from wavecom.core.templates.audit import TemplateAction
from wavecom.core.users import UserAction
from wavecom.web.dashboard import formatting, words
from wavecom.web.dashboard.content import describe

TEMPLATES = files("wavecom.web.dashboard") / "templates" / "dashboard"
STYLE = (files("wavecom.web.dashboard") / "static" / "style.css").read_text(encoding="utf-8")


def test_every_word_of_the_core_has_one_on_the_pages() -> None:
    assert words.STATUSES.keys() == set(Status)
    assert words.CHANNELS.keys() == set(Channel)
    assert words.PRIORITIES.keys() == set(Priority)
    assert words.POLICIES.keys() == set(UnknownOutcomePolicy)


def test_every_look_has_its_icon_and_its_tone() -> None:
    parts = (TEMPLATES / "_parts.html").read_text(encoding="utf-8")
    icons = set(re.findall(r'^  "(\w+)": ', parts, re.MULTILINE))

    for look in [*words.STATUSES.values(), *words.EVENTS.values()]:
        assert look.icon in icons, look
        assert not look.tone or f".badge.{look.tone} " in STYLE, look
    assert {channel.value for channel in Channel} <= icons


def test_every_class_that_a_template_names_is_in_the_stylesheet() -> None:
    named = set()
    for template in TEMPLATES.iterdir():
        for value in re.findall(r'class="([^"{]+?)[ {"]', template.read_text(encoding="utf-8")):
            named |= set(value.split())

    assert {name for name in named if f".{name}" not in STYLE} == set()


def test_an_event_that_nobody_has_named_yet_shows_its_own_word() -> None:
    assert words.event_appearance("provider_changed").word == "Provider changed"


AT = datetime(2026, 3, 4, 9, 26, 53, 89_000, tzinfo=UTC)


def test_times_are_written_in_utc() -> None:
    there = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert formatting.iso(there) == "2026-03-04T09:26:53.089Z"
    assert formatting.clock_time(there) == "4 Mar 2026, 09:26:53"
    assert formatting.clock_time(there, precise=True) == "4 Mar 2026, 09:26:53.089"


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 KB"), (27_400, "27 KB"), (3_420_000, "3.4 MB")],
)
def test_sizes_are_written_for_people(size: int, text: str) -> None:
    assert formatting.file_size(size) == text


def test_latencies_and_counts_are_written_for_people() -> None:
    assert formatting.latency(12.4) == "12 ms"
    assert formatting.latency(5060) == "5.1 s"
    assert formatting.thousands(1_234_567) == "1\u202f234\u202f567"


def test_the_endpoint_of_a_subscription_is_its_address() -> None:
    to = {"platform": "webpush", "subscription": {"endpoint": "https://push.example.com/abc", "keys": {}}}

    assert formatting.recipient_lines(Channel.PUSH, to) == ["https://push.example.com/abc", "by webpush"]
    assert formatting.masked_recipient(make_job(type=Channel.PUSH, to=to)) == "http…"


@pytest.mark.parametrize(("content", "size"), [("", 0), ("QQ==", 1), ("QUI=", 2), ("QUJD", 3), ("A" * 4000, 3000)])
def test_an_attachments_size_is_that_of_the_file(content: str, size: int) -> None:
    [attachment] = describe({"attachments": [{"filename": "a", "content": content}]}).attachments

    assert attachment.size == size


def test_parts_of_a_message_that_the_pages_do_not_know_are_shown_all_the_same() -> None:
    content = describe({"text": "Hello", "somethingNew": {"a": 1}})

    assert content.texts == (("Text", "Hello"),)
    assert content.facts == (("somethingNew", '{\n  "a": 1\n}'),)


def test_an_attachment_that_is_stored_apart_has_the_size_of_the_file() -> None:
    stored = {"filename": "a.pdf", "contentType": "application/pdf", "blob": "5f" * 32, "size": 51_200}

    [attachment] = describe({"attachments": [stored]}).attachments

    assert attachment.size == 51_200


@pytest.mark.parametrize(
    "actions",
    [
        AuditAction,
        CallbackAction,
        CampaignAction,
        CategoryAction,
        KeyAction,
        ProviderAction,
        TemplateAction,
        UserAction,
    ],
)
def test_whatever_stands_in_the_audit_has_words_and_can_be_chosen_in_its_filter(actions: type[StrEnum]) -> None:
    assert {action.value for action in actions} - set(words.AUDIT_ACTIONS) == set()
