"""What the pages call things: a word, an icon and a tone for each status, channel and event of a job's history.

The icon repeats what the word says and the tone (a colour) repeats the icon, so that nothing hangs on colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from wavecom.core.account import is_test_account
from wavecom.core.callbacks import CallbackState
from wavecom.core.job import UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.provider_administration import ProviderAvailability
from wavecom.core.states import Status
from wavecom.core.suppressions import SuppressionScope, SuppressionSource, SuppressionState


@dataclass(frozen=True, slots=True)
class Appearance:
    """``icon`` is a name in templates/dashboard/_parts.html, ``tone`` a class of static/style.css or empty."""

    word: str
    icon: str
    tone: str = ""


STATUSES: dict[Status, Appearance] = {
    Status.SCHEDULED: Appearance("Scheduled", "clock"),
    Status.QUEUED: Appearance("Queued", "lines"),
    Status.PROCESSING: Appearance("Processing", "spin", "busy"),
    Status.RETRYING: Appearance("Retrying", "again", "warn"),
    Status.SENT: Appearance("Sent", "plane", "busy"),
    Status.UNCONFIRMED: Appearance("Unconfirmed", "question", "warn"),
    Status.DELIVERED: Appearance("Delivered", "check", "good"),
    Status.FAILED: Appearance("Failed", "cross", "bad"),
    Status.EXPIRED: Appearance("Expired", "hourglass", "bad"),
    Status.CANCELLED: Appearance("Cancelled", "slash"),
}

CALLBACK_STATES: dict[CallbackState, Appearance] = {
    CallbackState.ACTIVE: Appearance("Active", "check", "good"),
    CallbackState.PAUSED: Appearance("Paused", "hourglass"),
    CallbackState.DISABLED: Appearance("Disabled", "alert", "bad"),
}
SUPPRESSION_STATES: dict[SuppressionState, Appearance] = {
    SuppressionState.ACTIVE: Appearance("In force", "slash", "warn"),
    SuppressionState.LIFTED: Appearance("Lifted", "check"),
    SuppressionState.EXPIRED: Appearance("Expired", "hourglass"),
}
SUPPRESSION_SOURCES: dict[SuppressionSource, str] = {
    SuppressionSource.BOUNCE: "Can’t be reached",
    SuppressionSource.GONE: "Push token gone",
    SuppressionSource.COMPLAINT: "Complaint",
    SuppressionSource.STOP: "STOP",
    SuppressionSource.UNSUBSCRIBE: "Unsubscribed",
    SuppressionSource.MANUAL: "By hand",
}
SUPPRESSION_SCOPES: dict[SuppressionScope, str] = {
    SuppressionScope.ALL: "Everything",
    SuppressionScope.MARKETING: "All but high priority",
}

PROVIDER_STATES: dict[ProviderAvailability, Appearance] = {
    ProviderAvailability.IN_USE: Appearance("In use", "check", "good"),
    ProviderAvailability.STARTING: Appearance("Starting slowly", "again", "busy"),
    ProviderAvailability.PAUSED: Appearance("Paused", "clock", "warn"),
    ProviderAvailability.LEFT_ALONE: Appearance("Left alone", "cross", "bad"),
    ProviderAvailability.TRIED: Appearance("Being tried", "question", "warn"),
}

#: ``LogEntry.event`` → what happened, for people.
EVENTS: dict[str, Appearance] = {
    "accepted": Appearance("Accepted by WaveCom", "inbox"),
    "queued": Appearance("Its time came: queued", "lines"),
    "delivered": Appearance("Delivered", "check", "good"),
    "sent": Appearance("Accepted by the provider", "plane", "busy"),
    "unavailable": Appearance("The provider was unavailable", "alert", "warn"),
    "rejected": Appearance("Rejected by the provider", "cross", "bad"),
    "outcome_unknown": Appearance("No clear answer: it may have been sent", "question", "warn"),
    "unconfirmed": Appearance("Left unconfirmed, not sent again", "question", "warn"),
    "settled": Appearance("Settled by hand", "check"),
    "receipt": Appearance("Receipt from the provider", "inbox", "busy"),
    "failed": Appearance("Failed for good", "cross", "bad"),
    "expired": Appearance("Expired before it could be sent", "hourglass", "bad"),
    "cancelled": Appearance("Cancelled", "slash"),
    "replayed": Appearance("Replayed from the start", "again", "busy"),
    "discarded": Appearance("Put aside by an operator", "slash"),
}

CHANNELS: dict[Channel, str] = {Channel.EMAIL: "E-mail", Channel.SMS: "SMS", Channel.PUSH: "Push"}

PRIORITIES: dict[Priority, str] = {Priority.HIGH: "High", Priority.NORMAL: "Normal", Priority.BULK: "Bulk"}

POLICIES: dict[UnknownOutcomePolicy, str] = {
    UnknownOutcomePolicy.RETRY: "Try again (at least once)",
    UnknownOutcomePolicy.STOP: "Stop (at most once)",
}


def event_appearance(event: str) -> Appearance:
    """The look of an event; one that this table does not know shows its own word."""
    return EVENTS.get(event) or Appearance(event.replace("_", " ").capitalize(), "dot")


def mode_word(account: str) -> str:
    """An account's word in the filter of the list: ``test`` or ``live``."""
    return "test" if is_test_account(account) else "live"
