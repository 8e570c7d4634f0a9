"""The provider that tests make, and the mails that they send."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from wavecom.core.job import JobId, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.smtp import SmtpProvider


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        raise AssertionError("not asked for")


def unused(*_args: object, **_named: object) -> Any:
    raise AssertionError("an smtp provider has no use for this")


class UnusedService:
    send = append = close = unused


Make = Callable[..., SmtpProvider]


def message(number: int = 1, to: str = "ada@example.org", **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "job_id": JobId(f"job-{number}"),
        "delivery_key": f"job-{number}",
        "type": Channel.EMAIL,
        "to": {"email": to, "name": "Ada Lovelace"},
        "payload": {"subject": "Grüße", "text": "Your code is 123456.\n.\n", "html": "<p>Hi</p>"},
        "metadata": {},
        "attempt": 1,
    }
    return Message(**(fields | changes))


BANK: dict[str, Any] = {"subject": "x", "text": "y"}
REJECTED, UNAVAILABLE, UNKNOWN = Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN
