from __future__ import annotations

import re
from typing import Any

import pytest
from marshmallow import ValidationError

from wavecom.core.job import Outcome, Reason, Scope
from wavecom.providers.gateway.answers import AnswerLocation, AnswerRule, ParsedAnswer, first_rule
from wavecom.providers.transport import Response

BODY = b'{"a/b": {"~": [{"id": 7, "ok": true, "none": null, "list": []}]}, "text": "it is"}'


def answer(body: bytes = BODY, status: int = 200) -> ParsedAnswer:
    return ParsedAnswer(Response(status, {}, body))


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("/text", "it is"),
        ("/a~1b/~0/0/id", "7"),
        ("/a~1b/~0/0/ok", "true"),
        ("/a~1b/~0/0/none", None),
        ("/a~1b/~0/0/list", None),
        ("/a~1b/~0/1/id", None),
        ("/a~1b/~0/-1/id", None),
        ("/a~1b/~0/x", None),
        ("/text/0", None),
        ("/missing", None),
        ("", None),
    ],
)
def test_a_pointer_leads_to_a_text_or_to_nothing(pointer: str, found: str | None) -> None:
    assert answer().at(pointer) == found


@pytest.mark.parametrize("body", [b"", b"<html>", b"[", b"null", b"\xff\xfe"])
def test_in_what_is_no_json_nothing_stands_anywhere(body: bytes) -> None:
    assert answer(body).at("/a") is None


@pytest.mark.parametrize(
    ("rule", "applies"),
    [
        ({"status": "200"}, True),
        ({"status": "2xx"}, True),
        ({"status": "4xx"}, False),
        ({"at": "/text", "matches": re.compile("it is|it was")}, True),
        ({"at": "/text", "matches": re.compile("it")}, False),
        ({"at": "/other", "matches": re.compile(".*")}, False),
        ({"text": re.compile("it is")}, True),
        ({"text": re.compile("it was")}, False),
        ({"status": "2xx", "text": re.compile("it was")}, False),
        ({}, True),
    ],
)
def test_a_rule_applies_where_all_that_it_asks_is_so(rule: dict[str, Any], applies: bool) -> None:
    assert AnswerRule(outcome="accepted", **rule).applies_to(answer()) is applies


def test_the_first_rule_that_applies_counts() -> None:
    rules = [AnswerRule(outcome=each, status=status) for each, status in (("rejected", "4xx"), ("unknown", "2xx"))]

    assert first_rule(rules, answer()) is rules[1]
    assert first_rule(rules[:1], answer()) is None


@pytest.mark.parametrize(
    ("rule", "meaning"),
    [
        ({"outcome": "unavailable", "reason": "balance"}, (Outcome.UNAVAILABLE, Scope.PROVIDER, Reason.BALANCE)),
        (
            {"outcome": "rejected", "reason": "recipient_gone"},
            (Outcome.REJECTED, Scope.RECIPIENT, Reason.RECIPIENT_GONE),
        ),
        ({"outcome": "rejected"}, (Outcome.REJECTED, Scope.MESSAGE, None)),
        ({"outcome": "unavailable"}, (Outcome.UNAVAILABLE, None, None)),
        ({"outcome": "unknown"}, (Outcome.UNKNOWN, None, None)),
    ],
)
def test_a_rule_means_what_an_adapters_table_would_say(rule: dict[str, Any], meaning: tuple[object, ...]) -> None:
    found = AnswerRule(**rule).meaning

    assert (found.outcome, found.scope, found.reason) == meaning


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ({"outcome": "rejected", "reason": "balance"}, "reason"),
        ({"outcome": "unavailable", "reason": "recipient_gone"}, "reason"),
        ({"outcome": "accepted", "reason": "quota"}, "reason"),
        ({"outcome": "accepted", "at": "/a"}, "at"),
        ({"outcome": "accepted", "matches": re.compile("a")}, "at"),
    ],
)
def test_a_rule_that_contradicts_itself_is_a_mistake(rule: dict[str, Any], key: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AnswerRule(**rule)

    assert caught.value.field_name == key


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("E17", "E17"),
        ("no_credit", "no_credit"),
        ("-3", "-3"),
        ("+447700900123", None),
        ("a@b.example", None),
        ("447700900123", None),
        ("two words", None),
        ("", None),
    ],
)
def test_a_code_is_told_only_if_it_has_the_form_of_one(value: str, code: str | None) -> None:
    reading = AnswerLocation(text=re.compile("code=(.*)"))

    assert reading.code_of(answer(f"code={value}".encode())) == code


def test_a_name_for_the_message_has_no_control_characters_and_an_end() -> None:
    reading = AnswerLocation(text=re.compile("id=(.*)", re.DOTALL))

    assert reading.id_of(answer(b"id=a\x00b\nc")) == "abc"
    assert len(reading.id_of(answer(b"id=" + b"x" * 1000)) or "") == 200
    assert reading.id_of(answer(b"id=")) is None


@pytest.mark.parametrize("keys", [{}, {"at": "/a", "text": re.compile("(a)")}, {"text": re.compile("a")}])
def test_where_to_read_needs_one_place_with_one_group(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AnswerLocation(**keys)
