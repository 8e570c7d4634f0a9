"""The shapes of what is answered about notifications. ``representation.py`` makes them, docs/api.md explains them."""

from __future__ import annotations

from typing import Any

from wavecom.core.job import Outcome, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.receipts import ReceiptKind
from wavecom.core.sms import ENCODINGS
from wavecom.core.states import Status
from wavecom.core.vocabulary import JobErrorCode, LogEvent
from wavecom.web.api.schemas.metadata import METADATA_VALUE
from wavecom.web.api.schemas.push import Platform
from wavecom.web.api.shapes import (
    Json,
    Shape,
    anything,
    array,
    boolean,
    enum,
    integer,
    nullable,
    record,
    text,
    timestamp,
    uuid,
)

EXAMPLE_ID = "019cebab-8995-7000-8000-000000000001"

ACCEPTED = record(
    "Accepted",
    {
        "jobId": uuid("the notification's id"),
        "status": enum([Status.QUEUED, Status.SCHEDULED]),
        "type": enum(Channel),
        "priority": enum(Priority),
        "createdAt": timestamp("when it was accepted"),
        "sendAt": timestamp("as sent; only where it is scheduled"),
        "heldUntil": timestamp(
            "when the recipient's hours, or the category's, let it start; only where it waits for it"
        ),
        "segments": integer("how many parts networks will bill; SMS only", minimum=1),
        "encoding": enum(ENCODINGS, "what the text needs; SMS only"),
    },
    optional={"sendAt", "heldUntil", "segments", "encoding"},
    description="The first answer about a notification; a replay repeats it word for word.",
)
ACCEPTED_EXAMPLE: Json = {
    "jobId": EXAMPLE_ID,
    "status": "queued",
    "type": "sms",
    "priority": "high",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "segments": 1,
    "encoding": "GSM-7",
}

_SUBSCRIPTION = record(
    "WebPushSubscription",
    {
        "endpoint": text(),
        "keys": record("WebPushKeys", {"p256dh": text(), "auth": text()}),
        "expirationTime": nullable(integer("milliseconds since 1970")),
    },
    optional={"expirationTime"},
)
TO = Shape(
    "Recipient",
    {
        "anyOf": [
            record("EmailRecipient", {"email": text(), "name": text(), "asSent": text()}, optional={"name", "asSent"}),
            record("SmsRecipient", {"phone": text(), "asSent": text()}, optional={"asSent"}),
            record(
                "PushRecipient",
                {"platform": enum(Platform), "token": text(), "subscription": _SUBSCRIPTION},
                optional={"token", "subscription"},
            ),
        ],
        "description": "whom, in the form that is sent to and searched for; `asSent` where you wrote it differently",
    },
)
JOB_ERROR = record("JobError", {"code": enum(JobErrorCode), "message": text(), "provider": nullable(text())})

#: By what a payload was written.
TEMPLATE_USE = record(
    "TemplateUse",
    {"name": text(), "version": integer(minimum=1), "locale": text("of the words")},
    description="by what the payload was written; null where you gave it",
)

#: Of which fallback a notification is a step.
PARENT = record(
    "Parent",
    {"jobId": uuid("the id that the fallback was accepted with"), "step": integer("from 1", minimum=1)},
    description="the fallback of which this is a step; null where it is a notification by itself",
)

_SUMMARY: dict[str, Any] = {
    "jobId": uuid("the id"),
    "type": enum(Channel),
    "to": TO,
    "recipientId": nullable(text("whose address that was when it was accepted; null where you gave the address")),
    "category": nullable(text("as sent")),
    "status": enum(Status),
    "priority": enum(Priority),
    "region": nullable(text("where it is delivered; null where there are no regions")),
    "template": nullable(TEMPLATE_USE),
    "attempts": integer("how many have been made and recorded"),
    "maxAttempts": integer(minimum=1),
    "onUnknownOutcome": enum(UnknownOutcomePolicy),
    "mayHaveBeenSent": boolean("an attempt ended without a clear answer: the recipient may have the message"),
    "replays": integer("how often it was started again after it had failed"),
    "provider": nullable(text("who was tried last")),
    "providerMessageId": nullable(text("the provider's own id for the message")),
    "error": nullable(JOB_ERROR),
    "metadata": {
        "type": "object",
        "additionalProperties": METADATA_VALUE,
        "description": "as sent",
    },
    "parent": nullable(PARENT),
    "idempotencyKey": nullable(text("as sent")),
    "createdBy": nullable(text("who sent it: `key <keyId>`, or `operator`")),
    "createdAt": timestamp("when it was accepted"),
    "updatedAt": timestamp("when it last changed"),
    "sendAt": nullable(timestamp("as sent")),
    "heldUntil": nullable(timestamp("until when it had to wait, by the recipient's hours or the category's")),
    "expiresAt": timestamp("when WaveCom gives up"),
    "nextAttemptAt": nullable(timestamp("when the next attempt is due")),
    "finishedAt": nullable(timestamp("when it came to its end")),
}
SUMMARY = record("NotificationSummary", _SUMMARY)

