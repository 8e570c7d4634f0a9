"""Reading what was typed, and telling which field a problem belongs to."""

from __future__ import annotations

import pytest

from wavecom.errors import Problem
from wavecom.web.dashboard.fields import (
    Field,
    json_value,
    line,
    lines,
    pairs,
    place,
    sentence,
    utc,
    whole_number,
    whole_number_within,
)

FIELDS = [
    Field(name="to", label="To", pointer="/to/email", covers=("/to",)),
    Field(name="from", label="From", pointer="/payload/from/email"),
    Field(name="headers", label="Headers", pointer="/payload/headers"),
]


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (line, "  a b ", "a b"),
        (line, " ", None),
        (lines, " a\r\nb ", " a\nb "),
        (lines, "\r\n \r\n", None),
        (whole_number, " 12 ", 12),
        (whole_number, "-1", -1),
        (whole_number, "1.5", "1.5"),
        (whole_number, "９", "９"),
        (whole_number, "9" * 5000, "9" * 5000),
        (whole_number, "", None),
        (utc, "2026-03-14T09:26", "2026-03-14T09:26:00Z"),
        (utc, "2026-03-14T09:26:53", "2026-03-14T09:26:53Z"),
        (utc, "2026-03-14T09:26:53.589", "2026-03-14T09:26:53.589Z"),
        (utc, "2026-03-14T09:26:53+01:00", "2026-03-14T09:26:53+01:00"),
        (utc, "soon", "soon"),
        (utc, "", None),
        (pairs, "a: 1\r\n\r\n b :x:y \n", {"a": "1", "b": "x:y"}),
        (pairs, "a:", {"a": ""}),
        (pairs, " \n ", None),
        (json_value, ' {"a": [1, null]} ', {"a": [1, None]}),
        (json_value, "", None),
    ],
)
def test_what_was_typed_is_read(read: object, text: str, value: object) -> None:
    assert callable(read)
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (pairs, "a: 1\n\nb", "line 3 has none"),
        (pairs, "a: 1\na: 2", "line 2 repeats “a”"),
        (json_value, '{"a":\n nope}', "line 2, column 2"),
        (json_value, "NaN", "must be JSON"),
    ],
)
def test_what_cannot_be_read_says_where(read: object, text: str, message: str) -> None:
    assert callable(read)
    with pytest.raises(ValueError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("where", "name", "message"),
    [
        ("/to/email", "to", "is wrong"),
        ("/to", "to", "is wrong"),
        ("/payload/from", "from", "is wrong"),
        ("/payload/headers/X-A~1b", "headers", "X-A/b is wrong"),
        ("/payload/headers/0/name", "headers", "no. 1 name is wrong"),
        ("/payload/unknown", None, "payload unknown is wrong"),
        ("", None, "is wrong"),
    ],
)
def test_a_problem_is_shown_where_it_can_be_mended(where: str, name: str | None, message: str) -> None:
    field, said = place(Problem(where, "is wrong"), FIELDS)

    assert (field.name if field else None, said) == (name, message)


@pytest.mark.parametrize(
    ("text", "expected"), [("is missing", "Is missing."), ("Really?", "Really?"), ("", "."), ("x.", "X.")]
)
def test_messages_become_sentences(text: str, expected: str) -> None:
    assert sentence(text) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", None),
        ("1", 1),
        ("007", 7),
        ("1000", 1000),
        ("1001", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.0", None),
        ("９", None),
        ("²", None),
        ("9" * 5000, None),
    ],
)
def test_a_number_within_bounds_is_one_and_nothing_else_is(text: str, number: int | None) -> None:
    assert whole_number_within(text, 1, 1000) == number
