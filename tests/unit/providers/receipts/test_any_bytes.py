"""Whatever a verified request of a mail provider holds, reading it ends in receipts or in the one error for that."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.receipt_requests import no_fetch, posted, reader_of
from tests.unit.providers.receipts import test_mailgun, test_postmark, test_resend, test_sendgrid, test_ses
from wavecom.core.receipts import SignatureError, UnreadableReceiptError
from wavecom.providers.receipts import ReceiptReader

READERS: dict[str, ReceiptReader] = {
    "mailgun": reader_of(test_mailgun.table(test_mailgun.KEY)),
    "postmark": reader_of(test_postmark.table("p")),
    "resend": reader_of(test_resend.table(test_resend.SECRET)),
    "sendgrid": reader_of(test_sendgrid.table(test_sendgrid.public(test_sendgrid.KEY))),
    "ses": reader_of(test_ses.TABLE, fetch=no_fetch),
}

WORDS = st.sampled_from(
    [
        "event",
        "event-data",
        "signature",
        "RecordType",
        "Type",
        "type",
        "data",
        "mail",
        "tags",
        "bounce",
        "eventType",
        "delivered",
        "failed",
        "bounced",
        "Bounce",
        "Delivery",
        "email.bounced",
        "timestamp",
        "sg_event_id",
        "Message",
    ]
)
CONTENT = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=20,
)


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=100)
@given(body=st.binary(max_size=60) | CONTENT.map(as_json) | st.lists(CONTENT, max_size=5).map(as_json))
def test_reading_any_bytes_raises_nothing_else(name: str, body: bytes) -> None:
    request = posted(body)

    with pytest.raises(SignatureError):
        READERS[name].verify(request)
    with suppress(UnreadableReceiptError):
        READERS[name].read(request)
