"""Receipts of ``type = "mailgun"``: its webhooks, an event each.

https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhooks and, for their signature,
https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from typing import Any, Final

from wavecom.core.job import Reason
from wavecom.core.receipts import (
    Receipt,
    ReceiptBatch,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import TOLERANCE, ReceiptDependencies
from wavecom.providers.receipts.json_events import job_id_at, object_of, text_at, time_at, unix_time

#: https://documentation.mailgun.com/docs/mailgun/user-manual/events/events; of ``failed``, what ``severity`` says.
KINDS: Final = {
    "accepted": ReceiptKind.PROGRESS,
    "delivered": ReceiptKind.DELIVERED,
    "failed": ReceiptKind.FAILED,
    "rejected": ReceiptKind.FAILED,
    "complained": ReceiptKind.COMPLAINT,
    "unsubscribed": ReceiptKind.UNSUBSCRIBED,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"accepted"})
IGNORED: Final = frozenset({"opened", "clicked", "stored", "list_member_uploaded", "list_uploaded"})

#: ``reason`` of a permanent failure; any other may be about the content, or us.
REASONS: Final = {
    "bounce": Reason.RECIPIENT_INVALID,
    "suppress-bounce": Reason.RECIPIENT_INVALID,
    "suppress-complaint": Reason.RECIPIENT_OPTED_OUT,
    "suppress-unsubscribe": Reason.RECIPIENT_OPTED_OUT,
}

#: Mailgun repeats what was not answered 200 for so long, the first time after five minutes
#: (https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-retries), and does not say that it signs
#: repetitions anew; of the time it says "you don't want to be too aggressive with this check".
LONGEST_RETRIES: Final = timedelta(hours=8)


class MailgunReceipts:
    """Reads requests that are signed with one of ``webhook_signing_key``.

    The signature covers a time and a token and not the event, so a token is an event's name, and good for that one,
    whatever is made of it: else who saw one that is passed over could put its token on another.
    """

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._keys = [key.encode() for key in config.options.webhook_signing_key]

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        try:
            content = object_of(request.body)
        except UnreadableReceiptError as error:
            raise SignatureError(str(error)) from None
        timestamp, token, given = (
            text_at(content, "signature", name) or "" for name in ("timestamp", "token", "signature")
        )
        at = unix_time(timestamp)
        if at is None or not -TOLERANCE <= request.at - at <= LONGEST_RETRIES + TOLERANCE:
            raise SignatureError("its time is missing, or too far from ours")
        signed = f"{timestamp}{token}".encode()
        expected = [hmac.digest(key, signed, "sha256").hex().encode() for key in self._keys]
        if not token or not any(hmac.compare_digest(given.encode(), each) for each in expected):
            raise SignatureError("the signature is wrong")

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        content = object_of(request.body)
        event, word = content.get("event-data"), text_at(content, "event-data", "event") or ""
        token = text_at(content, "signature", "token") or ""
        if word in IGNORED:
            return ReceiptBatch(one_time_token=token)
        if word not in KINDS:
            raise UnreadableReceiptError("no event that Mailgun documents", token)
        return ReceiptBatch(receipts=(_receipt(word, event, token),), one_time_token=token)


def _receipt(word: str, event: object, token: str) -> Receipt:
    kind, severity = KINDS[word], text_at(event, "severity")
    reason = None
    if kind in {ReceiptKind.COMPLAINT, ReceiptKind.UNSUBSCRIBED}:
        reason = Reason.RECIPIENT_OPTED_OUT
    elif word == "failed" and severity == "temporary":
        kind = ReceiptKind.PROGRESS  # it tries again, and says at last that it is permanent
    elif word == "failed" and text_at(event, "delivery-status", "bounce-type") != "soft":
        reason = REASONS.get(text_at(event, "reason") or "")
    message_id = text_at(event, "message", "headers", "message-id")
    return Receipt(
        event_id=token,
        kind=kind,
        is_routine=word in ROUTINE,
        job_id=job_id_at(event, "user-variables", "wavecom_job_id"),
        message_id=message_id and message_id.strip("<>"),
        at=time_at(event, "timestamp"),
        code=f"{word}_{severity}" if severity else word,
        text=text_at(event, "delivery-status", "code") or "",
        reason=reason,
        recipient=text_at(event, "recipient"),
    )
