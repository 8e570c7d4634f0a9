"""Receipts of ``type = "ses"``: what SES publishes to a topic of SNS, which posts it to us.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html, and of an identity's
notifications https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.job import Reason
from wavecom.core.receipts import Receipt, ReceiptBatch, ReceiptKind, UnreadableReceiptError
from wavecom.providers.aws.sns_messages import SnsMessage
from wavecom.providers.receipts.json_events import job_id_at, object_of, text_at, time_at
from wavecom.providers.receipts.sns_topics import TopicReceipts

KINDS: Final = {
    "Send": ReceiptKind.PROGRESS,
    "DeliveryDelay": ReceiptKind.PROGRESS,
    "Delivery": ReceiptKind.DELIVERED,
    # SES tells of a bounce that passes (Transient) only when it has stopped trying.
    "Bounce": ReceiptKind.FAILED,
    "Reject": ReceiptKind.FAILED,
    "Rendering Failure": ReceiptKind.FAILED,
    "Complaint": ReceiptKind.COMPLAINT,
    "Subscription": ReceiptKind.UNSUBSCRIBED,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"Send"})
IGNORED: Final = frozenset({"Open", "Click"})
#: Where the part of each kind of event stands, if not under its name in lower case with its own time in it.
_PARTS: Final = {"DeliveryDelay": "deliveryDelay", "Rendering Failure": "failure"}
#: Subtype of a bounce or a complaint: SES took the mail and did not try to send it
#: (https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_Complaint.html).
_NOT_TRIED: Final = "OnAccountSuppressionList"
#: What SES publishes to a topic that is added to a configuration set.
_GREETING: Final = "Successfully validated SNS topic for Amazon SES event publishing."


class SesReceipts(TopicReceipts):
    """Reads what the configuration set, or the identity, publishes."""

    def read_notification(self, message: SnsMessage) -> ReceiptBatch:
        """See ``TopicReceipts.read_notification``."""
        if message.text.strip() == _GREETING:
            return ReceiptBatch()
        event = object_of(message.text)
        word = text_at(event, "eventType") or text_at(event, "notificationType") or ""
        if word in IGNORED or (word == "Subscription" and not _wants_nothing(event)):
            return ReceiptBatch()
        if word not in KINDS:
            raise UnreadableReceiptError("no event that SES documents")
        return ReceiptBatch(receipts=(_receipt(word, event, message),))


def _receipt(word: str, event: Mapping[str, Any], message: SnsMessage) -> Receipt:
    part = event.get(_PARTS.get(word, word.lower()))
    words = [text_at(part, f"{word.lower()}{suffix}") for suffix in ("Type", "SubType")]
    return Receipt(
        event_id=message.message_id,
        kind=ReceiptKind.FAILED if words[1] == _NOT_TRIED else KINDS[word],
        is_routine=word in ROUTINE,
        job_id=job_id_at(event, "mail", "tags", "wavecom_job_id", 0),
        message_id=text_at(event, "mail", "messageId"),
        at=time_at(part, "timestamp") or time_at(event, "mail", "timestamp"),
        code="_".join([word.replace(" ", ""), *(each for each in words if each)]),
        text=text_at(part, "bouncedRecipients", 0, "status") or "",
        reason=_reason(word, words),
        recipient=text_at(event, "mail", "destination", 0),
    )


def _reason(word: str, words: list[str | None]) -> Reason | None:
    if KINDS[word] in {ReceiptKind.COMPLAINT, ReceiptKind.UNSUBSCRIBED} or words[1] == "UnsubscribedRecipient":
        return Reason.RECIPIENT_OPTED_OUT
    return Reason.RECIPIENT_INVALID if word == "Bounce" and words[0] == "Permanent" else None


def _wants_nothing(event: Mapping[str, Any]) -> bool:
    part = event.get("subscription")
    preferences = part.get("newTopicPreferences") if isinstance(part, dict) else None
    return isinstance(preferences, dict) and preferences.get("unsubscribeAll") is True
