"""Receipts of Mailgun: signed by time and token, with the token as the event's name."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import timedelta
from typing import Any

import pytest
from mailgun.security import SecurityGuard

from tests.receipt_requests import NOW, only_receipt, posted, reader_of
from wavecom.core.job import Reason
from wavecom.core.receipts import ReceiptKind, SignatureError, UnreadableReceiptError
from wavecom.providers.receipts import ReceiptReader

KEY = "key-0123456789"


def table(*keys: str) -> str:
    return (
        'type = "mailgun"\ndomain = "mg.bank.example"\napi_key = "k"\nsender = "bank@example.org"\n'
        f"webhook_signing_key = {json.dumps(keys)}"
    )


def signature(token: str = "t" * 50, key: str = KEY, at: float = NOW.timestamp()) -> dict[str, str]:
    timestamp = str(int(at))
    made = hmac.new(key.encode(), f"{timestamp}{token}".encode(), hashlib.sha256).hexdigest()
    return {"timestamp": timestamp, "token": token, "signature": made}


def event(word: str, **more: Any) -> dict[str, Any]:
    """As the documentation of Mailgun's webhooks shows them."""
    data = {
        "event": word,
        "id": "CPgfbmQMTCKtHW6uIWtuVe",
        "timestamp": NOW.timestamp(),
        "recipient": "ada@example.org",
        "message": {"headers": {"message-id": "20261122120000.1.ABC@mg.bank.example", "to": "Ada <ada@example.org>"}},
        "user-variables": {"wavecom_job_id": "job-1"},
    }
    return {"signature": signature(), "event-data": data | more}


@pytest.fixture
def reader() -> ReceiptReader:
    return reader_of(table(KEY))


def test_a_signature_of_either_key_is_verified() -> None:
    reader = reader_of(table("key-new", KEY))

    for key in ("key-new", KEY):
        reader.verify(posted({"signature": signature(key=key)}))


def test_mailguns_library_verifies_what_the_tests_sign_and_refuses_what_the_reader_refuses(
    reader: ReceiptReader,
) -> None:
    good, forged = signature(), signature(key="another")

    def is_verified(signed: dict[str, str]) -> bool:
        return SecurityGuard.verify_webhook(
            KEY, signed["token"], signed["timestamp"], signed["signature"], max_age_seconds=0
        )

    assert (is_verified(good), is_verified(forged)) == (True, False)
    reader.verify(posted({"signature": good}))
    with pytest.raises(SignatureError):
        reader.verify(posted({"signature": forged}))


@pytest.mark.parametrize(
    "content",
    [
        {"signature": signature(key="key-wrong")},
        {"signature": signature() | {"token": "another"}},
        {"signature": signature() | {"timestamp": str(int(NOW.timestamp()) + 1)}},
        {"signature": signature() | {"signature": "ü"}},
        {"signature": signature("")},
        {"signature": signature(at=(NOW - timedelta(hours=8, minutes=6)).timestamp())},
        {"signature": signature(at=(NOW + timedelta(minutes=6)).timestamp())},
        {"signature": "x"},
        {},
        [],
        b"",
        b"{",
    ],
)
def test_what_is_not_signed_of_late_is_refused(reader: ReceiptReader, content: object) -> None:
    with pytest.raises(SignatureError):
        reader.verify(posted(content))


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(hours=1), timedelta(hours=8)])
def test_a_repetition_with_its_first_signature_is_believed(reader: ReceiptReader, late: timedelta) -> None:
    reader.verify(posted({"signature": signature(at=(NOW - late).timestamp())}))


def test_a_token_names_the_event_and_is_good_for_one_content(reader: ReceiptReader) -> None:
    first, forged = event("delivered"), event("failed", severity="permanent", reason="bounce", id="other")

    for content in (first, forged):
        reader.verify(posted(content))

    assert {only_receipt(reader, posted(content)).event_id for content in (first, forged)} == {"t" * 50}
    assert {reader.read(posted(content)).one_time_token for content in (first, forged)} == {"t" * 50}


INVALID, OPTED_OUT = Reason.RECIPIENT_INVALID, Reason.RECIPIENT_OPTED_OUT


@pytest.mark.parametrize(
    ("word", "more", "kind", "reason", "code"),
    [
        ("accepted", {}, ReceiptKind.PROGRESS, None, "accepted"),
        ("delivered", {}, ReceiptKind.DELIVERED, None, "delivered"),
        ("failed", {"severity": "temporary", "reason": "generic"}, ReceiptKind.PROGRESS, None, "failed_temporary"),
        ("failed", {"severity": "permanent", "reason": "bounce"}, ReceiptKind.FAILED, INVALID, "failed_permanent"),
        (
            "failed",
            {"severity": "permanent", "reason": "bounce", "delivery-status": {"bounce-type": "soft", "code": 552}},
            ReceiptKind.FAILED,
            None,
            "failed_permanent",
        ),
        (
            "failed",
            {"severity": "permanent", "reason": "suppress-bounce"},
            ReceiptKind.FAILED,
            INVALID,
            "failed_permanent",
        ),
        (
            "failed",
            {"severity": "permanent", "reason": "suppress-unsubscribe"},
            ReceiptKind.FAILED,
            OPTED_OUT,
            "failed_permanent",
        ),
        (
            "failed",
            {"severity": "permanent", "reason": "suppress-complaint"},
            ReceiptKind.FAILED,
            OPTED_OUT,
            "failed_permanent",
        ),
        ("failed", {"severity": "permanent", "reason": "old"}, ReceiptKind.FAILED, None, "failed_permanent"),
        ("rejected", {"reject": {"reason": "Sandbox"}}, ReceiptKind.FAILED, None, "rejected"),
        ("complained", {}, ReceiptKind.COMPLAINT, OPTED_OUT, "complained"),
        ("unsubscribed", {}, ReceiptKind.UNSUBSCRIBED, OPTED_OUT, "unsubscribed"),
    ],
)
def test_each_event_means_what_mailgun_says(
    reader: ReceiptReader, word: str, more: dict[str, Any], kind: ReceiptKind, reason: Reason | None, code: str
) -> None:
    receipt = only_receipt(reader, posted(event(word, **more)))

    assert (receipt.kind, receipt.reason, receipt.code) == (kind, reason, code)
    assert receipt.is_routine == (word == "accepted")
    assert (receipt.job_id, receipt.message_id) == ("job-1", "20261122120000.1.ABC@mg.bank.example")
    assert (receipt.at, receipt.recipient) == (NOW, "ada@example.org")


@pytest.mark.parametrize("word", ["opened", "clicked"])
def test_what_readers_do_is_left_out(reader: ReceiptReader, word: str) -> None:
    batch = reader.read(posted(event(word)))

    assert (batch.receipts, batch.one_time_token) == ((), "t" * 50)


@pytest.mark.parametrize("content", [event("odd"), {"event-data": 7} | {"signature": signature()}, {}])
def test_what_nobody_knows_is_told_and_its_token_is_used_up(reader: ReceiptReader, content: dict[str, Any]) -> None:
    with pytest.raises(UnreadableReceiptError) as caught:
        reader.read(posted(content))

    assert caught.value.one_time_token == ("t" * 50 if "signature" in content else "")
