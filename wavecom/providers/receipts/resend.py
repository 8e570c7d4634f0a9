"""Receipts of ``type = "resend"``: its webhooks, an event each, signed as Svix signs.

https://resend.com/docs/webhooks/event-types and https://resend.com/docs/webhooks/verify-webhooks-requests
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.job import JobId, Reason
from wavecom.core.receipts import Receipt, ReceiptBatch, ReceiptKind, ReceiptRequest, UnreadableReceiptError
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.json_events import job_id_at, object_of, text_at, time_at, value_at
from wavecom.providers.receipts.standard_webhooks import StandardWebhooksVerifier

KINDS: Final = {
    "email.scheduled": ReceiptKind.PROGRESS,
    "email.sent": ReceiptKind.PROGRESS,
    "email.delivery_delayed": ReceiptKind.PROGRESS,
    "email.delivered": ReceiptKind.DELIVERED,
    "email.bounced": ReceiptKind.FAILED,
    "email.failed": ReceiptKind.FAILED,
    "email.suppressed": ReceiptKind.FAILED,
    "email.complained": ReceiptKind.COMPLAINT,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"email.sent"})
#: Of what readers do, and of what is no mail of ours.
IGNORED: Final = ("email.opened", "email.clicked", "email.received", "contact.", "domain.")


class ResendReceipts:
    """Reads requests that are signed with one of ``webhook_secret``."""

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._verifier = StandardWebhooksVerifier(config.options.webhook_secret, header_prefix="svix")

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        self._verifier.verify(request)

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        event = object_of(request.body)
        word = text_at(event, "type") or ""
        if word.startswith(IGNORED):
            return ReceiptBatch()
        if word not in KINDS:
            raise UnreadableReceiptError("no event that Resend documents")
        return ReceiptBatch(receipts=(_receipt(word, event, self._verifier.message_id(request)),))


def _receipt(word: str, event: Mapping[str, Any], event_id: str) -> Receipt:
    bounce = text_at(event, "data", "bounce", "type")
    name = word.removeprefix("email.")
    return Receipt(
        event_id=event_id,
        kind=KINDS[word],
        is_routine=word in ROUTINE,
        job_id=_job_id(value_at(event, "data", "tags")),
        message_id=text_at(event, "data", "email_id"),
        at=time_at(event, "created_at"),
        code=f"{name}_{bounce}" if bounce else name,
        text=text_at(event, "data", "bounce", "subType") or "",
        reason=_reason(word, bounce),
        recipient=text_at(event, "data", "to", 0),
    )


def _reason(word: str, bounce: str | None) -> Reason | None:
    if word == "email.complained":
        return Reason.RECIPIENT_OPTED_OUT
    is_address = word == "email.suppressed" or (word == "email.bounced" and bounce == "Permanent")
    return Reason.RECIPIENT_INVALID if is_address else None


def _job_id(tags: object) -> JobId | None:
    """Our tag, of an object of tags or of the list that we sent."""
    if isinstance(tags, list):
        tags = {text_at(tag, "name"): value_at(tag, "value") for tag in tags}
    return job_id_at(tags, "wavecom_job_id")
