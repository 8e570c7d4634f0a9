"""What providers report after the fact: receipts of messages, complaints, and what recipients write back. Values only.

A provider's own words become these in ``wavecom/providers/receipts``; what they mean for a job is ``engine.decide``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from wavecom.core.job import Job, JobId, Reason


class ReceiptKind(StrEnum):
    """What a receipt says of a message."""

    #: It reached the recipient, or the last place that the provider can see.
    DELIVERED = "delivered"
    #: It did not and will not.
    FAILED = "failed"
    #: It is on its way: accepted, sent, buffered, deferred. Changes no status, but ends the doubt of an unclear answer.
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
    #: ``Job.replays`` when the message was sent, as the name that the provider echoes tells it.
    replays: int = 0
    message_id: str | None = None
    #: When it happened, aware UTC; None where the provider doesn't say.
    at: datetime | None = None
    code: str = ""
    text: str = ""
    #: Of progress: a step that every message makes, such as taken or passed on. Of a message that is known to be with
    #: the provider it tells nothing new.
    is_routine: bool = False
    #: Why the recipient can never be reached, or wants nothing more: such a recipient is suppressed. None: not said.
    reason: Reason | None = None
    #: The recipient's address where the provider tells it, for the suppression list; never logged.
    recipient: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """What somebody sent to one of our numbers: STOP, START, HELP, or anything else."""

    event_id: str
    #: Who wrote, as the provider says it: a number in one of the forms that ``recipients.e164`` reads, or a name.
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
    #: What the provider signs in place of the content (Mailgun): it may come again with this content, with no other.
    #: "": the content itself is signed.
    one_time_token: str = field(default="", repr=False)


class SignatureError(Exception):
    """A receipt's signature is missing, wrong, too old, or of a key that isn't ours; the text says which, no secret."""


class UnreadableReceiptError(Exception):
    """The request is signed rightly, and what it holds can't be understood.

    ``one_time_token``: see ``ReceiptBatch``; it is used up all the same.
    """

    def __init__(self, text: str, one_time_token: str = "") -> None:
        super().__init__(text)
        self.one_time_token = one_time_token


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedReceipt:
    """A receipt of the provider called ``provider``, and the job whose message it is about."""

    provider: str
    receipt: Receipt
    #: As it was read when the receipt came; its payload and log may be missing.
    job: Job = field(repr=False)


class FeedbackHandler(Protocol):
    """Is told what recipients want and which of them can't be reached, before the provider is answered.

    At least once: the same event, known by (provider, ``event_id``), may come again, and to two processes at once.
    Each method raises ``StoreError`` where it can't keep what it was given; the provider then sends it all again.
    """

    def on_receipts(self, receipts: Sequence[MatchedReceipt]) -> None:
        """Complaints, unsubscriptions, and receipts with a ``reason`` that is about the recipient."""
        ...

    def on_unmatched(self, provider: str, receipts: Sequence[Receipt]) -> None:
        """The same of messages whose jobs are not kept any more, or never were."""
        ...

    def on_inbound(self, provider: str, messages: Sequence[InboundMessage]) -> None:
        """What people wrote to our numbers with ``provider``."""
        ...
