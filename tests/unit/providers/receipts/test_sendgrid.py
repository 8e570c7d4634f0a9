"""Receipts of SendGrid, with its own library as the judge of signatures."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sendgrid.helpers.eventwebhook import EventWebhook

from tests.receipt_requests import NOW, only_receipt, posted, reader_of
from wavecom.core.job import Reason
from wavecom.core.receipts import ReceiptKind, ReceiptRequest, SignatureError, UnreadableReceiptError
from wavecom.errors import ProvidersFileError
from wavecom.providers.receipts import ReceiptReader

KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def public(key: ec.EllipticCurvePrivateKey) -> str:
    return b64encode(key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def table(*keys: str) -> str:
    return f'type = "sendgrid"\napi_key = "k"\nsender = "bank@example.org"\nwebhook_public_key = {json.dumps(keys)}'


def signed(content: Any, key: ec.EllipticCurvePrivateKey = KEY, at: datetime = NOW) -> ReceiptRequest:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    timestamp = str(int(at.timestamp()))
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {
        "x-twilio-email-event-webhook-timestamp": timestamp,
        "x-twilio-email-event-webhook-signature": b64encode(signature).decode(),
    }
    return posted(body, headers)


def event(word: str, **more: Any) -> dict[str, Any]:
    return {
        "email": "ada@example.org",
        "event": word,
        "sg_event_id": f"id-{word}",
        "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        "timestamp": int(NOW.timestamp()),
        "wavecom_job_id": "job-1",
    } | more


@pytest.fixture
def reader() -> ReceiptReader:
    return reader_of(table(public(KEY)))


# --- Signatures ---------------------------------------------------------------------------------------------------


def test_what_sendgrids_library_holds_for_signed_is_verified() -> None:
    # The example that the library is tested with: a key, and what SendGrid signed with it.
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8"
        "eNEc6wEA3F+g=="
    )
    signature = "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM="
    body = (
        b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
        b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
        b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
        b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>","timestamp":1600112492}]\r\n'
    )
    headers = {
        "x-twilio-email-event-webhook-timestamp": "1600112502",
        "x-twilio-email-event-webhook-signature": signature,
    }
    reader = reader_of(table(key))
    request = posted(body, headers, datetime.fromtimestamp(1600112502, UTC))

    reader.verify(request)

    receipt = only_receipt(reader, request)
    assert (receipt.kind, receipt.reason) == (ReceiptKind.FAILED, Reason.RECIPIENT_INVALID)
    assert receipt.message_id == "LRzXl_NHStOGhQ4kofSm_A"


def test_sendgrids_library_verifies_what_the_tests_sign() -> None:
    request = signed([event("delivered")])

    judge = EventWebhook(public(KEY))

    assert judge.verify_signature(
        request.body.decode(),
        request.headers["x-twilio-email-event-webhook-signature"],
        request.headers["x-twilio-email-event-webhook-timestamp"],
    )


def test_two_keys_are_valid_at_once() -> None:
    reader = reader_of(table(public(KEY), public(OTHER)))

    for key in (KEY, OTHER):
        reader.verify(signed([], key))


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (signed([], OTHER), "fits none"),
        (posted([]), "time is missing"),
        (signed([], at=NOW - timedelta(hours=24, minutes=6)), "too far"),
        (signed([], at=NOW + timedelta(minutes=6)), "too far"),
        (posted(b"[1]", signed([]).headers), "fits none"),
        (
            posted([], signed([]).headers | {"x-twilio-email-event-webhook-signature": "ü"}),
            "not base64",
        ),
        (posted([], signed([]).headers | {"x-twilio-email-event-webhook-signature": "AAAA"}), "fits none"),
        (posted([], signed([]).headers | {"x-twilio-email-event-webhook-timestamp": "soon"}), "time"),
        (posted([], signed([]).headers | {"x-twilio-email-event-webhook-timestamp": "9" * 40}), "time"),
    ],
)
def test_what_is_not_signed_of_late_is_refused(reader: ReceiptReader, request_: ReceiptRequest, said: str) -> None:
    with pytest.raises(SignatureError, match=said):
        reader.verify(request_)


def test_a_key_that_is_none_is_told_when_the_file_is_read() -> None:
    with pytest.raises(ProvidersFileError) as caught:
        reader_of(table("AAAA"))

    [problem] = caught.value.problems
    assert "webhook_public_key" in problem.message
    assert "verification key" in problem.message


# --- Events -------------------------------------------------------------------------------------------------------

INVALID, OPTED_OUT = Reason.RECIPIENT_INVALID, Reason.RECIPIENT_OPTED_OUT


@pytest.mark.parametrize(
    ("word", "more", "kind", "reason"),
    [
        ("processed", {}, ReceiptKind.PROGRESS, None),
        ("deferred", {"response": "450 later"}, ReceiptKind.PROGRESS, None),
        ("delivered", {}, ReceiptKind.DELIVERED, None),
        ("bounce", {"type": "bounce", "status": "5.1.1"}, ReceiptKind.FAILED, INVALID),
        ("bounce", {"type": "bounce", "bounce_classification": "Invalid Address"}, ReceiptKind.FAILED, INVALID),
        ("bounce", {"type": "bounce", "bounce_classification": "Reputation"}, ReceiptKind.FAILED, None),
        ("bounce", {"type": "bounce", "bounce_classification": "Content"}, ReceiptKind.FAILED, None),
        ("bounce", {"type": "blocked"}, ReceiptKind.FAILED, None),
        ("dropped", {"reason": "Bounced Address"}, ReceiptKind.FAILED, INVALID),
        ("dropped", {"reason": "Invalid"}, ReceiptKind.FAILED, INVALID),
        ("dropped", {"reason": "Unsubscribed Address"}, ReceiptKind.FAILED, OPTED_OUT),
        ("dropped", {"reason": "Spam Reporting Address"}, ReceiptKind.FAILED, OPTED_OUT),
        ("dropped", {"reason": "Recipient List over Package Quota"}, ReceiptKind.FAILED, None),
        ("spamreport", {}, ReceiptKind.COMPLAINT, OPTED_OUT),
        ("unsubscribe", {}, ReceiptKind.UNSUBSCRIBED, OPTED_OUT),
        ("group_unsubscribe", {"asm_group_id": 1}, ReceiptKind.UNSUBSCRIBED, OPTED_OUT),
    ],
)
def test_each_event_means_what_sendgrid_says(
    reader: ReceiptReader, word: str, more: dict[str, Any], kind: ReceiptKind, reason: Reason | None
) -> None:
    receipt = only_receipt(reader, signed([event(word, **more)]))

    assert (receipt.kind, receipt.reason) == (kind, reason)
    assert receipt.is_routine == (word == "processed")
    assert (receipt.event_id, receipt.job_id, receipt.message_id) == (f"id-{word}", "job-1", "14c5d75ce93")
    assert (receipt.at, receipt.code, receipt.recipient) == (NOW, word, "ada@example.org")
    assert "ada" not in repr(receipt)


def test_a_batch_of_a_thousand_events_is_read_at_once(reader: ReceiptReader) -> None:
    events = [event("delivered", sg_event_id=str(number)) for number in range(1000)]

    batch = reader.read(signed(events))

    assert [receipt.event_id for receipt in batch.receipts] == [str(number) for number in range(1000)]


def test_what_readers_do_is_left_out_and_what_nobody_knows_is_counted(reader: ReceiptReader) -> None:
    events = [event("open"), event("click"), event("delivered"), event("odd"), event("bounce", sg_event_id=None), 7]

    batch = reader.read(signed(events))

    assert [receipt.kind for receipt in batch.receipts] == [ReceiptKind.DELIVERED]
    assert batch.unreadable == 3


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b"7", b"\xff"])
def test_what_is_no_list_of_events_is_told(reader: ReceiptReader, body: bytes) -> None:
    with pytest.raises(UnreadableReceiptError):
        reader.read(signed(body))


def test_the_longest_address_is_read_whole(reader: ReceiptReader) -> None:
    longest = f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 61}"
    assert len(longest) == 254  # RFC 5321, section 4.5.3.1.3

    assert only_receipt(reader, signed([event("bounce", email=longest)])).recipient == longest


def test_a_repetition_that_was_signed_the_first_time_is_verified(reader: ReceiptReader) -> None:
    reader.verify(signed([event("bounce")], at=NOW - timedelta(hours=23)))
