"""What End User Messaging publishes to a topic: believed by SNS's signature, and read as AWS's pages say."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.receipt_requests import NOW, receipt_request, sms_reader
from tests.sns_signer import CERTIFICATE_URL, TOPIC, SnsSigner
from wavecom.core.job import Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)
from wavecom.providers.receipts import ReceiptReader
from wavecom.providers.receipts.sns import KINDS

SIGNER = SnsSigner(NOW)


def fetch(url: str, *, ca_file: str | None = None) -> bytes:
    assert url == CERTIFICATE_URL
    return SIGNER.pem


def made(topics: str = f'["{TOPIC}"]') -> ReceiptReader:
    table = f"""
        type = "sns"
        region = "eu-west-1"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "s"
        api = "end_user_messaging"
        configuration_set = "wavecom"
        topic_arns = {topics}
    """
    return sms_reader(table, fetch)


def event(event_type: str, **fields: object) -> str:
    """The example of https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html."""
    content = {
        "eventType": event_type,
        "eventVersion": "1.0",
        "eventTimestamp": int(NOW.timestamp() * 1000) - 2500,
        "isFinal": True,
        "originationPhoneNumber": "+12065550152",
        "destinationPhoneNumber": "+12025550143",
        "messageId": "862a8790-60c0-4430-9b2b-658bd0000000",
        "messageStatus": "SUCCESSFUL",
        "context": {"jobId": "job-1"},
        "totalMessageParts": 1,
    }
    return json.dumps(content | fields)


def published(text: str, **changes: str) -> ReceiptRequest:
    return receipt_request(SIGNER.body(text, **changes), headers={"content-type": "text/plain; charset=UTF-8"})


def read(text: str) -> Receipt:
    request, found = published(text), made()
    found.verify(request)
    [receipt] = found.read(request).receipts
    return receipt


@pytest.mark.parametrize("event_type", KINDS)
def test_an_event_is_a_receipt_of_our_job(event_type: str) -> None:
    receipt = read(event(event_type, isFinal=False))

    assert receipt.kind is KINDS[event_type]
    assert (receipt.event_id, receipt.job_id) == (f"862a8790-60c0-4430-9b2b-658bd0000000:{event_type}", "job-1")
    assert (receipt.message_id, receipt.code) == ("862a8790-60c0-4430-9b2b-658bd0000000", event_type)
    assert receipt.recipient == "+12025550143"
    assert receipt.at is not None
    assert (NOW - receipt.at).total_seconds() == 2.5


@pytest.mark.parametrize(("is_final", "kind"), [(True, ReceiptKind.DELIVERED), (False, ReceiptKind.PROGRESS)])
def test_a_success_counts_as_delivered_where_nothing_more_will_be_said(is_final: bool, kind: ReceiptKind) -> None:
    assert read(event("TEXT_SUCCESSFUL", isFinal=is_final)).kind is kind


@pytest.mark.parametrize(
    ("event_type", "kind", "reason"),
    [
        ("TEXT_INVALID", ReceiptKind.FAILED, Reason.RECIPIENT_INVALID),
        ("TEXT_UNREACHABLE", ReceiptKind.FAILED, None),
        ("TEXT_BLOCKED", ReceiptKind.FAILED, None),
        ("TEXT_DELIVERED", ReceiptKind.DELIVERED, None),
        ("TEXT_UNKNOWN", ReceiptKind.PROGRESS, None),
    ],
)
def test_an_invalid_number_can_never_be_reached(event_type: str, kind: ReceiptKind, reason: Reason | None) -> None:
    receipt = read(event(event_type))

    assert (receipt.kind, receipt.reason) == (kind, reason)


@pytest.mark.parametrize("context", [None, {}, {"jobId": 5}, "job-1"])
def test_without_our_job_an_event_is_found_by_awss_id(context: object) -> None:
    assert read(event("TEXT_DELIVERED", context=context)).job_id is None


def test_a_message_to_our_number_is_inbound() -> None:
    content = {
        "originationNumber": "+12025550143",
        "destinationNumber": "+12125550101",
        "messageKeyword": "JOIN",
        "messageBody": "STOP",
        "inboundMessageId": "cae173d2-66b9-564c-8309-21f858e9fb84",
    }

    batch = made().read(published(json.dumps(content)))

    [inbound] = batch.inbound
    assert inbound == InboundMessage(
        event_id="cae173d2-66b9-564c-8309-21f858e9fb84", sender="+12025550143", to="+12125550101", text="STOP"
    )


def test_a_subscription_is_confirmed_for_a_topic_of_ours() -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    request, found = published("…", Type="SubscriptionConfirmation", Token="t", SubscribeURL=url), made()
    found.verify(request)

    batch = found.read(request)

    assert (batch.confirm_url, batch.receipts) == (url, ())


@pytest.mark.parametrize("topics", ["[]", '["arn:aws:sns:eu-west-1:123456789012:other"]'])
def test_a_topic_that_is_not_ours_is_refused(topics: str) -> None:
    with pytest.raises(SignatureError, match="topic"):
        made(topics).verify(published(event("TEXT_DELIVERED")))


def test_what_sns_did_not_sign_is_refused() -> None:
    good = published(event("TEXT_FAILED"))

    with pytest.raises(SignatureError):
        made().verify(receipt_request(good.body.replace(b"TEXT_FAILED", b"TEXT_DELIVERED")))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"eventType": [], "messageId": "m"}',
        '{"eventType": "TEXT_LOST", "messageId": "m"}',
        '{"eventType": "TEXT_DELIVERED"}',
    ],
)
def test_what_can_not_be_understood_is_unreadable(text: str) -> None:
    with pytest.raises(UnreadableReceiptError):
        made().read(published(text))


@pytest.mark.parametrize("fields", [{"eventTimestamp": "now"}, {"eventTimestamp": 10**30}, {"eventTimestamp": None}])
def test_a_time_that_is_none_is_left_out(fields: Mapping[str, object]) -> None:
    assert read(event("TEXT_DELIVERED", **fields)).at is None
