"""Receipts of Resend, with the library of Standard Webhooks as the judge of signatures."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook

from tests.receipt_requests import NOW, only_receipt, posted, reader_of
from wavecom.core.job import Reason
from wavecom.core.receipts import ReceiptBatch, ReceiptKind, ReceiptRequest, SignatureError, UnreadableReceiptError
from wavecom.errors import ProvidersFileError
from wavecom.providers.receipts import ReceiptReader

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


def table(*secrets: str) -> str:
    return f'type = "resend"\napi_key = "k"\nsender = "bank@example.org"\nwebhook_secret = {json.dumps(secrets)}'


def signed(content: Any, secret: str = SECRET, late: timedelta = timedelta()) -> ReceiptRequest:
    """As Svix signs: the same as Standard Webhooks, under older names."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    at = NOW - late
    headers = {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": str(int(at.timestamp())),
        "svix-signature": Webhook(secret).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body.decode()),
    }
    return posted(body, headers)


def event(word: str, **more: Any) -> dict[str, Any]:
    """As the documentation of Resend's webhooks shows them."""
    data = {
        "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
        "from": "Bank <bank@example.org>",
        "to": ["ada@example.org"],
        "subject": "Ihr Code",
        "tags": {"wavecom_job_id": "job-1"},
    }
    return {"type": word, "created_at": "2026-11-22T12:00:00.000Z", "data": data | more}


@pytest.fixture
def reader() -> ReceiptReader:
    return reader_of(table(SECRET))


def test_either_secret_verifies() -> None:
    reader = reader_of(table(OTHER, SECRET))

    for secret in (OTHER, SECRET):
        reader.verify(signed({}, secret))


@pytest.mark.parametrize(
    "request_",
    [
        signed({}, OTHER),
        signed({}, late=timedelta(minutes=6)),
        signed({}, late=-timedelta(minutes=6)),
        posted({"a": 1}, signed({}).headers),
        posted({}),
    ],
)
def test_what_is_not_signed_of_late_is_refused(reader: ReceiptReader, request_: ReceiptRequest) -> None:
    with pytest.raises(SignatureError):
        reader.verify(request_)


def test_a_secret_that_is_none_is_told_when_the_file_is_read() -> None:
    with pytest.raises(ProvidersFileError, match="webhook_secret"):
        reader_of(table("whsec_ü?"))


INVALID, OPTED_OUT = Reason.RECIPIENT_INVALID, Reason.RECIPIENT_OPTED_OUT


@pytest.mark.parametrize(
    ("word", "more", "kind", "reason", "code"),
    [
        ("email.scheduled", {}, ReceiptKind.PROGRESS, None, "scheduled"),
        ("email.sent", {}, ReceiptKind.PROGRESS, None, "sent"),
        ("email.delivery_delayed", {}, ReceiptKind.PROGRESS, None, "delivery_delayed"),
        ("email.delivered", {}, ReceiptKind.DELIVERED, None, "delivered"),
        (
            "email.bounced",
            {"bounce": {"type": "Permanent", "subType": "General", "message": "no ada@example.org"}},
            ReceiptKind.FAILED,
            INVALID,
            "bounced_Permanent",
        ),
        (
            "email.bounced",
            {"bounce": {"type": "Transient", "subType": "MailboxFull"}},
            ReceiptKind.FAILED,
            None,
            "bounced_Transient",
        ),
        ("email.failed", {"failed": {"reason": "reached_daily_quota"}}, ReceiptKind.FAILED, None, "failed"),
        ("email.suppressed", {}, ReceiptKind.FAILED, INVALID, "suppressed"),
        ("email.complained", {}, ReceiptKind.COMPLAINT, OPTED_OUT, "complained"),
        (
            "email.delivered",
            {"tags": [{"name": "wavecom_job_id", "value": "job-1"}]},
            ReceiptKind.DELIVERED,
            None,
            "delivered",
        ),
    ],
)
def test_each_event_means_what_resend_says(
    reader: ReceiptReader, word: str, more: dict[str, Any], kind: ReceiptKind, reason: Reason | None, code: str
) -> None:
    receipt = only_receipt(reader, signed(event(word, **more)))

    assert (receipt.kind, receipt.reason, receipt.code) == (kind, reason, code)
    assert receipt.is_routine == (word == "email.sent")
    assert (receipt.job_id, receipt.message_id) == ("job-1", "56761188-7520-42d8-8898-ff6fc54ce618")
    assert (receipt.event_id, receipt.at) == ("msg_p5jXN8AQM9LWM0D4loKWxJek", NOW)
    assert receipt.recipient == "ada@example.org"
    assert "ada" not in repr(receipt)


@pytest.mark.parametrize("word", ["email.opened", "email.clicked", "email.received", "contact.created"])
def test_what_readers_do_is_left_out(reader: ReceiptReader, word: str) -> None:
    assert reader.read(signed(event(word))) == ReceiptBatch()


@pytest.mark.parametrize("content", [{}, [], b"", b"{", event("email.odd"), {"type": "email.odd", "data": 7}])
def test_what_nobody_knows_is_told(reader: ReceiptReader, content: object) -> None:
    with pytest.raises(UnreadableReceiptError):
        reader.read(signed(content))
