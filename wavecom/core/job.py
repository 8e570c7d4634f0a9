"""The job: one notification to one recipient with one outcome; and the small values it is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType, TypedDict

from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.states import Status

JobId = NewType("JobId", str)

#: A number of replays has fewer digits.
_REPLAYS_DIGITS: Final = 8

#: A job keeps its last entries and a count of all of them, so that no job grows without bound.
LOG_LIMIT = 50


#: What the ``ProviderResult.code`` of an unknown outcome ends with where a provider took a part of the message only.
PARTIAL: Final = "_partial"


class UnknownOutcomePolicy(StrEnum):
    """What to do when nobody can tell whether the provider took the message.

    ``retry`` means at least once, ``stop`` at most once.
    """

    RETRY = "retry"
    STOP = "stop"


class Outcome(StrEnum):
    """What an answer of a provider means (docs/adding-a-provider.md)."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """What an answer is about, which decides who waits: this message, others to the same place, or everybody.

    Where the answer itself doesn't say, evidence from several recipients does (``wavecom.routing.breaker``).
    """

    #: This message and no other: its size, its content, its headers.
    MESSAGE = "message"
    #: This recipient: a full mailbox, a number that was sent too much.
    RECIPIENT = "recipient"
    #: All that goes where this message goes: the domain of a mail (4xx at RCPT), the network of a number.
    DESTINATION = "destination"
    #: The provider or our account with it, and so everybody: no connection, a wrong token, the account's limit.
    PROVIDER = "provider"
    #: Ourselves: this process could not run when the answer came.
    WORKER = "worker"


class Reason(StrEnum):
    """What a provider says so plainly that people or applications act on it, in one word for all providers."""

    #: The provider doesn't accept our key, token, signature or address: everybody waits until people put it right.
    CREDENTIALS = "credentials"
    #: The account has no credit, is not paid for, or is suspended.
    BALANCE = "balance"
    #: The sender (address, number, domain, topic) may not be used by this account.
    SENDER = "sender"
    #: The account's daily, monthly or other long quota is used up; a plain rate limit is none.
    QUOTA = "quota"
    #: This recipient existed and exists no more: an unregistered push token, a closed mailbox.
    RECIPIENT_GONE = "recipient_gone"
    #: This address can never be reached: malformed, a landline for a text message, no such mailbox.
    RECIPIENT_INVALID = "recipient_invalid"
    #: The recipient told the provider to send nothing more.
    RECIPIENT_OPTED_OUT = "recipient_opted_out"
    #: No provider says it: the recipient stands on the suppression list (``core/preflights.py``).
    SUPPRESSED = "suppressed"
    #: No provider says it: by what the recipient has chosen, or has had already (``core/preferences.py``).
    UNWANTED = "unwanted"


#: Trouble of our account with a provider: it is left alone at once, and people are told why.
ACCOUNT_REASONS = frozenset({Reason.CREDENTIALS, Reason.BALANCE, Reason.SENDER, Reason.QUOTA})
#: What is so of the recipient, whoever sends: the application should know, by these names as the job's error.
RECIPIENT_REASONS = frozenset(Reason) - ACCOUNT_REASONS


@dataclass(frozen=True, slots=True)
class ProviderResult:
    """What one provider call came to.

    ``code`` is stable and short (``http_503``, ``smtp_550``, ``timeout``); ``message`` is for people and never
    holds a secret or a recipient. ``retry_after_seconds`` is the provider's own wish. ``scope`` is what the answer
    is about; None: it doesn't say. ``is_final_here`` says of an unavailable provider that it will never take this
    message, for want of something that others may have. ``reason`` is what it says so plainly that somebody acts on it.
    ``is_limit``: it lives, and wants fewer calls.
    """

    outcome: Outcome
    code: str
    message: str = ""
    message_id: str | None = None
    retry_after_seconds: float | None = None
    scope: Scope | None = None
    is_final_here: bool = False
    reason: Reason | None = None
    is_limit: bool = False

    @property
    def rejects_recipient(self) -> bool:
        """Whether it says of the recipient that nothing can reach him, or that he wants nothing."""
        return self.outcome is Outcome.REJECTED and self.reason in RECIPIENT_REASONS


@dataclass(frozen=True, slots=True)
class CallResult:
    """One provider tried within an attempt, and what came of it. ``provider`` is empty when nobody can tell which."""

    provider: str
    answer: ProviderResult
    at: datetime
    latency_ms: float
    #: For whom, as an opaque key; "" where that doesn't matter.
    recipient: str = ""
    #: Where to: the domain of a mail, "" for other channels.
    destination: str = ""
    #: For how long of ``latency_ms`` this process could not run; that is not the provider's time.
    lag_ms: float = 0


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line of a job's history. ``event`` is one of a fixed set of words; see docs/api.md."""

    at: datetime
    event: str
    attempt: int | None = None
    provider: str | None = None
    outcome: str | None = None
    code: str | None = None
    message: str | None = None
    latency_ms: float | None = None
    next_attempt_at: datetime | None = None
    #: Who asked for it: ``key <keyId>`` or ``operator``; None: nobody did, or it was sent (see ``Job.created_by``).
    by: str | None = None
    #: Of a receipt: its ``receipt_rules.log_id``, by which a repetition is known. Not published.
    receipt_id: str | None = None
    #: Of a receipt: when the provider says that it happened, aware UTC; ``at`` is when it was noted. Not published.
    happened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The trace that a notification belongs to (``core/traces``), where it is recorded. Ids are hexadecimal."""

    #: 32 digits.
    trace_id: str
    #: 16 digits: the span of its acceptance, under which all others of ours stand.
    span_id: str
    #: The caller's span, above that; empty where the trace begins here.
    parent_id: str = ""

    def __str__(self) -> str:
        """As it is kept."""
        return f"{self.trace_id}-{self.span_id}-{self.parent_id}"

    @classmethod
    def parse(cls, text: str) -> Trace:
        """The reverse of ``str``. Raises ``ValueError``."""
        trace_id, span_id, parent_id = text.split("-")
        return cls(trace_id, span_id, parent_id)


@dataclass(frozen=True, slots=True)
class TemplateUse:
    """By what a notification's payload was written (``core/templates``). ``locale`` is that of its words."""

    name: str
    version: int
    locale: str


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """Of which fallback a job is a step (``core/fallback``), and which one, from 1."""

    fallback_id: str
    number: int


