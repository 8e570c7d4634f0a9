"""Calls of which nobody could know whether the provider took the message, and what made them so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.faults.plan import PROVIDER_TIMEOUT_SECONDS

Document = Mapping[str, Any]

#: Answers after which nobody can tell whether the provider took the message.
_INJECTED_DOUBTS = frozenset({"silence", "reset", "early_reset", "408", "502", "504"})


def is_injected_doubt(record: Document) -> bool:
    """Whether the provider answered so that nobody could know whether it took the message."""
    if record["answer"] == "gone":
        # Slower than the caller waits; a shorter call that nobody waited for belongs to a killed worker.
        return bool(record["answered_at"] - record["at"] >= 0.9 * PROVIDER_TIMEOUT_SECONDS)
    return record["answer"] in _INJECTED_DOUBTS


def call_of(record: Document) -> tuple[str, int]:
    """The job and the attempt that a request was made for."""
    return record["job_id"], record["attempt"]


def is_late(entry: Document) -> bool:
    """A call that ended because the caller's time was up, by the caller's clock."""
    latency_ms = entry.get("latencyMs") or 0
    return entry["event"] == "outcome_unknown" and latency_ms >= 0.95 * PROVIDER_TIMEOUT_SECONDS * 1000


def is_lost_lease(entry: Document) -> bool:
    """Whoever had claimed it did not come back in time; nobody knows whether he called."""
    return entry["event"] == "outcome_unknown" and entry.get("code") == "lease_expired"


def is_of_restore(entry: Document) -> bool:
    """The store was put back to an older copy, and nobody knows what happened to the job since."""
    return entry["event"] == "outcome_unknown" and entry.get("code") == "store_restored"


def is_put_aside(job: Document) -> bool:
    """Whether the job says that it was put aside after a restore."""
    return any(is_of_restore(entry) for entry in job["logs"])


def is_labelled(job: Document) -> bool:
    """Whether the job says of itself that its outcome was unknown at some time."""
    return any(entry["event"] == "outcome_unknown" for entry in job["logs"])
