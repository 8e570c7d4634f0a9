"""Cursors: opaque, exact, refused when damaged."""

from __future__ import annotations

import hashlib
import struct
import uuid
from base64 import urlsafe_b64encode
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


@pytest.mark.parametrize("milliseconds", [2**63 - 1, -(2**63), 253_402_300_800_000, -62_135_596_800_001])
def test_a_forged_cursor_with_a_time_that_does_not_exist_is_refused(milliseconds: int) -> None:
    job_id = uuid.uuid4().bytes
    check_sum = hashlib.sha256(b"wavecom cursor %d " % milliseconds + job_id).digest()[:4]
    forged = urlsafe_b64encode(struct.pack(">q16s4s", milliseconds, job_id, check_sum)).decode().rstrip("=")

    with pytest.raises(ValueError, match="no such time"):
        decode(forged)
