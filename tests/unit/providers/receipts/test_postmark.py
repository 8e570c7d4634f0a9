"""Receipts of Postmark, known by user and password."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.receipt_requests import NOW, only_receipt, posted, reader_of
from wavecom.core.job import Reason
from wavecom.core.receipts import ReceiptBatch, ReceiptKind, SignatureError, UnreadableReceiptError
from wavecom.errors import ProvidersFileError
from wavecom.providers.receipts import ReceiptReader
from wavecom.providers.receipts.postmark import BOUNCES


def table(*passwords: str) -> str:
    return (
        'type = "postmark"\nserver_token = "k"\nsender = "bank@example.org"\nwebhook_user = "wave"\n'
        f"webhook_password = {json.dumps(passwords)}"
    )


def authorization(login: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def event(record: str, **more: Any) -> dict[str, Any]:
    """As the documentation of Postmark's webhooks shows them."""
    return {
        "RecordType": record,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Metadata": {"wavecom_job_id": "job-1"},
        "Email" if record != "Delivery" else "Recipient": "ada@example.org",
        "BouncedAt": "2026-11-22T12:00:00Z",
        "DeliveredAt": "2026-11-22T13:00:00+01:00",
        "ChangedAt": "2026-11-22T12:00:00.0000000Z",
    } | more


@pytest.fixture
def reader() -> ReceiptReader:
    return reader_of(table("pass:word"))


def test_either_password_is_taken() -> None:
    reader = reader_of(table("new", "old"))

    for password in ("new", "old"):
        reader.verify(posted({}, authorization(f"wave:{password}")))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        authorization("wave:wrong"),
        authorization("other:pass:word"),
        authorization("wave:pass:word "),
        authorization(""),
        {"authorization": "Bearer pass:word"},
        {"authorization": "Basic \udcff"},
    ],
)
def test_any_other_login_is_refused(reader: ReceiptReader, headers: dict[str, str]) -> None:
    reader.verify(posted({}, authorization("wave:pass:word")))

    with pytest.raises(SignatureError):
        reader.verify(posted({}, headers))


@pytest.mark.parametrize("lines", ['webhook_user = "wave"', 'webhook_password = "p"'])
def test_user_and_password_go_together(lines: str) -> None:
    with pytest.raises(ProvidersFileError, match="go together"):
        reader_of(f'type = "postmark"\nserver_token = "k"\nsender = "bank@example.org"\n{lines}')


INVALID, OPTED_OUT = Reason.RECIPIENT_INVALID, Reason.RECIPIENT_OPTED_OUT


@pytest.mark.parametrize(
    ("record", "more", "kind", "reason", "code"),
    [
        ("Delivery", {"Details": "250 ada@example.org"}, ReceiptKind.DELIVERED, None, "Delivery"),
        ("Bounce", {"Type": "HardBounce", "ID": 1}, ReceiptKind.FAILED, INVALID, "HardBounce"),
        ("Bounce", {"Type": "BadEmailAddress", "ID": 1}, ReceiptKind.FAILED, INVALID, "BadEmailAddress"),
        ("Bounce", {"Type": "Transient", "ID": 1}, ReceiptKind.PROGRESS, None, "Transient"),
        ("Bounce", {"Type": "DnsError", "ID": 1}, ReceiptKind.PROGRESS, None, "DnsError"),
        ("Bounce", {"Type": "SoftBounce", "ID": 1}, ReceiptKind.FAILED, None, "SoftBounce"),
        ("Bounce", {"Type": "Blocked", "ID": 1}, ReceiptKind.FAILED, None, "Blocked"),
        ("Bounce", {"Type": "NewWord", "ID": 1}, ReceiptKind.FAILED, None, "NewWord"),
        ("Bounce", {"Type": "SpamComplaint", "ID": 1}, ReceiptKind.COMPLAINT, OPTED_OUT, "SpamComplaint"),
        ("Bounce", {"Type": "Unsubscribe", "ID": 1}, ReceiptKind.UNSUBSCRIBED, OPTED_OUT, "Unsubscribe"),
        ("SpamComplaint", {"Type": "SpamComplaint"}, ReceiptKind.COMPLAINT, OPTED_OUT, "SpamComplaint"),
        (
            "SubscriptionChange",
            {"SuppressSending": True, "SuppressionReason": "ManualSuppression"},
            ReceiptKind.UNSUBSCRIBED,
            OPTED_OUT,
            "ManualSuppression",
        ),
        (
            "SubscriptionChange",
            {"SuppressSending": True, "SuppressionReason": "HardBounce"},
            ReceiptKind.FAILED,
            INVALID,
            "HardBounce",
        ),
    ],
)
def test_each_event_means_what_postmark_says(
    reader: ReceiptReader, record: str, more: dict[str, Any], kind: ReceiptKind, reason: Reason | None, code: str
) -> None:
    receipt = only_receipt(reader, posted(event(record, **more)))

    assert (receipt.kind, receipt.reason, receipt.code) == (kind, reason, code)
    assert (receipt.job_id, receipt.message_id) == ("job-1", "883953f4-6105-42a2-a16a-77a8eac79483")
    assert (receipt.at, receipt.recipient) == (NOW, "ada@example.org")
    assert "ada" not in repr(receipt)


def test_the_same_event_has_the_same_id_and_another_has_another(reader: ReceiptReader) -> None:
    events = [
        event("Delivery"),
        event("Bounce", Type="HardBounce", ID=1),
        event("Bounce", Type="HardBounce", ID=2),
        event("SubscriptionChange", SuppressSending=True),
    ]

    ids = [only_receipt(reader, posted(each)).event_id for each in events]

    assert len(set(ids)) == 4
    assert ids == [only_receipt(reader, posted(each)).event_id for each in events]


@pytest.mark.parametrize(
    "content",
    [
        event("Open"),
        event("Click"),
        event("SubscriptionChange", SuppressSending=False),
        *[event("Bounce", Type=word, ID=1) for word, meaning in BOUNCES.items() if meaning is None],
    ],
)
def test_what_says_nothing_of_a_message_is_left_out(reader: ReceiptReader, content: object) -> None:
    assert reader.read(posted(content)) == ReceiptBatch()


@pytest.mark.parametrize("content", [{}, [], b"", event("Inbound"), event("Odd")])
def test_what_nobody_knows_is_told(reader: ReceiptReader, content: object) -> None:
    with pytest.raises(UnreadableReceiptError):
        reader.read(posted(content))
