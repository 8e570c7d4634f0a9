"""Cursors: opaque, exact, refused when damaged."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.job import JobId
from wavecom.core.ports import Cursor
from wavecom.web.api.cursors import decode, encode

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - as bounds


@given(MOMENTS, st.uuids())
def test_what_is_encoded_is_decoded(moment: datetime, number: uuid.UUID) -> None:
    cursor = Cursor(moment - timedelta(microseconds=moment.microsecond % 1000), JobId(str(number)))

    text = encode(cursor)

    assert decode(text) == cursor
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        decode(text)


@given(st.text(st.sampled_from("ABCDefgh0123-_"), min_size=38, max_size=38))
def test_texts_of_the_right_form_are_refused_too(text: str) -> None:
    with pytest.raises(ValueError, match="damaged"):
        decode(text)
