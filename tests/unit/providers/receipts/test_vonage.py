"""Vonage's webhooks: believed when Vonage's own library would believe them, and read as its pages say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from vonage_http_client.auth import Auth
from vonage_jwt import verify_signature

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

SECRET = "abcdefghijklmnopqrstuvwxyz0123456789"
METHODS = ("md5", "sha1", "sha256", "sha512")


def table(method: str = "sha256", secret: str = f'"{SECRET}"') -> str:
    return (
        'type = "vonage"\napi_key = "abcd1234"\napi_secret = "s"\nsender = "Bank"\n'
        f'signature_secret = {secret}\nsignature_method = "{method}"'
    )


def receipt_fields(status: str = "delivered", code: str = "0", **fields: str) -> dict[str, str]:
    """The example of Vonage's description of its API, with our reference."""
    return {
        "msisdn": "12025550143",
        "to": "Bank",
        "network-code": "12345",
        "messageId": "0A0000001234567B",
        "price": "0.03330000",
        "status": status,
        "scts": "2611221200",
        "err-code": code,
        "api-key": "abcd1234",
        "message-timestamp": "2026-11-22 11:59:58",
        "timestamp": str(int(NOW.timestamp())),
        "nonce": "ec11dd3e-1e7f-4db5-9467-82b02cd223b9",
        "client-ref": "job-1",
    } | fields


def sign(fields: Mapping[str, str], method: str = "sha256", secret: str = SECRET) -> dict[str, str]:
    """By Vonage's library; its MD5 without HMAC, which that no longer makes, by its documentation."""
    if method == "md5hash":
        values = {name: value.replace("&", "_").replace("=", "_") for name, value in fields.items()}
        text = "".join(f"&{name}={values[name]}" for name in sorted(values)) + secret
        return {**fields, "sig": hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}
    auth = Auth(api_key="abcd1234", signature_secret=secret, signature_method=method)
    return {**fields, "sig": auth.sign_params(dict(fields)).upper()}


def as_form(fields: Mapping[str, str]) -> ReceiptRequest:
    return receipt_request(urlencode(fields).encode())


def as_json(fields: Mapping[str, object]) -> ReceiptRequest:
    return receipt_request(json.dumps(fields).encode(), headers={"content-type": "application/json"})


def as_query(fields: Mapping[str, str]) -> ReceiptRequest:
    return receipt_request(url=f"{URL}?{urlencode(fields)}", method="GET")


def with_token(content: Mapping[str, object], secret: str = SECRET, **changes: Any) -> ReceiptRequest:
    """As the Messages API signs: https://developer.vonage.com/en/getting-started/concepts/webhooks."""
    body = json.dumps(content).encode()
    claims = {
        "iat": int(NOW.timestamp()),
        "jti": "c5ba8f24-1a14-4c10-bfdf-3fbe8ce511b5",
        "iss": "Vonage",
        "payload_hash": hashlib.sha256(body).hexdigest(),
        "api_key": "abcd1234",
    } | changes
    token = jwt.encode({name: claim for name, claim in claims.items() if claim is not None}, secret, "HS256")
    return receipt_request(body, headers={"authorization": f"Bearer {token}"})


@pytest.mark.parametrize("method", ["md5hash", *METHODS])
@pytest.mark.parametrize("way", [as_form, as_json, as_query])
def test_each_signature_method_is_believed_however_it_comes(method: str, way: Any) -> None:
    request = way(sign(receipt_fields(text="a & b = c, ä"), method))

    sms_reader(table(method)).verify(request)


@pytest.mark.parametrize("method", METHODS)
def test_vonages_library_would_believe_it_too(method: str) -> None:
    fields = sign(receipt_fields(), method)

    assert Auth(api_key="abcd1234", signature_secret=SECRET, signature_method=method).check_signature(dict(fields))
    sms_reader(table(method)).verify(as_form(fields))