@dataclass(frozen=True, slots=True)
class JobError:
    """Why a job failed, or why its last attempt did."""

    code: str
    message: str
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's hold on a job. ``token`` is the fence: only who knows it may record the outcome."""

    token: str
    worker: str
    lease_until: datetime


def label_text(value: object) -> str | None:
    """A value of ``metadata`` as people write it when they look for it: texts as they are, 42, true.

    None for what nobody looks for: the API takes no lists and objects there, but who stores jobs himself may.
    """
    if isinstance(value, str):
        return value
    return json.dumps(value) if value is None or isinstance(value, bool | int | float) else None


def recipient_text(address: str) -> str:
    """An address in the form in which it is searched for: e-mail in lower case, whatever case it was sent in.

    Two mailboxes that differ in case alone are allowed (RFC 5321, section 2.4), and hardly exist: to find one of them
    too many harms nobody who looks for a message.
    """
    return address.casefold() if "@" in address else address


def receipt_reference(job_id: JobId, replays: int) -> str:
    """Our name of a message, which providers give back in its receipts: ``jobId``, of a replay ``jobId_1``.

    Of letters, digits, ``-`` and ``_``, because SES and Resend take little else in a tag.
    """
    return job_id if replays == 0 else f"{job_id}_{replays}"


def parse_receipt_reference(reference: str) -> tuple[JobId, int]:
    """The job's id and its number of replays, of a ``receipt_reference`` or a delivery key (``jobId:1``).

    Any text is taken: the id may be of no job, and a number of replays that can't be one is 0.
    """
    job_id, _, replays = reference.replace(":", "_").partition("_")
    return JobId(job_id.lower()), int(replays) if replays.isdecimal() and len(replays) < _REPLAYS_DIGITS else 0


