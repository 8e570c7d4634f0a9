"""What can happen to a job: the events that ``wavecom.core.engine.decide`` takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from wavecom.core.job import CallResult, Claim
from wavecom.core.receipts import Receipt


@dataclass(frozen=True, slots=True)
class ClaimRequested:
    """A worker wants to deliver the job now."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class AttemptFinished:
    """A worker tried one provider after another and has the last one's answer.

    ``calls`` is in order and not empty; every one but the last was unavailable. ``token`` is the claim's. The seconds
    bound the wait for the next attempt where the providers' own bounds differ from the policy's.
    """

    token: str
    calls: tuple[CallResult, ...]
    jitter: float = 0.5
    expects_receipt: bool = False
    floor_seconds: float = 0
    base_seconds: float | None = None
    cap_seconds: float | None = None
    #: The route has no provider that was not tried.
    is_route_used_up: bool = False

    @property
    def is_undeliverable(self) -> bool:
        """No provider of the route will ever take this message, whatever is tried again."""
        return self.is_route_used_up and all(call.answer.is_final_here for call in self.calls)


@dataclass(frozen=True, slots=True)
class AttemptPrevented:
    """A worker holds the job but no provider that could take it may be called now: this is not an attempt.

    Only for a worker that has made no call since its claim, none that began, or only such as can't take it anyway.
    """

    token: str
    retry_after_seconds: float
    #: The calls of providers that can't take it.
    calls: tuple[CallResult, ...] = ()
    #: Why the job itself has to wait (``Hold.code``), for its log; empty: the reason is no matter of this job.
    held_for: str = ""


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """The worker is about to call another provider and needs the full lease for it, or a call takes longer than one.

    Answered with None past the deadline, when no further provider may be called; but a call that ``is_under_way`` can't
    be taken back, so its lease goes on.
    """

    token: str
    is_under_way: bool = False


@dataclass(frozen=True, slots=True)
class Parked:
    """Not claimed, because no provider may be called before ``until``; the sweep publishes it then."""

    until: datetime


@dataclass(frozen=True, slots=True)
class DueReached:
    """``due_at`` has passed and nothing else has moved the job.

    ``is_message_lost`` is the broker's evidence for queued and retrying jobs: False while the delivery message may
    still wait in a deep queue, so that a backlog is neither published again nor rewritten.
    """

    is_message_lost: bool = True
    jitter: float = 0.5


@dataclass(frozen=True, slots=True)
class ReceiptArrived:
    """The provider of this name reports, after the fact, what became of the message.

    Answered with None when the job can't take it; ``receipt_rules.classify`` tells whether it may later.
    """

    provider: str
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The client does not want the notification to be sent any more. ``by``: see ``LogEntry``.

    One that waits and may have been sent before can't be cancelled. With ``ends_attempts`` it ends its attempts all the
    same, as ``unconfirmed``.
    """

    by: str | None = None
    ends_attempts: bool = False


@dataclass(frozen=True, slots=True)
class ReplayRequested:
    """An operator or the client wants a failed job to be tried again from the start. ``note`` goes into its log.

    One that may have been sent and was to be sent at most once (``engine.is_in_doubt``) takes ``accepts_duplicate``.

    Not before ``starts_at``, where that is to come: then the sweep publishes it, so that many can be replayed at once
    without all of them going at once.
    """

    expires_at: datetime
    note: str = ""
    starts_at: datetime | None = None
    accepts_duplicate: bool = False
    by: str | None = None


@dataclass(frozen=True, slots=True)
class SettleRequested:
    """Somebody has found out what became of an unconfirmed job. ``reason`` and ``note`` go into its log."""

    is_delivered: bool
    reason: str
    note: str = ""
    by: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """The dead letter of a failed job is confirmed by the broker."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """An operator wants no more of a failed job: it stays failed and has no dead letter. ``note`` goes into its log.

    Answered with None when that was done before. A replay is still possible.
    """

    note: str = ""


@dataclass(frozen=True, slots=True)
class StoreRestored:
    """The store is an older copy of itself (ADR 54): nobody can tell what has happened to the job since the copy.

    ``before`` (aware UTC): a job that was accepted then or later is none of the copy's. Answered with None where
    nothing can have been sent since that the job does not tell of. ``by``: see ``LogEntry``.
    """

    before: datetime
    by: str | None = None


Event = (
    ClaimRequested
    | AttemptFinished
    | AttemptPrevented
    | LeaseRenewed
    | Parked
    | DueReached
    | ReceiptArrived
    | CancelRequested
    | ReplayRequested
    | SettleRequested
    | DeadLettered
    | Discarded
    | StoreRestored
)
