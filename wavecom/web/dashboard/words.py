"""What the pages call things: a word, an icon and a tone for each status, channel and event of a job's history.

The icon repeats what the word says and the tone (a colour) repeats the icon, so that nothing hangs on colour alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wavecom.core.account import is_test_account
from wavecom.core.callbacks import CallbackState
from wavecom.core.campaigns.model import CampaignStatus
from wavecom.core.campaigns.pacing import CampaignHold
from wavecom.core.job import UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.provider_administration import ProviderAvailability
from wavecom.core.states import Status
from wavecom.core.suppressions import SuppressionScope, SuppressionSource, SuppressionState
from wavecom.core.templates.model import VersionState
from wavecom.core.vocabulary import JobErrorCode


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
CAMPAIGN_STATES: dict[CampaignStatus, Appearance] = {
    CampaignStatus.UPLOADING: Appearance("Rows are uploaded", "spin", "busy"),
    CampaignStatus.READY: Appearance("Ready to start", "clock"),
    CampaignStatus.AWAITING_APPROVAL: Appearance("To be approved", "hourglass", "warn"),
    CampaignStatus.RUNNING: Appearance("Running", "plane", "busy"),
    CampaignStatus.PAUSED: Appearance("Paused", "hourglass", "warn"),
    CampaignStatus.CANCELLING: Appearance("Being cancelled", "spin", "warn"),
    CampaignStatus.CANCELLED: Appearance("Cancelled", "slash"),
    CampaignStatus.FINISHED: Appearance("All rows sent on", "check", "good"),
}
CAMPAIGN_HOLDS: dict[str, str] = {
    CampaignHold.START: "It begins later.",
    CampaignHold.SEND_WINDOW: "Its send window is closed.",
    CampaignHold.PACE: "",
    CampaignHold.LANE: "Enough of its notifications wait to be delivered: others must not wait behind more.",
    CampaignHold.QUOTA: "The day’s quota is used up.",
    CampaignHold.KEY: "The key that started it has ended: pause it, and resume it with another.",
    CampaignHold.ROWS: "Rows of it can’t be read any more: see the log.",
}
TEMPLATE_STATES: dict[VersionState | None, Appearance] = {
    VersionState.DRAFT: Appearance("Draft", "dot"),
    VersionState.REVIEW: Appearance("To be reviewed", "hourglass", "warn"),
    VersionState.PUBLISHED: Appearance("Published", "check", "good"),
    # A later release saved it.
    None: Appearance("Not readable", "alert", "bad"),
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
    "held": Appearance("Waits for an hour at which it may come", "clock"),
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


#: ``action`` of an audit entry → what was done, for people.
AUDIT_ACTIONS: dict[str, str] = {
    "replay": "Started notifications again",
    "discard": "Put dead letters aside",
    "discard_raw": "Removed foreign messages",
    "reveal": "Looked at a recipient and message",
    "settle": "Settled notifications by hand",
    "cancel": "Cancelled notifications",
    "send_elsewhere": "Sent a message to another address",
    "begin_release": "A release began",
    "create_key": "Made an API key",
    "rotate_key": "Rotated an API key",
    "revoke_key": "Revoked an API key",
    "allow_senders": "Changed a client's senders",
    "begin_session": "Signed in",
    "sign_on": "Was let in by the identity provider",
    "end_session": "Ended a session",
    "pause_provider": "Paused a provider",
    "reopen_provider": "Opened a provider",
    "weigh_provider": "Changed a provider's weight",
    "send_test_message": "Sent a test message",
    "adjust_weight": "Weight followed receipts",
    "add_user": "Made a user",
    "change_role": "Changed a role",
    "disable_user": "Kept a user out",
    "enable_user": "Let a user in",
    "reset_user": "Reset a user",
    "change_password": "Changed the own password",
    "save_template": "Saved a version of a template",
    "ask_template_review": "Asked for a template's review",
    "publish_template": "Published a template",
    "set_category": "Set a category of messages",
    "delete_category": "Deleted a category of messages",
    "set_preference_page": "Changed the look of preference pages",
    "create_callback": "Made a callback",
    "change_callback": "Changed a callback",
    "rotate_callback_secret": "Made a callback a new secret",
    "delete_callback": "Deleted a callback",
    "create_campaign": "Made a campaign",
    "upload_campaign_rows": "Sent rows of a campaign",
    "start_campaign": "Started a campaign",
    "approve_campaign": "Approved a campaign",
    "pause_campaign": "Paused a campaign",
    "resume_campaign": "Went on with a campaign",
    "cancel_campaign": "Cancelled a campaign",
    "set_contact": "Set a client's contact",
    "restore": "Settled a restored store",
}


def audit_word(action: str) -> str:
    """What was done; an action that this table does not know shows its own word."""
    return AUDIT_ACTIONS.get(action) or action.replace("_", " ").capitalize()


#: Why a notification failed or waits, and what that means for whoever looks.
ERROR_CODES: dict[str, str] = {
    JobErrorCode.REJECTED: "The provider refuses this message. Sending it again unchanged will be refused again.",
    JobErrorCode.RECIPIENT_GONE: "The recipient existed and exists no more. It is on the suppression list.",
    JobErrorCode.RECIPIENT_INVALID: "This address can never be reached. Ask the customer for another one.",
    JobErrorCode.RECIPIENT_OPTED_OUT: "The recipient told the provider to send nothing more.",
    JobErrorCode.SUPPRESSED: "The recipient is on the suppression list: nothing was sent.",
    JobErrorCode.UNWANTED: "The recipient does not want it, or has had enough of its kind: nothing was sent.",
    JobErrorCode.NOT_SUPPORTED: "No provider of its route can send what this message asks for.",
    JobErrorCode.PROVIDER_UNAVAILABLE: "No provider of its route could take it at that moment. It is tried again.",
    JobErrorCode.ATTEMPTS_EXHAUSTED: "Every attempt met an unavailable provider. Retry it when the providers are well.",
    JobErrorCode.OUTCOME_UNKNOWN: "A call ended without a clear answer: it may have been sent. Ask the provider.",
    JobErrorCode.UNDELIVERED: "The provider took it and reported later that it was not delivered.",
    JobErrorCode.SETTLED: "Somebody closed it by hand and said how they knew.",
    JobErrorCode.EXPIRED: "Its time was over before it could be sent. Nothing was sent after that.",
}
_CODE_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"http_(401|403)"), "The provider doesn’t accept our key or address."),
    (re.compile(r"http_(408|504)|timeout.*|.*_timeout"), "The provider did not answer in time."),
    (re.compile(r"http_429|.*rate_limit.*"), "The provider wants fewer calls a second."),
    (re.compile(r"http_4\d\d"), "The provider refused the request itself."),
    (re.compile(r"http_5\d\d"), "The provider has trouble of its own."),
    (re.compile(r"smtp_4\d\d"), "The mail server can’t take it now; it may later."),
    (re.compile(r"smtp_5\d\d"), "The mail server refuses it for good."),
    (re.compile(r"connect.*|dns.*|tls.*"), "The provider could not be reached."),
    (re.compile(r"receipt_missing"), "The provider never reported what became of it; it counts as delivered."),
)


def code_explanation(code: str) -> str:
    """What a code means, in a sentence; "" for one that only the provider's documents explain."""
    if code in ERROR_CODES:
        return ERROR_CODES[code]
    return next((text for pattern, text in _CODE_PATTERNS if pattern.fullmatch(code)), "")