_MAILBOX = Shape(
    "MailboxAsSent",
    {
        "anyOf": [text("an address"), record("NamedMailbox", {"email": text(), "name": text()}, optional={"name"})],
        "description": "in the shape in which it was sent",
    },
)
_REPLY_TO = Shape(
    "ReplyToAsSent",
    {**_MAILBOX.schema, "anyOf": [*_MAILBOX.schema["anyOf"], {"type": "array", "items": _MAILBOX}]},
)
#: The payloads as they are answered: the fields of the request's schemas, which a test holds equal.
EMAIL_CONTENT = record(
    "EmailContent",
    {
        "subject": text(),
        "text": text(),
        "html": text(),
        "from": _MAILBOX,
        "replyTo": _REPLY_TO,
        "calendar": record("CalendarAsSent", {"method": text(), "content": text()}),
        "headers": {"type": "object", "additionalProperties": {"type": "string"}},
        "attachments": array(
            record(
                "AttachedFile",
                {
                    "filename": text(),
                    "contentType": text(),
                    "size": integer("bytes, decoded"),
                    "contentId": text("by which the HTML shows it"),
                },
                optional={"contentId"},
            )
        ),
    },
    optional={"text", "html", "from", "replyTo", "calendar", "headers", "attachments"},
)
SMS_CONTENT = record("SmsContent", {"text": text(), "senderId": text()}, optional={"senderId"})
_PUSH_FIELDS: dict[str, Any] = {
    "title": text(),
    "body": text(),
    "data": {"type": "object", "additionalProperties": {"type": "string"}},
    "badge": integer(),
    "sound": text(),
    "ttlSeconds": integer(),
    "collapseKey": text(),
    "imageUrl": text(),
    "clickUrl": text(),
}
PUSH_CONTENT = record("PushContent", _PUSH_FIELDS, optional=_PUSH_FIELDS)
CONTENT = Shape(
    "Content",
    {
        # In this order: who tries one after the other finds the first that has all that it must have.
        "anyOf": [EMAIL_CONTENT, SMS_CONTENT, PUSH_CONTENT],
        "description": "as sent; of attachments everything but their content",
    },
)

_LOG_ENTRY = record(
    "LogEntry",
    {
        "at": timestamp(),
        "event": enum(LogEvent, "docs/api.md explains each"),
        "attempt": integer(minimum=1),
        "provider": text(),
        "outcome": enum([*Outcome, *ReceiptKind], "of an attempt; the last five: of a receipt"),
        "code": text("the provider's answer, such as http_503 or timeout"),
        "message": text(),
        "latencyMs": {"type": "number", "minimum": 0},
        "nextAttemptAt": timestamp(),
        "by": text("who asked for it: `key <keyId>`, or `operator`"),
    },
    optional={"attempt", "provider", "outcome", "code", "message", "latencyMs", "nextAttemptAt", "by"},
)
NOTIFICATION = record(
    "Notification",
    _SUMMARY
    | {
        "payload": CONTENT,
        "logs": array(_LOG_ENTRY, "what happened, oldest first; the last entries"),
        "logCount": integer("how many entries there have been"),
    },
)
PAGE = record(
    "NotificationPage",
    {"items": array(SUMMARY), "next": nullable(text("the address of the next page; null on the last"))},
)

_REASONS = array(
    record(
        "Reason",
        {"code": enum(JobErrorCode, "an `error.code`"), "provider": nullable(text()), "count": integer(minimum=1)},
    ),
    "why they had failed, the most frequent first",
)
REPLAY = record(
    "ReplayResult",
    {
        "auditId": text("under which WaveCom remembers who asked for this; also in the log of each notification"),
        "replayed": integer("how many this call starts again"),
        "skipped": integer("how many were found started already, or not failed"),
        "inDoubt": integer("how many were left alone because they might be sent twice; see `acceptDuplicate`"),
        "unknown": integer("how many of the ids name none of your notifications"),
        "reasons": _REASONS,
        "lastStartsAt": nullable(timestamp("when the last of them starts")),
        "remaining": integer("how many more there are"),
        "next": nullable(anything("the body of the next call; null when nothing remains")),
    },
)
REPLAY_PREVIEW = record(
    "ReplayPreview",
    {"count": integer("how many there are"), "reasons": _REASONS, "sample": array(SUMMARY, "a few, the newest first")},
)