@pytest.mark.parametrize("way", [as_form, as_json, as_query])
@pytest.mark.parametrize(
    "changes",
    [{"status": "failed"}, {"client-ref": "job-2"}, {"sig": ""}, {"sig": "0" * 64}, {"more": "1"}],
    ids=["status", "job", "no signature", "wrong signature", "another field"],
)
def test_what_vonage_did_not_sign_is_refused(way: Any, changes: Mapping[str, str]) -> None:
    with pytest.raises(SignatureError) as caught:
        sms_reader(table()).verify(way(sign(receipt_fields()) | changes))

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("signed_with", ["md5hash", "md5", "sha512"])
def test_another_method_than_the_configured_one_is_refused(signed_with: str) -> None:
    with pytest.raises(SignatureError):
        sms_reader(table("sha256")).verify(as_form(sign(receipt_fields(), signed_with)))


@pytest.mark.parametrize("seconds", [-86_701, 301, 10**12])
def test_an_old_request_is_refused_and_so_is_one_of_the_future(seconds: int) -> None:
    at = str(int(NOW.timestamp()) + seconds)

    with pytest.raises(SignatureError, match=r"too old|no time"):
        sms_reader(table()).verify(as_form(sign(receipt_fields(timestamp=at))))
    sms_reader(table()).verify(as_form(sign(receipt_fields(timestamp=str(int(NOW.timestamp()) - 86_699)))))


def test_a_token_is_believed_as_long_as_vonage_repeats_it() -> None:
    sms_reader(table()).verify(with_token({"message_uuid": "m-1"}, iat=int(NOW.timestamp()) - 86_699))


def test_while_a_secret_is_changed_both_are_believed() -> None:
    new = SECRET[::-1]
    both = sms_reader(table(secret=f'["{new}", "{SECRET}"]'))

    for secret in (new, SECRET):
        both.verify(as_form(sign(receipt_fields(), secret=secret)))
        both.verify(with_token({"message_uuid": "m-1"}, secret))


def test_without_a_secret_nothing_is_believed() -> None:
    none = sms_reader('type = "vonage"\napi_key = "abcd1234"\napi_secret = "s"\nsender = "Bank"')

    for request in (as_form(sign(receipt_fields())), with_token({"message_uuid": "m-1"})):
        with pytest.raises(SignatureError, match="no signature_secret"):
            none.verify(request)


def test_a_name_that_stands_twice_is_refused_for_it_has_two_meanings() -> None:
    request = as_form(sign(receipt_fields()))

    with pytest.raises(SignatureError):
        sms_reader(table()).verify(receipt_request(request.body + b"&status=failed"))


def test_a_token_is_believed_as_vonages_library_does() -> None:
    request = with_token({"message_uuid": "m-1", "status": "delivered"})

    sms_reader(table()).verify(request)
    assert verify_signature(request.headers["authorization"].removeprefix("Bearer "), SECRET)


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
def test_a_secret_that_vonage_made_short_will_do() -> None:
    request = with_token({"message_uuid": "m-1"}, "short-secret")

    sms_reader(table(secret='"short-secret"')).verify(request)


@pytest.mark.parametrize(
    "changes",
    [
        {"payload_hash": "0" * 64},
        {"payload_hash": None},
        {"iss": "Another"},
        {"api_key": "other"},
        {"api_key": None},
        {"iat": int(NOW.timestamp()) - 86_701},
        {"iat": int(NOW.timestamp()) + 301},
        {"iat": None},
        {"iat": "soon"},
    ],
    ids=str,
)
def test_a_token_of_something_else_is_refused(changes: Mapping[str, Any]) -> None:
    with pytest.raises(SignatureError):
        sms_reader(table()).verify(with_token({"message_uuid": "m-1"}, **changes))


def test_a_token_signed_with_another_secret_or_not_at_all_is_refused() -> None:
    unsigned = jwt.encode({"iss": "Vonage", "iat": int(NOW.timestamp())}, None, "none")

    with pytest.raises(SignatureError, match="another secret"):
        sms_reader(table()).verify(with_token({"message_uuid": "m-1"}, SECRET[::-1]))
    for token in (unsigned, "", "a.b.c", "." * 9, "[" * 100_000):
        request = receipt_request(b"{}", headers={"authorization": f"Bearer {token}"})
        with pytest.raises(SignatureError):
            sms_reader(table()).verify(request)


