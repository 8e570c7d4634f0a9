"""Whatever is sent to the readers of text messages, they say what is wrong with it and raise nothing else."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.receipt_requests import PUBLIC_URL as URL
from tests.receipt_requests import receipt_request, sms_reader
from wavecom.core.receipts import SignatureError, UnreadableReceiptError

TABLES = {
    "infobip": 'type = "infobip"\nbase_url = "https://x.example"\napi_key = "a"\nsender = "B"\nwebhook_password = "p"',
    "messagebird": 'type = "messagebird"\naccess_key = "a"\nsender = "B"\nsigning_key = "k"',
    "sns": 'type = "sns"\nregion = "eu-west-1"\naccess_key_id = "a"\nsecret_access_key = "s"\ntopic_arns = ["t"]',
    "twilio": 'type = "twilio"\naccount_sid = "AC0"\nauth_token = "t"\nsender = "+1500"',
    "vonage": 'type = "vonage"\napi_key = "k"\napi_secret = "s"\nsender = "B"\nsignature_secret = "s"',
}
HEADERS = ("authorization", "content-type", "messagebird-signature-jwt", "x-twilio-signature")

#: Bytes of any kind, and such as come near to what the readers know.
bodies = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(
        st.sampled_from(
            ["MessageSid", "MessageStatus", "messageId", "status", "text", "sig", "timestamp", "id", "Type"]
        ),
        st.one_of(st.text(max_size=20), st.integers(), st.none(), st.booleans(), st.lists(st.integers(), max_size=2)),
        max_size=6,
    ).map(lambda content: json.dumps(content).encode()),
    st.lists(st.sampled_from([b"MessageSid=S", b"status=sent", b"a", b"=", b"&", b"%", b"%ff", b"sig=1"])).map(
        b"".join
    ),
)
queries = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60)
headers = st.dictionaries(
    st.sampled_from(HEADERS),
    st.one_of(
        st.text(st.characters(max_codepoint=255), max_size=40),
        st.just("Bearer a.b.c"),
        st.just("[" * 20_000),
        st.just("Bearer eyJhbGciOiJIUzI1NiJ9.e30.x"),
    ),
)


@pytest.mark.parametrize("type_name", TABLES)
@settings(max_examples=60, deadline=None)
@given(body=bodies, query=queries, named=headers, method=st.sampled_from(["GET", "POST"]))
def test_no_request_brings_a_reader_down(
    type_name: str, body: bytes, query: str, named: dict[str, str], method: str
) -> None:
    found = sms_reader(TABLES[type_name])
    request = receipt_request(body, url=f"{URL}?{query}", method=method, headers=named)

    with pytest.raises(SignatureError):
        found.verify(request)
    with suppress(UnreadableReceiptError):
        found.read(request)
