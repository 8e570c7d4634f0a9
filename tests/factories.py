"""Things that tests need, with every field filled in; a test names only what it is about."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

from wavecom.core.events import ReceiptArrived
from wavecom.core.job import (
    CallResult,
    Claim,
    Job,
    JobError,
    JobId,
    LogEntry,
    Outcome,
    ProviderResult,
    UnknownOutcomePolicy,
)
from wavecom.core.job_ids import make_job_id as job_id_of
from wavecom.core.lanes import Channel, Priority
from wavecom.core.receipts import Receipt, ReceiptKind
from wavecom.core.states import FINAL, Status

#: The time at which nearly everything in the tests happens.
NOW = datetime(2026, 3, 14, 9, 26, 53, 589_000, tzinfo=UTC)

RECIPIENTS: dict[Channel, dict[str, Any]] = {
    Channel.EMAIL: {"email": "amina@example.com", "name": "Amina Haddad"},
    Channel.SMS: {"phone": "+12025550143"},
    Channel.PUSH: {"platform": "fcm", "token": "device-token-1"},
}

PAYLOADS: dict[Channel, dict[str, Any]] = {
    Channel.EMAIL: {"subject": "Payment received", "text": "We have received 12.50 EUR.", "from": "bank@example.com"},
    Channel.SMS: {"text": "Your one-time password is 493817", "senderId": "BANK"},
    Channel.PUSH: {"title": "Parcel", "body": "Your parcel arrives today", "data": {"parcel": "1Z999"}},
}

_numbers = itertools.count(1)


def later(seconds: float = 0, **units: float) -> datetime:
    """``NOW`` plus seconds and any units of ``timedelta``."""
    return NOW + timedelta(seconds=seconds, **units)


def make_random_bytes(size: int) -> bytes:
    """Stands for chance, in order. The same bytes never come twice, whoever asks: ids made of them all differ."""
    return next(_numbers).to_bytes(size, "big")


def make_job_id(at: datetime = NOW, *, client: str = "acme", idempotency_key: str | None = None) -> JobId:
    """A new id every time; without an idempotency key, in order."""
    return job_id_of(at, make_random_bytes(10), client, idempotency_key)


def make_claim(token: str | None = None, *, worker: str = "worker-1", lease_until: datetime | None = None) -> Claim:
    """A hold with a token of its own, for thirty seconds from ``NOW``."""
    return Claim(token or f"token-{next(_numbers)}", worker, lease_until or later(30))


def make_answer(outcome: Outcome = Outcome.ACCEPTED, code: str | None = None, **overrides: Any) -> ProviderResult:
    """An answer with the code that usually goes with the outcome."""
    usual = {
        Outcome.ACCEPTED: "http_202",
        Outcome.REJECTED: "http_400",
        Outcome.UNAVAILABLE: "http_503",
        Outcome.UNKNOWN: "timeout",
    }
    return ProviderResult(outcome, code or usual[outcome], **overrides)


def make_try(outcome: Outcome = Outcome.ACCEPTED, *, provider: str = "sandbox", **overrides: Any) -> CallResult:
    """One call of ``provider`` at ``NOW``; further arguments go to the answer."""
    at = overrides.pop("at", NOW)
    latency_ms = overrides.pop("latency_ms", 12.5)
    return CallResult(provider, make_answer(outcome, **overrides), at, latency_ms)


def make_receipt(kind: ReceiptKind = ReceiptKind.DELIVERED, **overrides: Any) -> Receipt:
    """A receipt with an event id of its own."""
    return Receipt(**({"event_id": f"event-{next(_numbers)}", "kind": kind} | overrides))


def make_receipt_event(
    kind: ReceiptKind = ReceiptKind.DELIVERED, *, provider: str = "sandbox", **overrides: Any
) -> ReceiptArrived:
    """A receipt of ``provider`` that has arrived; further arguments are the receipt's."""
    return ReceiptArrived(provider, make_receipt(kind, **overrides))


def make_job(**overrides: Any) -> Job:
    """A job that the engine could have left in its ``status`` (default: queued, accepted at ``NOW``).

    Whatever the status calls for (claim, dates, error, log) is filled in unless it is named.
    """
    status = Status(overrides.pop("status", Status.QUEUED))
    channel = Channel(overrides.pop("type", Channel.SMS))
    created_at = overrides.pop("created_at", NOW)
    fields: dict[str, Any] = {
        "job_id": make_job_id(
            created_at, client=overrides.get("client", "acme"), idempotency_key=overrides.get("idempotency_key")
        ),
        "client": "acme",
        "type": channel,
        "to": RECIPIENTS[channel],
        "payload": PAYLOADS[channel],
        "status": status,
        "priority": Priority.NORMAL,
        "on_unknown_outcome": UnknownOutcomePolicy.RETRY,
        "created_at": created_at,
        "updated_at": created_at,
        "expires_at": created_at + timedelta(hours=72),
        "logs": (LogEntry(created_at, "accepted"),),
    }
    fields |= _usual_for(status, created_at)
    fields |= overrides
    fields.setdefault("log_count", len(fields["logs"]))
    return Job(**fields)


def _usual_for(status: Status, at: datetime) -> dict[str, Any]:
    claim = Claim(f"token-{next(_numbers)}", "worker-1", at + timedelta(seconds=30))
    due_later = at + timedelta(hours=72)
    usual: dict[Status, dict[str, Any]] = {
        Status.SCHEDULED: {"send_at": at + timedelta(hours=1), "due_at": at + timedelta(hours=1)},
        Status.QUEUED: {"queued_at": at, "due_at": at + timedelta(seconds=30)},
        Status.PROCESSING: {"queued_at": at, "claim": claim, "due_at": claim.lease_until},
        Status.RETRYING: {
            "attempts": 1,
            "claim": claim,
            "provider": "sandbox",
            "error": JobError("provider_unavailable", "http_503", "sandbox"),
            "next_attempt_at": at + timedelta(seconds=4),
            "queued_at": at + timedelta(seconds=4),
            "due_at": at + timedelta(seconds=34),
        },
        Status.SENT: {"due_at": due_later, "provider_message_id": "message-1"},
        Status.UNCONFIRMED: {
            "due_at": due_later,
            "error": JobError("outcome_unknown", "timeout", "sandbox"),
            "may_have_been_sent": True,
            "on_unknown_outcome": UnknownOutcomePolicy.STOP,
        },
        Status.DELIVERED: {"provider_message_id": "message-1"},
        Status.FAILED: {
            "error": JobError("rejected", "http_400", "sandbox"),
            "due_at": at + timedelta(seconds=30),
        },
        Status.EXPIRED: {"error": JobError("expired", "the deadline passed")},
    }
    fields = usual.get(status, {})
    if status in {Status.SENT, Status.UNCONFIRMED, Status.DELIVERED, Status.FAILED}:
        fields = {"attempts": 1, "claim": claim, "provider": "sandbox", "queued_at": at} | fields
    if status in FINAL:
        fields = fields | {"finished_at": at, "purge_at": at + timedelta(days=30)}
    return fields
