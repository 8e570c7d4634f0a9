"""MessageBird's webhooks: believed when its own library would believe them, and read as its pages say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
import time_machine
from messagebird.request_validator import RequestValidator

from tests.receipt_requests import NOW, receipt_request, sms_reader
from tests.receipt_requests import PUBLIC_URL as URL
from wavecom.core.job import Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)

KEY = "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb"


def table(keys: str = f'"{KEY}"') -> str:
    return f'type = "messagebird"\naccess_key = "a"\nsender = "Bank"\nsigning_key = {keys}'


def report(status: str = "delivered", **fields: str) -> dict[str, str]:
    return {
        "id": "e8077d803532c0b5937c639b60216938",
        "mccmnc": "20408",
        "ported": "1",
        "recipient": "12025550143",
        "reference": "job-1",
        "status": status,
        "statusDatetime": "2026-11-22T12:59:58+01:00",
        "statusErrorCode": "0",
        "statusReason": "successfully delivered",
    } | fields


def signed(
    fields: Mapping[str, str] | None = None,
    *,
    body: bytes = b"",
    key: str = KEY,
    algorithm: str = "HS256",
    **changes: Any,
) -> ReceiptRequest:
    """As MessageBird sends a status report: all in the query, and a token that is good for a minute."""
    url = f"{URL}?{urlencode(fields)}" if fields else URL
    now = int(NOW.timestamp())
    claims: dict[str, Any] = {"iss": "MessageBird", "nbf": now, "exp": now + 60, "jti": "59a244dc"}
    claims["url_hash"] = hashlib.sha256(url.encode()).hexdigest()
    if body:
        claims["payload_hash"] = hashlib.sha256(body).hexdigest()
    claims = {name: claim for name, claim in (claims | changes).items() if claim is not None}
    headers = {"messagebird-signature-jwt": jwt.encode(claims, key, algorithm)}
    return receipt_request(body, url=url, method="POST" if body else "GET", headers=headers)


#: From the tests of MessageBird's own libraries, which share them.
VECTOR_AT = datetime(2021, 7, 5, 10, 0, tzinfo=UTC)
VECTOR_TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTYyNTQ3OTIwMCwiZXhwIjoxNjI1NDc5MjYwLCJq"
    "dGkiOiI5M2U1NTAwNi1hMGU4LTQ1MjYtYTE5MC1mYTVmZjAwZWExMTYiLCJ1cmxfaGFzaCI6IjQxZjA1ZjBkZGQwYTIyYWIyMDlhYzQ2ZjQ3YzQ1N"
    "zJkOWNlZmEyNTdlZDc0YjI0MDA0YmFlNzUzZWNlNmMyNjAiLCJwYXlsb2FkX2hhc2giOiJkZmZkNjAyMWJiMmJkNWIwYWY2NzYyOTA4MDllYzNhNT"
    "MxOTFkZDgxYzdmNzBhNGIyODY4OGEzNjIxODI5ODZmIn0._H--TOuYFLpeEH39-rg5E3IHVkjHozBcaKVWPRC5m9I"
)
VECTOR_URL = "https://example.com/path?bar=1&foo=2"


@pytest.mark.parametrize(
    ("url", "body", "at", "is_good"),
    [
        (VECTOR_URL, b"Hello, World!", VECTOR_AT, True),
        ("https://example.com/path?foo=2&bar=1", b"Hello, World!", VECTOR_AT, False),
        (VECTOR_URL, b"Hello, world!", VECTOR_AT, False),
        (VECTOR_URL, b"", VECTOR_AT, False),
        (VECTOR_URL, b"Hello, World!", VECTOR_AT + timedelta(hours=1), False),
        (VECTOR_URL, b"Hello, World!", VECTOR_AT - timedelta(hours=1), False),
    ],
    ids=["good", "query in another order", "another body", "no body", "late", "early"],
)
def test_messagebirds_own_vector_is_judged_as_by_its_libraries(
    url: str, body: bytes, at: datetime, is_good: bool
) -> None:
    request = receipt_request(body, url=url, headers={"messagebird-signature-jwt": VECTOR_TOKEN}, at=at)

    if is_good:
        sms_reader(table()).verify(request)
    else:
        with pytest.raises(SignatureError):
            sms_reader(table()).verify(request)


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("body", [b"", b'{"id": "m-1"}'])
def test_what_we_sign_in_tests_messagebirds_library_believes_too(algorithm: str, body: bytes) -> None:
    request = signed(report(), body=body, algorithm=algorithm)

    sms_reader(table()).verify(request)
    with time_machine.travel(NOW, tick=False):
        RequestValidator(KEY).validate_signature(request.headers["messagebird-signature-jwt"], request.url, body)


def test_while_a_key_is_changed_both_are_believed() -> None:
    both = sms_reader(table(f'["{KEY[::-1]}", "{KEY}"]'))

    both.verify(signed(report(), key=KEY))
    both.verify(signed(report(), key=KEY[::-1]))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": KEY[::-1]},
        {"iss": "Another"},
        {"iss": None},
        {"nbf": None},
        {"exp": None},
        {"url_hash": None},
        {"url_hash": hashlib.sha256(b"https://other.example/").hexdigest()},
        {"payload_hash": hashlib.sha256(b"x").hexdigest()},
        {"payload_hash": hashlib.sha256(b"").hexdigest()},
        {"exp": int(NOW.timestamp()) - 301},
        {"nbf": int(NOW.timestamp()) + 301},
        {"nbf": {}},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_messagebird_did_not_sign_is_refused(changes: Mapping[str, Any]) -> None:
    with pytest.raises(SignatureError) as caught:
        sms_reader(table()).verify(signed(report(), **changes))

    assert KEY not in str(caught.value)


def test_a_body_that_the_token_does_not_name_is_refused() -> None:
    with pytest.raises(SignatureError):
        sms_reader(table()).verify(signed(report(), body=b"{}", payload_hash=None))


def test_without_a_key_or_a_token_nothing_is_believed() -> None:
    with pytest.raises(SignatureError, match="no signing_key"):
        sms_reader('type = "messagebird"\naccess_key = "a"\nsender = "Bank"').verify(signed(report()))
    for headers in ({}, {"messagebird-signature-jwt": ""}, {"messagebird-signature-jwt": "a.b.c"}):
        with pytest.raises(SignatureError):
            sms_reader(table()).verify(receipt_request(headers=headers, method="GET"))
    unsigned = jwt.encode({"iss": "MessageBird"}, None, "none")
    with pytest.raises(SignatureError):
        sms_reader(table()).verify(receipt_request(headers={"messagebird-signature-jwt": unsigned}, method="GET"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("scheduled", ReceiptKind.PROGRESS),
        ("sent", ReceiptKind.PROGRESS),
        ("buffered", ReceiptKind.PROGRESS),
        ("delivered", ReceiptKind.DELIVERED),
        ("expired", ReceiptKind.FAILED),
        ("delivery_failed", ReceiptKind.FAILED),
    ],
)
def test_a_status_is_a_receipt_of_our_job(status: str, kind: ReceiptKind) -> None:
    [receipt] = sms_reader(table()).read(signed(report(status))).receipts

    assert receipt == Receipt(
        event_id=f"e8077d803532c0b5937c639b60216938:{status}:0",
        kind=kind,
        is_routine=status == "sent",
        job_id="job-1",
        message_id="e8077d803532c0b5937c639b60216938",
        at=NOW - timedelta(seconds=2),
        code=status,
        recipient="+12025550143",
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("unknown subscriber", Reason.RECIPIENT_INVALID),
        ("opted out", Reason.RECIPIENT_OPTED_OUT),
        ("unavailable subscriber", None),
    ],
)
def test_a_reason_says_whether_the_number_can_ever_be_reached(said: str, reason: Reason | None) -> None:
    fields = report("delivery_failed", statusReason=said, statusErrorCode="1")

    [receipt] = sms_reader(table()).read(signed(fields)).receipts

    assert (receipt.code, receipt.reason) == ("messagebird_1", reason)


def test_a_message_to_our_number_is_inbound_in_whatever_form_it_comes() -> None:
    fields = {
        "id": "m-1",
        "originator": "12025550143",
        "recipient": "15005550006",
        "body": "STOP",
        "createdDatetime": "2026-11-22T12:00:00Z",
    }
    requests = [
        signed(fields),
        signed(body=json.dumps(fields).encode()),
        signed(body=urlencode(fields).encode()),
    ]

    for request in requests:
        found = sms_reader(table())
        found.verify(request)
        assert found.read(request).inbound == (
            InboundMessage(event_id="m-1", sender="12025550143", to="15005550006", text="STOP", at=NOW),
        )


@pytest.mark.parametrize(
    "request_",
    [
        receipt_request(method="GET"),
        receipt_request(url=f"{URL}?id=1&status=lost", method="GET"),
        receipt_request(b"\xff"),
        receipt_request(b"{"),
        receipt_request(b'{"id": "1"}'),
    ],
    ids=str,
)
def test_what_can_not_be_understood_is_unreadable(request_: ReceiptRequest) -> None:
    with pytest.raises(UnreadableReceiptError):
        sms_reader(table()).read(request_)
