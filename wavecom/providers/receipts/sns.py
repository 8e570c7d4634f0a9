"""Receipts of ``type = "sns"``: what End User Messaging publishes to a topic of SNS, which posts it to us.

https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-format.html (events of messages) and
https://docs.aws.amazon.com/sms-voice/latest/userguide/two-way-sms-payload.html (messages to our numbers).
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from wavecom.core.job import JobId, Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptBatch,
    ReceiptKind,
    UnreadableReceiptError,
)
from wavecom.providers.aws.sns_messages import SnsMessage
from wavecom.providers.receipts.sns_topics import TopicReceipts

#: https://docs.aws.amazon.com/sms-voice/latest/userguide/configuration-sets-event-types.html. TEXT_SUCCESSFUL is the
#: last that some countries' networks say, and counts as delivered where it ``isFinal``; TEXT_UNKNOWN says after 72
#: hours that nobody said anything.
KINDS: Final = {
    "TEXT_SENT": ReceiptKind.PROGRESS,
    "TEXT_PENDING": ReceiptKind.PROGRESS,
    "TEXT_QUEUED": ReceiptKind.PROGRESS,
    "TEXT_UNKNOWN": ReceiptKind.PROGRESS,
    "TEXT_SUCCESSFUL": ReceiptKind.PROGRESS,
    "TEXT_DELIVERED": ReceiptKind.DELIVERED,
    "TEXT_INVALID": ReceiptKind.FAILED,
    "TEXT_INVALID_MESSAGE": ReceiptKind.FAILED,
    "TEXT_UNREACHABLE": ReceiptKind.FAILED,
    "TEXT_CARRIER_UNREACHABLE": ReceiptKind.FAILED,
    "TEXT_BLOCKED": ReceiptKind.FAILED,
    "TEXT_CARRIER_BLOCKED": ReceiptKind.FAILED,
    "TEXT_PROTECT_BLOCKED": ReceiptKind.FAILED,
    "TEXT_SPAM": ReceiptKind.FAILED,
    "TEXT_TTL_EXPIRED": ReceiptKind.FAILED,
}
#: "The destination phone number is invalid."
REASONS: Final = {"TEXT_INVALID": Reason.RECIPIENT_INVALID}


class SnsReceipts(TopicReceipts):
    """Reads what the configuration set, or the number, publishes."""

    def read_notification(self, message: SnsMessage) -> ReceiptBatch:
        """See ``TopicReceipts.read_notification``."""
        try:
            event = orjson.loads(message.text)
        except orjson.JSONDecodeError:
            raise UnreadableReceiptError("the message is no JSON") from None
        if isinstance(event, dict) and isinstance(event.get("inboundMessageId"), str):
            return ReceiptBatch(inbound=(_inbound(event),))
        if isinstance(event, dict) and str(event.get("eventType")) in KINDS and isinstance(event.get("messageId"), str):
            return ReceiptBatch(receipts=(_receipt(event),))
        raise UnreadableReceiptError("neither an event of a text message nor a message to one of our numbers")


def _receipt(event: dict[str, Any]) -> Receipt:
    event_type: str = event["eventType"]
    is_last_word = event_type == "TEXT_SUCCESSFUL" and event.get("isFinal") is True
    context = event.get("context")
    job = context.get("jobId") if isinstance(context, dict) else None
    recipient = event.get("destinationPhoneNumber")
    return Receipt(
        event_id=f"{event['messageId']}:{event_type}",
        kind=ReceiptKind.DELIVERED if is_last_word else KINDS[event_type],
        job_id=JobId(job) if isinstance(job, str) and job else None,
        message_id=event["messageId"],
        at=_time(event.get("eventTimestamp")),
        code=event_type,
        reason=REASONS.get(event_type),
        recipient=recipient if isinstance(recipient, str) else None,
    )


def _inbound(event: dict[str, Any]) -> InboundMessage:
    def text(name: str) -> str:
        return str(event.get(name) or "")

    return InboundMessage(
        event_id=event["inboundMessageId"],
        sender=text("originationNumber"),
        to=text("destinationNumber"),
        text=text("messageBody"),
    )


def _time(milliseconds: object) -> datetime | None:
    if isinstance(milliseconds, int):
        with suppress(ValueError, OverflowError, OSError):
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
    return None