def test_a_token_says_nothing_of_an_address_without_a_body() -> None:
    token = with_token({}).headers["authorization"]

    with pytest.raises(SignatureError, match="there is none"):
        sms_reader(table()).verify(
            receipt_request(url=f"{URL}?status=delivered", method="GET", headers={"authorization": token})
        )


def test_the_token_of_a_body_says_nothing_of_an_address_that_is_called_with_both() -> None:
    signed = with_token({"message_uuid": "m-1", "status": "delivered"})
    forged = receipt_request(
        signed.body, url=f"{URL}?messageId=m-1&status=failed", method="GET", headers=signed.headers
    )

    with pytest.raises(SignatureError):
        sms_reader(table()).verify(forged)


@pytest.mark.parametrize("way", [as_form, as_json, as_query])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("accepted", ReceiptKind.PROGRESS),
        ("submitted", ReceiptKind.PROGRESS),
        ("buffered", ReceiptKind.PROGRESS),
        ("unknown", ReceiptKind.PROGRESS),
        ("delivered", ReceiptKind.DELIVERED),
        ("expired", ReceiptKind.FAILED),
        ("failed", ReceiptKind.FAILED),
        ("rejected", ReceiptKind.FAILED),
    ],
)
def test_a_status_is_a_receipt_of_our_job(way: Any, status: str, kind: ReceiptKind) -> None:
    [receipt] = sms_reader(table()).read(way(receipt_fields(status))).receipts

    assert receipt == Receipt(
        event_id=f"0A0000001234567B:{status}:0",
        kind=kind,
        is_routine=status in {"accepted", "submitted"},
        job_id="job-1",
        message_id="0A0000001234567B",
        at=NOW - timedelta(seconds=2),
        code=status,
        recipient="+12025550143",
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("3", Reason.RECIPIENT_GONE),
        ("4", Reason.RECIPIENT_INVALID),
        ("9", Reason.RECIPIENT_OPTED_OUT),
        ("2", None),
        ("99", None),
    ],
)
def test_an_error_code_says_whether_the_number_can_ever_be_reached(code: str, reason: Reason | None) -> None:
    [receipt] = sms_reader(table()).read(as_json(receipt_fields("failed", code))).receipts

    assert (receipt.code, receipt.reason) == (f"vonage_{code}", reason)


def test_a_receipt_of_the_messages_api_is_read_too() -> None:
    content = {
        "message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab",
        "to": "12025550143",
        "from": "Bank",
        "timestamp": "2026-11-22T12:00:00.000Z",
        "status": "undeliverable",
        "client_ref": "job-1",
        "error": {"type": "https://developer.vonage.com/api-errors/messages#1300", "title": 1300},
        "channel": "sms",
    }

    [receipt] = sms_reader(table()).read(as_json(content)).receipts

    assert (receipt.kind, receipt.job_id, receipt.at) == (ReceiptKind.FAILED, "job-1", NOW)
    assert receipt.recipient == "+12025550143"


@pytest.mark.parametrize(
    "content",
    [
        {"msisdn": "12025550143", "to": "15005550006", "messageId": "m-1", "text": "STOP", "type": "text"},
        {"from": "12025550143", "to": "15005550006", "message_uuid": "m-1", "text": "STOP", "channel": "sms"},
    ],
    ids=["SMS API", "Messages API"],
)
def test_a_message_to_our_number_is_inbound(content: Mapping[str, object]) -> None:
    content = {**content, "message-timestamp": "2026-11-22T13:00:00+01:00"}

    batch = sms_reader(table()).read(as_json(content))

    at = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert batch.inbound == (
        InboundMessage(event_id="m-1", sender="12025550143", to="15005550006", text="STOP", at=at),
    )


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"{", b"[]", b"{}", b'{"messageId": "m"}', b"messageId=m&status=lost", b"a=%ff"]
)
def test_what_can_not_be_understood_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableReceiptError):
        sms_reader(table()).read(receipt_request(body))
