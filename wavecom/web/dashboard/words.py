"""What the pages call things: a word, an icon and a tone for each status, channel and event of a job's history.

The icon repeats what the word says and the tone (a colour) repeats the icon, so that nothing hangs on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from wavecom.core.job import Channel, Priority, UnknownOutcomePolicy
from wavecom.core.states import Status


@dataclass(frozen=True, slots=True)
class Look:
    """``icon`` is a name in templates/dashboard/_parts.html, ``tone`` a class of static/style.css or empty."""

    word: str
    icon: str
    tone: str = ""


STATUSES: dict[Status, Look] = {
    Status.SCHEDULED: Look("Scheduled", "clock"),
    Status.QUEUED: Look("Queued", "lines"),
    Status.PROCESSING: Look("Processing", "spin", "busy"),
    Status.RETRYING: Look("Retrying", "again", "warn"),
    Status.SENT: Look("Sent", "plane", "busy"),
    Status.UNCONFIRMED: Look("Unconfirmed", "question", "warn"),
    Status.DELIVERED: Look("Delivered", "check", "good"),
    Status.FAILED: Look("Failed", "cross", "bad"),
    Status.EXPIRED: Look("Expired", "hourglass", "bad"),
    Status.CANCELLED: Look("Cancelled", "slash"),
}

#: ``LogEntry.event`` → what happened, for people.
EVENTS: dict[str, Look] = {
    "accepted": Look("Accepted by WaveCom", "inbox"),
    "queued": Look("Its time came: queued", "lines"),
    "delivered": Look("Delivered", "check", "good"),
    "sent": Look("Accepted by the provider", "plane", "busy"),
    "unavailable": Look("The provider was unavailable", "alert", "warn"),
    "rejected": Look("Rejected by the provider", "cross", "bad"),
    "outcome_unknown": Look("No clear answer: it may have been sent", "question", "warn"),
    "unconfirmed": Look("Left unconfirmed, not sent again", "question", "warn"),
    "settled": Look("Settled by hand", "check"),
    "receipt": Look("Receipt from the provider", "inbox", "busy"),
    "failed": Look("Failed for good", "cross", "bad"),
    "expired": Look("Expired before it could be sent", "hourglass", "bad"),
    "cancelled": Look("Cancelled", "slash"),
    "replayed": Look("Replayed from the start", "again", "busy"),
    "discarded": Look("Put aside by an operator", "slash"),
}

CHANNELS: dict[Channel, str] = {Channel.EMAIL: "E-mail", Channel.SMS: "SMS", Channel.PUSH: "Push"}

PRIORITIES: dict[Priority, str] = {Priority.HIGH: "High", Priority.NORMAL: "Normal", Priority.BULK: "Bulk"}

POLICIES: dict[UnknownOutcomePolicy, str] = {
    UnknownOutcomePolicy.RETRY: "Try again (at least once)",
    UnknownOutcomePolicy.STOP: "Stop (at most once)",
}


def event_look(event: str) -> Look:
    """The look of an event; one that this table does not know shows its own word."""
    return EVENTS.get(event) or Look(event.replace("_", " ").capitalize(), "dot")
