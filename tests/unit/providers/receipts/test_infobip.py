"""Infobip's reports: believed with user and password, read as its pages say."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest

from tests.receipt_requests import NOW, only_receipt, posted, sms_reader
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

TABLE = (
    'type = "infobip"\nbase_url = "https://x.example"\napi_key = "a"\nsender = "Bank"\n'
    'webhook_user = "infobip"\nwebhook_password = ["new", "old"]'
)


@pytest.fixture
def reader() -> ReceiptReader:
    return sms_reader(TABLE)


def report(group: int = 3, name: str = "DELIVERED_TO_HANDSET", error: str = "NO_ERROR") -> dict[str, Any]:
    """The example of Infobip's documentation, with our reference."""
    return {
        "bulkId": "BULK-ID-123-xyz",
        "messageId": "c9823180-94d4-4ea0-9bf3-ec907e7534a6",
        "to": "12025550143",
        "sentAt": "2026-11-22T11:59:50.000+0000",
        "doneAt": "2026-11-22T11:59:58.000+0000",
        "messageCount": 1,
        "price": {"pricePerMessage": 0.001, "currency": "EUR"},
        "callbackData": "job-1",
        "status": {"groupId": group, "groupName": "X", "id": 5, "name": name, "description": "to 12025550143"},
        "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": error, "description": "", "permanent": False},
    }


def reported(*results: object) -> ReceiptRequest:
    return posted({"results": list(results)})


def authorization(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.mark.parametrize("password", ["new", "old"])
def test_requests_with_user_and_password_are_believed(reader: ReceiptReader, password: str) -> None:
    reader.verify(posted({"results": []}, authorization("infobip", password)))


@pytest.mark.parametrize(
    "headers", [{}, authorization("infobip", "other"), authorization("other", "new"), {"authorization": "new"}]
)
def test_other_requests_are_refused(reader: ReceiptReader, headers: dict[str, str]) -> None:
    with pytest.raises(SignatureError):
        reader.verify(posted({"results": []}, headers))


@pytest.mark.parametrize(
    ("group", "name", "kind"),
    [
        (1, "PENDING_ENROUTE", ReceiptKind.PROGRESS),
        (3, "DELIVERED_TO_OPERATOR", ReceiptKind.PROGRESS),
        (3, "DELIVERED_TO_HANDSET", ReceiptKind.DELIVERED),
        (2, "UNDELIVERABLE_NOT_DELIVERED", ReceiptKind.FAILED),
        (4, "EXPIRED_EXPIRED", ReceiptKind.FAILED),
        # Nobody says that the phone does not have it.
        (4, "EXPIRED_DLR_UNKNOWN", ReceiptKind.PROGRESS),
        (5, "REJECTED_NETWORK", ReceiptKind.FAILED),
    ],
)
def test_a_status_is_a_receipt_of_our_job(reader: ReceiptReader, group: int, name: str, kind: ReceiptKind) -> None:
    receipt = only_receipt(reader, reported(report(group, name)))

    assert receipt == Receipt(
        event_id=f"c9823180-94d4-4ea0-9bf3-ec907e7534a6:{name}",
        kind=kind,
        job_id="job-1",
        message_id="c9823180-94d4-4ea0-9bf3-ec907e7534a6",
        at=NOW - timedelta(seconds=2),
        code=name,
        recipient="+12025550143",
    )


@pytest.mark.parametrize(
    ("name", "error", "code", "reason"),
    [
        ("UNDELIVERABLE_NOT_DELIVERED", "EC_UNKNOWN_SUBSCRIBER", "EC_UNKNOWN_SUBSCRIBER", Reason.RECIPIENT_INVALID),
        ("REJECTED_PREFIX_MISSING", "NO_ERROR", "REJECTED_PREFIX_MISSING", Reason.RECIPIENT_INVALID),
        ("UNDELIVERABLE_NOT_DELIVERED", "EC_ABSENT_SUBSCRIBER", "EC_ABSENT_SUBSCRIBER", None),
    ],
)
def test_an_error_says_whether_the_number_can_ever_be_reached(
    reader: ReceiptReader, name: str, error: str, code: str, reason: Reason | None
) -> None:
    receipt = only_receipt(reader, reported(report(2, name, error)))

    assert (receipt.code, receipt.reason) == (code, reason)


def test_a_message_to_our_number_is_inbound(reader: ReceiptReader) -> None:
    message = {
        "messageId": "817790313235066447",
        "from": "12025550143",
        "to": "15005550006",
        "text": "STOP",
        "cleanText": "",
        "keyword": "STOP",
        "receivedAt": "2026-11-22T12:00:00.000+0000",
        "smsCount": 1,
    }

    batch = reader.read(reported(message, report()))

    assert batch.inbound == (
        InboundMessage(event_id="817790313235066447", sender="+12025550143", to="15005550006", text="STOP", at=NOW),
    )
    assert (len(batch.receipts), batch.unreadable) == (1, 0)


def test_what_can_not_be_understood_costs_nothing_else(reader: ReceiptReader) -> None:
    odd = [
        None,
        "x",
        {},
        {"messageId": "m"},
        {"messageId": "m", "status": {"groupId": 77}},
        {"messageId": "m", "text": 1},
    ]

    batch = reader.read(reported(*odd, report()))

    assert (len(batch.receipts), batch.unreadable) == (1, len(odd))


@pytest.mark.parametrize("content", [b"\xff", b"[]", {}, {"results": {}}])
def test_what_is_no_report_is_unreadable(reader: ReceiptReader, content: object) -> None:
    with pytest.raises(UnreadableReceiptError):
        reader.read(posted(content))


def test_without_a_password_nothing_is_believed() -> None:
    with pytest.raises(SignatureError):
        sms_reader(TABLE.rpartition("\n")[0]).verify(posted({"results": []}, authorization("infobip", "")))
