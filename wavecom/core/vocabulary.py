"""The words of a job's published record: the events of its log and the codes of its error.

Clients' programs branch on them, and the API's document lists them, so a word that is used and not listed here fails a
test; docs/api.md explains each.
"""

from __future__ import annotations

from enum import StrEnum


class LogEvent(StrEnum):
    """What an entry of a job's log tells of."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    HELD = "held"
    SENT = "sent"
    DELIVERED = "delivered"
    UNAVAILABLE = "unavailable"
    REJECTED = "rejected"
    OUTCOME_UNKNOWN = "outcome_unknown"
    UNCONFIRMED = "unconfirmed"
    SETTLED = "settled"
    RECEIPT = "receipt"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class JobErrorCode(StrEnum):
    """Why a job failed, or has not been delivered yet."""

    REJECTED = "rejected"
    RECIPIENT_GONE = "recipient_gone"
    RECIPIENT_INVALID = "recipient_invalid"
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    SUPPRESSED = "suppressed"
    UNWANTED = "unwanted"
    NOT_SUPPORTED = "not_supported"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    ATTEMPTS_EXHAUSTED = "attempts_exhausted"
    OUTCOME_UNKNOWN = "outcome_unknown"
    UNDELIVERED = "undelivered"
    SETTLED = "settled"
    EXPIRED = "expired"