class JobChanges(TypedDict, total=False):
    """The fields of a ``Job`` that a transition sets, with their types; one that is missing stays as it is.

    ``to``, ``payload`` and whatever else the sender has given never change.
    """

    status: Status
    updated_at: datetime
    expires_at: datetime
    attempts: int
    may_have_been_sent: bool
    sent_at: datetime | None
    replays: int
    provider: str | None
    provider_message_id: str | None
    refused_by: tuple[str, ...]
    error: JobError | None
    #: A hold is replaced by another, never taken away: its token goes on shutting out late results.
    claim: Claim
    next_attempt_at: datetime | None
    queued_at: datetime | None
    due_at: datetime | None
    finished_at: datetime | None
    dead_lettered_at: datetime | None
    purge_at: datetime | None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """That a job entered a status which its client is told of: written with the status, in one operation.

    What else the client is told (metadata, channel, key) is read from the job, in which it never changes.
    """

    status: Status
    at: datetime
    #: Attempts made by then.
    attempts: int
    provider: str | None = None
    error: JobError | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryMessage:
    """A message for a worker: look at this job, after ``delay_seconds`` (0: now). Losing one costs seconds, no job."""

    job_id: JobId
    lane: Lane
    delay_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that is known of one notification; the published fields are described in docs/api.md.

    Times are aware UTC with millisecond precision, as MongoDB keeps them. ``to`` and ``payload`` are plain JSON,
    in the shapes that ``wavecom.web.api.schemas`` lets through for the channel.
    """

    job_id: JobId
    client: str
    type: Channel
    to: Mapping[str, Any]
    payload: Mapping[str, Any]
    status: Status
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    priority: Priority = Priority.NORMAL
    #: Where it is delivered (``core/regions.py``); empty where there are no regions.
    region: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    max_attempts: int = 5
    on_unknown_outcome: UnknownOutcomePolicy = UnknownOutcomePolicy.RETRY
    #: Some attempt ended without a clear answer: the recipient may have the message whatever happens next.
    may_have_been_sent: bool = False
    replays: int = 0
    idempotency_key: str | None = None
    fingerprint: str | None = None
    #: Who sent it: ``key <keyId>`` or ``operator``; None for jobs of before this was kept.
    created_by: str | None = None
    send_at: datetime | None = None
    provider: str | None = None
    provider_message_id: str | None = None
    #: Providers that said that they will never take this message (``is_final_here``); a replay forgets them.
    refused_by: tuple[str, ...] = ()
    error: JobError | None = None
    claim: Claim | None = None
    next_attempt_at: datetime | None = None
    #: When the job's last delivery message reaches its lane's queue; None while no delivery message is out (scheduled,
    #: parked).
    queued_at: datetime | None = None
    due_at: datetime | None = None
    finished_at: datetime | None = None
    dead_lettered_at: datetime | None = None
    purge_at: datetime | None = None
    logs: tuple[LogEntry, ...] = ()
    log_count: int = 0
    #: Whether each of its statuses is recorded as an event: its account used events when it was accepted (ADR 45).
    records_events: bool = False
    #: None: its sender gave the payload.
    template: TemplateUse | None = None
    #: None: it is not traced.
    trace: Trace | None = None
    #: The id of the registered recipient whose address ``to`` is; None: the sender gave the address.
    recipient_id: str | None = None
    #: Of which category of its account it is; None: its sender has not said.
    category: str | None = None
    #: When a provider last took it, or may have; kept of what frequency caps count alone (``core/frequency_caps.py``).
    sent_at: datetime | None = None
    #: Until when it had to wait by the recipient's hours when it was accepted; None: it had not.
    held_until: datetime | None = None
    #: The id of the campaign of which it is a row; None: of none.
    campaign: str | None = None
    #: None: it is a notification of its own.
    parent: FallbackStep | None = None

    @property
    def delivery_key(self) -> str:
        """The idempotency key sent to providers: the same for every attempt, a new one after a replay."""
        return self.job_id if self.replays == 0 else f"{self.job_id}:{self.replays}"

    @property
    def lane(self) -> Lane:
        """What the job's delivery messages travel in."""
        return Lane.of(self.type, self.priority, self.client, self.region)

    def delivery_message(self, delay_seconds: int = 0) -> DeliveryMessage:
        """The message that makes a worker look at this job."""
        return DeliveryMessage(self.job_id, self.lane, delay_seconds)

    def with_changes(self, changes: JobChanges, entries: tuple[LogEntry, ...] = ()) -> Job:
        """This job after a transition: fields replaced, entries appended, the log kept bounded."""
        logs = (*self.logs, *entries)[-LOG_LIMIT:]
        return replace(self, **changes, logs=logs, log_count=self.log_count + len(entries))
