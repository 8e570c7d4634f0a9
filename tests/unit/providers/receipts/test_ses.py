"""Receipts of SES, which SNS signs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.receipt_requests import NOW, only_receipt, posted, reader_of
from tests.sns_signer import TOPIC, SnsSigner
from wavecom.core.job import Reason
from wavecom.core.receipts import ReceiptBatch, ReceiptKind, SignatureError, UnreadableReceiptError
from wavecom.providers.receipts import ReceiptReader

SIGNER = SnsSigner(NOW)
TABLE = f"""
type = "ses"
region = "eu-west-1"
access_key_id = "AKID"
secret_access_key = "s"
sender = "bank@example.org"
topic_arns = ["{TOPIC}"]
"""


def fetch(url: str, *, ca_file: str | None = None) -> bytes:
    return SIGNER.pem


@pytest.fixture
def reader() -> ReceiptReader:
    return reader_of(TABLE, fetch=fetch)


def event(word: str, name: str = "eventType", **more: Any) -> bytes:
    """As the developer guide of SES shows them, posted by SNS."""
    mail = {
        "timestamp": "2026-11-22T11:59:00.000Z",
        "messageId": "0102018f-0000-4000-8000-000000000001-000000",
        "destination": ["ada@example.org"],
        "tags": {"wavecom_job_id": ["job-1"], "ses:configuration-set": ["mail"]},
    }
    return SIGNER.body(json.dumps({name: word, "mail": mail} | more), Subject="Amazon SES Email Event Notification")


def bounce(kind: str, sub: str) -> dict[str, Any]:
    recipient = {"emailAddress": "ada@example.org", "action": "failed", "status": "5.1.1"}
    return {
        "bounce": {
            "bounceType": kind,
            "bounceSubType": sub,
            "bouncedRecipients": [recipient],
            "timestamp": "2026-11-22T12:00:00.000Z",
        }
    }


INVALID, OPTED_OUT = Reason.RECIPIENT_INVALID, Reason.RECIPIENT_OPTED_OUT


@pytest.mark.parametrize(
    ("word", "more", "kind", "reason", "code"),
    [
        ("Send", {"send": {}}, ReceiptKind.PROGRESS, None, "Send"),
        (
            "DeliveryDelay",
            {"deliveryDelay": {"delayType": "TransientCommunicationFailure"}},
            ReceiptKind.PROGRESS,
            None,
            "DeliveryDelay",
        ),
        ("Delivery", {"delivery": {"smtpResponse": "250 ok ada@example.org"}}, ReceiptKind.DELIVERED, None, "Delivery"),
        ("Bounce", bounce("Permanent", "General"), ReceiptKind.FAILED, INVALID, "Bounce_Permanent_General"),
        (
            "Bounce",
            bounce("Permanent", "OnAccountSuppressionList"),
            ReceiptKind.FAILED,
            INVALID,
            "Bounce_Permanent_OnAccountSuppressionList",
        ),
        (
            "Bounce",
            bounce("Permanent", "UnsubscribedRecipient"),
            ReceiptKind.FAILED,
            OPTED_OUT,
            "Bounce_Permanent_UnsubscribedRecipient",
        ),
        ("Bounce", bounce("Transient", "MailboxFull"), ReceiptKind.FAILED, None, "Bounce_Transient_MailboxFull"),
        (
            "Bounce",
            bounce("Undetermined", "Undetermined"),
            ReceiptKind.FAILED,
            None,
            "Bounce_Undetermined_Undetermined",
        ),
        ("Reject", {"reject": {"reason": "Bad content"}}, ReceiptKind.FAILED, None, "Reject"),
        ("Rendering Failure", {"failure": {"errorMessage": "x"}}, ReceiptKind.FAILED, None, "RenderingFailure"),
        ("Complaint", {"complaint": {"complaintSubType": None}}, ReceiptKind.COMPLAINT, OPTED_OUT, "Complaint"),
        (
            "Complaint",
            {"complaint": {"complaintSubType": "OnAccountSuppressionList"}},
            ReceiptKind.FAILED,
            OPTED_OUT,
            "Complaint_OnAccountSuppressionList",
        ),
        (
            "Subscription",
            {"subscription": {"newTopicPreferences": {"unsubscribeAll": True}}},
            ReceiptKind.UNSUBSCRIBED,
            OPTED_OUT,
            "Subscription",
        ),
    ],
)
@pytest.mark.parametrize("name", ["eventType", "notificationType"])
def test_each_event_means_what_ses_says(
    reader: ReceiptReader,
    name: str,
    word: str,
    more: dict[str, Any],
    kind: ReceiptKind,
    reason: Reason | None,
    code: str,
) -> None:
    request = posted(event(word, name, **more))
    reader.verify(request)

    receipt = only_receipt(reader, request)

    assert (receipt.kind, receipt.reason, receipt.code) == (kind, reason, code)
    assert receipt.is_routine == (word == "Send")
    assert (receipt.job_id, receipt.message_id) == ("job-1", "0102018f-0000-4000-8000-000000000001-000000")
    assert receipt.event_id == "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"
    assert receipt.at is not None
    assert receipt.recipient == "ada@example.org"
    assert "ada" not in f"{receipt!r}"


def test_a_subscription_of_a_configured_topic_is_confirmed(reader: ReceiptReader) -> None:
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    request = posted(SIGNER.body(Type="SubscriptionConfirmation", Token="t", SubscribeURL=url))
    reader.verify(request)

    assert reader.read(request) == ReceiptBatch(confirm_url=url)


def test_a_topic_of_others_is_refused(reader: ReceiptReader) -> None:
    with pytest.raises(SignatureError):
        reader.verify(posted(SIGNER.body(Type="SubscriptionConfirmation", Token="t", TopicArn=TOPIC + "2")))


@pytest.mark.parametrize(
    "body",
    [
        event("Open", open={}),
        event("Click", click={}),
        event("Subscription", subscription={"newTopicPreferences": {"unsubscribeAll": False}}),
        SIGNER.body("Successfully validated SNS topic for Amazon SES event publishing."),
    ],
)
def test_what_says_nothing_of_a_message_is_left_out(reader: ReceiptReader, body: bytes) -> None:
    assert reader.read(posted(body)) == ReceiptBatch()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"eventType": "Odd"}', '{"eventType": 7, "mail": 1}'])
def test_what_nobody_knows_is_told(reader: ReceiptReader, text: str) -> None:
    with pytest.raises(UnreadableReceiptError):
        reader.read(posted(SIGNER.body(text)))
