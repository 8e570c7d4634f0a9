"""Limits that are held before parsing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.errors import BodyTooLargeError
from wavecom.web.body import DEPTH_LIMIT, VALUES_LIMIT, check_shape

TEXTS = st.text(st.sampled_from('a"\\[]{},:é\n\u2028'), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=60,
)


def _depth(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(_depth, inner), default=0)
    return 0


def _is_refused(body: bytes) -> bool:
    try:
        check_shape(body)
    except BodyTooLargeError:
        return True
    return False


@given(JSON, st.integers(0, 30), st.booleans())
def test_depth_is_measured_exactly_whatever_stands_in_texts(value: Any, wraps: int, ascii_only: bool) -> None:
    for _ in range(wraps):
        value = [value, '[[[[{{{{"\\']

    body = json.dumps(value, ensure_ascii=ascii_only).encode()

    assert _is_refused(body) == (_depth(value) > DEPTH_LIMIT)


@pytest.mark.parametrize(("values", "is_refused"), [(VALUES_LIMIT - 1, False), (VALUES_LIMIT, True)])
def test_values_are_counted_exactly_when_there_are_many(values: int, is_refused: bool) -> None:
    # A list of n texts full of commas: n - 1 commas and one bracket outside texts.
    body = json.dumps([",,,[[[{{{"] * values).encode()

    assert _is_refused(body) == is_refused


@given(st.binary(max_size=300), st.integers(0, 40))
def test_bytes_that_are_no_json_never_break_the_check(noise: bytes, openings: int) -> None:
    body = b"[" * openings + noise

    refused = _is_refused(body)

    assert refused or openings <= DEPTH_LIMIT or b'"' in noise or b"]" in noise or b"}" in noise


@pytest.mark.timeout(60)
@pytest.mark.parametrize("part", [b'\\"', b'"', b'"\\', b'"a\\\\', b"[", b'["', b"\\", b'{"a":"\\u0000"'])
def test_no_pattern_makes_the_check_slow(part: bytes) -> None:
    body = b"," * VALUES_LIMIT + part * (4_000_000 // len(part))

    # Linear takes a fraction of a second; quadratic would take hours and end in the timeout.
    assert _is_refused(body)
