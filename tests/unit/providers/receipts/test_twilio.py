"""Twilio's callbacks: believed when Twilio's own validator would believe them, and read as its pages say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from tests.receipt_requests import PUBLIC_URL as URL
from tests.receipt_requests import receipt_request, sms_reader
from wavecom.core.job import Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)

TOKEN = "t0ken"
TABLE = f'type = "twilio"\naccount_sid = "AC0"\nauth_token = "{TOKEN}"\nsender = "+15005550006"'
SID = "SM" + "1" * 32
CALLBACK = f"{URL}?job=job-1"

#: The example of https://www.twilio.com/docs/usage/security#validating-requests.
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"
EXAMPLE = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675310",
    "Digits": "1234",
    "From": "+14158675310",
    "To": "+18005551212",
}


def signed(
    fields: Mapping[str, str], url: str = CALLBACK, *, token: str = TOKEN, signed_url: str | None = None
) -> ReceiptRequest:
    """As Twilio sends a form, signed by its own library."""
    signature = RequestValidator(token).compute_signature(signed_url or url, fields)
    return receipt_request(urlencode(fields).encode(), url=url, headers={"x-twilio-signature": signature})


def status(name: str, **fields: str) -> dict[str, str]:
    return {
        "SmsSid": SID,
        "SmsStatus": name,
        "MessageStatus": name,
        "To": "+12025550143",
        "MessageSid": SID,
        "AccountSid": "AC0",
        "From": "+15005550006",
        "ApiVersion": "2010-04-01",
    } | fields


def read(request: ReceiptRequest) -> Receipt:
    found = sms_reader(TABLE)
    found.verify(request)
    [receipt] = found.read(request).receipts
    return receipt


def test_the_example_of_twilios_page_is_believed() -> None:
    token = "12345"
    headers = {"x-twilio-signature": RequestValidator(token).compute_signature(EXAMPLE_URL, EXAMPLE)}
    request = receipt_request(urlencode(EXAMPLE).encode(), url=EXAMPLE_URL, headers=headers)

    sms_reader(TABLE.replace(TOKEN, token)).verify(request)


@pytest.mark.parametrize(
    ("called", "signed_as"),
    [
        ("https://notify.bank.example/receipts/it?job=1", "https://notify.bank.example:443/receipts/it?job=1"),
        ("https://notify.bank.example:443/receipts/it?job=1", "https://notify.bank.example/receipts/it?job=1"),
        ("https://notify.bank.example:8443/receipts/it", "https://notify.bank.example:8443/receipts/it"),
        ("http://127.0.0.1:80/receipts/it", "http://127.0.0.1/receipts/it"),
    ],
)
def test_an_address_may_be_signed_with_its_port_or_without(called: str, signed_as: str) -> None:
    request = signed(status("sent"), called, signed_url=signed_as)

    sms_reader(TABLE).verify(request)

    assert RequestValidator(TOKEN).validate(called, status("sent"), request.headers["x-twilio-signature"])


@pytest.mark.parametrize("fields", [{"Body": ""}, {"Body": "ä & = + \n", "From": "+1"}, {"b": "2", "B": "1"}])
def test_what_twilios_validator_signs_is_believed_whatever_the_fields_hold(fields: Mapping[str, str]) -> None:
    sms_reader(TABLE).verify(signed(fields))


def test_while_a_token_is_changed_both_are_believed() -> None:
    both = sms_reader(TABLE.replace(f'"{TOKEN}"', f'["new", "{TOKEN}"]'))

    both.verify(signed(status("sent"), token="new"))
    both.verify(signed(status("sent"), token=TOKEN))
    with pytest.raises(SignatureError):
        both.verify(signed(status("sent"), token="another"))


@pytest.mark.parametrize(
    "request_",
    [
        receipt_request(urlencode(status("delivered")).encode(), url=CALLBACK),
        signed(status("delivered"), token="another"),
        signed(status("delivered"), signed_url=f"{URL}?job=job-2"),
        signed(status("delivered"), signed_url="https://other.example/receipts/it?job=job-1"),
        receipt_request(b"", url=CALLBACK, headers={"x-twilio-signature": "\xe9"}),
    ],
    ids=["no signature", "another token", "another job", "another host", "no text"],
)
def test_what_twilio_did_not_sign_is_refused(request_: ReceiptRequest) -> None:
    with pytest.raises(SignatureError) as caught:
        sms_reader(TABLE).verify(request_)

    assert TOKEN not in str(caught.value)


def test_a_field_that_was_changed_or_added_is_refused() -> None:
    good = signed(status("failed"))

    for body in (good.body.replace(b"failed", b"delivered"), good.body + b"&More=1"):
        with pytest.raises(SignatureError):
            sms_reader(TABLE).verify(receipt_request(body, url=CALLBACK, headers=good.headers))


def test_a_body_that_is_no_form_is_believed_by_its_hash_alone() -> None:
    body = b'{"MessageSid": "SM1"}'
    url = f"{URL}?job=job-1&bodySHA256={hashlib.sha256(body).hexdigest()}"
    headers = {"x-twilio-signature": RequestValidator(TOKEN).compute_signature(url, {})}

    sms_reader(TABLE).verify(receipt_request(body, url=url, headers=headers))
    assert RequestValidator(TOKEN).validate(url, body.decode(), headers["x-twilio-signature"])

    with pytest.raises(SignatureError):
        sms_reader(TABLE).verify(receipt_request(body + b" ", url=url, headers=headers))
    without = {"x-twilio-signature": RequestValidator(TOKEN).compute_signature(URL, {})}
    with pytest.raises(SignatureError):
        sms_reader(TABLE).verify(receipt_request(body, headers=without))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("accepted", ReceiptKind.PROGRESS),
        ("scheduled", ReceiptKind.PROGRESS),
        ("queued", ReceiptKind.PROGRESS),
        ("sending", ReceiptKind.PROGRESS),
        ("sent", ReceiptKind.PROGRESS),
        ("delivered", ReceiptKind.DELIVERED),
        ("read", ReceiptKind.DELIVERED),
        ("undelivered", ReceiptKind.FAILED),
        ("failed", ReceiptKind.FAILED),
        ("canceled", ReceiptKind.FAILED),
    ],
)
def test_a_status_is_a_receipt_of_our_job(name: str, kind: ReceiptKind) -> None:
    receipt = read(signed(status(name)))

    assert receipt == Receipt(
        event_id=f"{SID}:{name}",
        kind=kind,
        is_routine=name in {"accepted", "queued", "sending", "sent"},
        job_id="job-1",
        message_id=SID,
        code=name,
        recipient="+12025550143",
    )


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("21610", Reason.RECIPIENT_OPTED_OUT),
        ("30005", Reason.RECIPIENT_INVALID),
        ("30006", Reason.RECIPIENT_INVALID),
        ("30003", None),
        ("30004", None),
        ("30008", None),
    ],
)
def test_an_error_code_says_whether_the_number_can_ever_be_reached(code: str, reason: Reason | None) -> None:
    receipt = read(signed(status("undelivered", ErrorCode=code)))

    assert (receipt.code, receipt.reason) == (f"twilio_{code}", reason)


def test_without_our_job_in_the_address_a_receipt_is_found_by_twilios_id() -> None:
    receipt = read(signed(status("delivered"), URL))

    assert (receipt.job_id, receipt.message_id) == (None, SID)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"Body": "Stop it", "SmsStatus": "received"}, "Stop it"),
        ({"Body": "BASTA", "OptOutType": "STOP", "SmsStatus": "received"}, "STOP"),
        ({"Body": ""}, ""),
    ],
)
def test_a_message_to_our_number_is_inbound(fields: Mapping[str, str], text: str) -> None:
    request = signed({"MessageSid": SID, "From": "+12025550143", "To": "+15005550006"} | fields, URL)
    found = sms_reader(TABLE)
    found.verify(request)

    batch = found.read(request)

    assert batch.receipts == ()
    assert batch.inbound == (InboundMessage(event_id=SID, sender="+12025550143", to="+15005550006", text=text),)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"MessageStatus=delivered", b"MessageSid=SM1&MessageStatus=lost", b'{"MessageSid": "SM1"}']
)
def test_what_can_not_be_understood_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableReceiptError):
        sms_reader(TABLE).read(receipt_request(body))
