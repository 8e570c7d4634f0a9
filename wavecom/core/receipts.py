"""What providers report after the fact: receipts of messages, complaints, and what recipients write back. Values only.

A provider's own words become these in ``wavecom/providers/receipts``; what they mean for a job is ``engine.decide``'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from wavecom.core.job import JobId, Reason


class ReceiptKind(StrEnum):
    """What a receipt says of a message."""

    #: It reached the recipient, or the last place that the provider can see.
    DELIVERED = "delivered"
    #: It did not and will not.
    FAILED = "failed"
    #: It is on its way: accepted, sent, buffered, deferred. Changes no status.
    PROGRESS = "progress"
    #: The recipient calls it unwanted. It was delivered.
    COMPLAINT = "complaint"
    #: The recipient wants no more by the provider's own means (its link, its page). It was delivered.
    UNSUBSCRIBED = "unsubscribed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One report of one message.

    ``event_id`` is the provider's own name of the report, or one made of what makes it unique: the same report that
    comes twice has the same one. The message is found by ``job_id`` where the provider echoes ours, else by
    ``message_id``, the provider's. ``code`` and ``text`` are the provider's, without recipients.
    """

    event_id: str
    kind: ReceiptKind
    job_id: JobId | None = None
    message_id: str | None = None
    #: When it happened, aware UTC; None where the provider doesn't say.
    at: datetime | None = None
    code: str = ""
    text: str = ""
    #: Why the recipient can never be reached, or wants nothing more: such a recipient is suppressed. None: not said.
    reason: Reason | None = None
    #: The recipient's address where the provider tells it, for the suppression list; never logged.
    recipient: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """What somebody sent to one of our numbers: STOP, START, HELP, or anything else."""

    event_id: str
    #: The number that wrote, E.164.
    sender: str = field(repr=False)
    #: Our number or name that it was sent to.
    to: str = ""
    text: str = field(default="", repr=False)
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRequest:
    """An HTTP request to ``/receipts/<provider>``, as it came.

    ``url`` is the public address that the provider called, with its query. Names of headers are in lower case.
    """

    method: str
    url: str = field(repr=False)
    query: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    #: When it came, aware UTC.
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptBatch:
    """What one verified request reports. ``unreadable`` counts parts of it that can't be understood."""

    receipts: tuple[Receipt, ...] = ()
    inbound: tuple[InboundMessage, ...] = ()
    unreadable: int = 0
    #: The address to call to confirm a subscription (SNS); None: nothing to confirm.
    confirm_url: str | None = None


class SignatureError(Exception):
    """A receipt's signature is missing, wrong, too old, or of a key that isn't ours; the text says which, no secret."""


class UnreadableReceiptError(Exception):
    """The request is signed rightly, and what it holds can't be understood."""
