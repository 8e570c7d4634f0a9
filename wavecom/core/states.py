"""The states of a job and every arrow between them: the one table that all code, tests and pages read."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """Where a job stands. The words are part of the published API."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    PROCESSING = "processing"
    RETRYING = "retrying"
    SENT = "sent"
    UNCONFIRMED = "unconfirmed"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


#: Every arrow there is. Nothing assigns a status except through ``engine.decide``, which refuses what is not here.
ARROWS: dict[Status, frozenset[Status]] = {
    # scheduled, queued, retrying → unconfirmed: only when the store was restored from an older copy (ADR 54). What the
    # copy holds as waiting may have been sent since.
    Status.SCHEDULED: frozenset({Status.QUEUED, Status.EXPIRED, Status.CANCELLED, Status.UNCONFIRMED}),
    # queued → delivered, failed: only for a replayed job whose former life ended in doubt. A receipt shows that it had
    # arrived after all; or its deadline passes, and "expired" would promise that nothing was sent.
    Status.QUEUED: frozenset(
        {
            Status.PROCESSING,
            Status.EXPIRED,
            Status.CANCELLED,
            Status.DELIVERED,
            Status.FAILED,
            Status.UNCONFIRMED,
        },
    ),
    Status.PROCESSING: frozenset(
        {
            Status.DELIVERED,
            Status.SENT,
            Status.RETRYING,
            Status.FAILED,
            Status.UNCONFIRMED,
            Status.EXPIRED,
        }
    ),
    Status.RETRYING: frozenset(
        {
            Status.PROCESSING,
            Status.EXPIRED,
            Status.CANCELLED,
            # The late result of a worker that the sweep had given up, or a receipt: both are facts and win.
            Status.DELIVERED,
            Status.SENT,
            Status.FAILED,
            Status.UNCONFIRMED,
        }
    ),
    Status.SENT: frozenset({Status.DELIVERED, Status.FAILED}),
    # → queued: only by a replay that accepts a second message. → expired: the worker that the sweep had given up comes
    # back after the deadline and knows that nothing was sent.
    Status.UNCONFIRMED: frozenset(
        {Status.DELIVERED, Status.FAILED, Status.SENT, Status.RETRYING, Status.QUEUED, Status.EXPIRED}
    ),
    Status.DELIVERED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),  # only by replay
    Status.EXPIRED: frozenset(),
    Status.CANCELLED: frozenset(),
}

FINAL: frozenset[Status] = frozenset({Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.CANCELLED})
NOT_FINAL: frozenset[Status] = frozenset(Status) - FINAL
#: A worker may take a job only out of these.
CLAIMABLE: frozenset[Status] = frozenset({Status.QUEUED, Status.RETRYING})
#: Nothing has been handed to a provider, or nothing is in flight: a job can end here without a send.
WAITING: frozenset[Status] = frozenset({Status.SCHEDULED, Status.QUEUED, Status.RETRYING})
#: A provider has the message, or may have it: only a receipt, a late result or the end of patience moves the job.
HANDED_OVER: frozenset[Status] = frozenset({Status.SENT, Status.UNCONFIRMED})


def is_arrow(old: Status, new: Status) -> bool:
    """Whether ``old → new`` is declared, staying put included (a lost message published again changes no status)."""
    return old is new or new in ARROWS[old]


#: Where each status can be come from, staying put included: ``ARROWS`` read backwards.
ORIGINS: dict[Status, frozenset[Status]] = {
    new: frozenset(old for old in Status if is_arrow(old, new)) for new in Status
}