SUMMARY_EXAMPLE: Json = {
    "jobId": EXAMPLE_ID,
    "type": "sms",
    "to": {"phone": "+447700900123", "asSent": "+44 7700 900123"},
    "recipientId": None,
    "category": None,
    "status": "delivered",
    "priority": "high",
    "region": None,
    "template": None,
    "attempts": 1,
    "maxAttempts": 5,
    "onUnknownOutcome": "retry",
    "mayHaveBeenSent": False,
    "replays": 0,
    "provider": "sandbox",
    "providerMessageId": "sb-1",
    "error": None,
    "metadata": {"order": 42},
    "parent": None,
    "idempotencyKey": "order-42-otp-1",
    "createdBy": "key 5f0c9d2e7a1b4c6d8e3f0a9b8c7d6e5f",
    "createdAt": "2026-03-14T09:26:53.589Z",
    "updatedAt": "2026-03-14T09:26:53.702Z",
    "sendAt": None,
    "heldUntil": None,
    "expiresAt": "2026-03-14T09:31:53.589Z",
    "nextAttemptAt": None,
    "finishedAt": "2026-03-14T09:26:53.702Z",
}
NOTIFICATION_EXAMPLE: Json = SUMMARY_EXAMPLE | {
    "payload": {"text": "493817 is your code. It is valid for 5 minutes."},
    "logs": [
        {"at": "2026-03-14T09:26:53.589Z", "event": "accepted"},
        {
            "at": "2026-03-14T09:26:53.702Z",
            "event": "delivered",
            "attempt": 1,
            "provider": "sandbox",
            "outcome": "accepted",
            "latencyMs": 61.4,
        },
    ],
    "logCount": 2,
}
CANCELLED_EXAMPLE: Json = NOTIFICATION_EXAMPLE | {
    "status": "cancelled",
    "attempts": 0,
    "provider": None,
    "providerMessageId": None,
    "logs": [
        {"at": "2026-03-14T09:26:53.589Z", "event": "accepted"},
        {"at": "2026-03-14T09:26:53.702Z", "event": "cancelled"},
    ],
}
RETRIED_EXAMPLE: Json = NOTIFICATION_EXAMPLE | {
    "status": "queued",
    "attempts": 0,
    "replays": 1,
    "providerMessageId": None,
    "finishedAt": None,
    "logs": [
        {"at": "2026-03-14T09:26:53.589Z", "event": "accepted"},
        {
            "at": "2026-03-14T09:26:53.702Z",
            "event": "rejected",
            "attempt": 1,
            "provider": "sandbox",
            "outcome": "rejected",
            "code": "http_400",
            "latencyMs": 61.4,
        },
        {
            "at": "2026-03-14T09:26:53.702Z",
            "event": "failed",
            "provider": "sandbox",
            "code": "rejected",
            "message": "http_400",
        },
        {"at": "2026-03-14T10:02:11.040Z", "event": "replayed"},
    ],
    "logCount": 4,
}
SETTLED_EXAMPLE: Json = NOTIFICATION_EXAMPLE | {
    "onUnknownOutcome": "stop",
    "mayHaveBeenSent": True,
    "logs": [
        {"at": "2026-03-14T09:26:53.589Z", "event": "accepted"},
        {
            "at": "2026-03-14T09:26:53.702Z",
            "event": "outcome_unknown",
            "attempt": 1,
            "provider": "sandbox",
            "outcome": "unknown",
            "code": "timeout",
            "latencyMs": 10000.0,
        },
        {
            "at": "2026-03-14T09:26:53.702Z",
            "event": "unconfirmed",
            "message": "not sent again, because onUnknownOutcome is stop; ends as failed at 2026-03-17T09:26:53Z "
            "unless a receipt, a settlement, or a retry with acceptDuplicate comes first",
        },
        {
            "at": "2026-03-14T10:02:11.040Z",
            "event": "settled",
            "provider": "sandbox",
            "outcome": "delivered",
            "message": "The gateway's console shows it as delivered at 09:27. (by the client, audit entry "
            "019ceba1-0000-7000-8000-000000000001)",
        },
    ],
    "logCount": 4,
}
REPLAY_EXAMPLE: Json = {
    "auditId": "019ceba1-0000-7000-8000-000000000001",
    "replayed": 1000,
    "skipped": 0,
    "inDoubt": 0,
    "unknown": 0,
    "reasons": [{"code": "attempts_exhausted", "provider": "gateway", "count": 1000}],
    "lastStartsAt": "2026-03-14T10:02:30.000Z",
    "remaining": 204,
    "next": {
        "errorCode": "attempts_exhausted",
        "provider": "gateway",
        "failedSince": "2026-03-14T08:00:00Z",
        "ratePerSecond": 50,
        "failedBefore": "2026-03-14T10:02:11.000Z",
        "startsAt": "2026-03-14T10:02:32.000Z",
    },
}
REPLAY_PREVIEW_EXAMPLE: Json = {
    "count": 1204,
    "reasons": [{"code": "attempts_exhausted", "provider": "gateway", "count": 1204}],
    "sample": [
        SUMMARY_EXAMPLE
        | {
            "status": "failed",
            "attempts": 5,
            "provider": "gateway",
            "providerMessageId": None,
            "error": {"code": "attempts_exhausted", "message": "http_503", "provider": "gateway"},
        }
    ],
}
