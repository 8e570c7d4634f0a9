"""Receipts of ``type = "postmark"``: its webhooks, an event each, known by user and password in their address.

https://postmarkapp.com/developer/webhooks/webhooks-overview and
https://postmarkapp.com/developer/api/bounce-api#bounce-types
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.job import Reason
from wavecom.core.receipts import (
    Receipt,
    ReceiptBatch,
    ReceiptKind,
    ReceiptRequest,
    UnreadableReceiptError,
)
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.basic_auth import BasicAuthVerifier
from wavecom.providers.receipts.json_events import job_id_at, object_of, text_at, time_at

_PROGRESS, _FAILED = (ReceiptKind.PROGRESS, None), (ReceiptKind.FAILED, None)
_INVALID = (ReceiptKind.FAILED, Reason.RECIPIENT_INVALID)
_COMPLAINT = (ReceiptKind.COMPLAINT, Reason.RECIPIENT_OPTED_OUT)
_UNSUBSCRIBED = (ReceiptKind.UNSUBSCRIBED, Reason.RECIPIENT_OPTED_OUT)

#: ``Type`` of a bounce, and ``SuppressionReason`` of a change of a subscription. None: nothing of this message.
BOUNCES: Final[Mapping[str, tuple[ReceiptKind, Reason | None] | None]] = {
    "HardBounce": _INVALID,
    "BadEmailAddress": _INVALID,
    "Transient": _PROGRESS,
    "DnsError": _PROGRESS,
    "SoftBounce": _FAILED,
    "SpamNotification": _FAILED,
    "VirusNotification": _FAILED,
    "Blocked": _FAILED,
    "DMARCPolicy": _FAILED,
    "ManuallyDeactivated": _FAILED,
    "SMTPApiError": _FAILED,
    "TemplateRenderingFailed": _FAILED,
    "Unconfirmed": _FAILED,
    "Unknown": _FAILED,
    "SpamComplaint": _COMPLAINT,
    "ManualSuppression": _UNSUBSCRIBED,
    "Unsubscribe": _UNSUBSCRIBED,
    "AddressChange": None,
    "AutoResponder": None,
    "ChallengeVerification": None,
    "InboundError": None,
    "OpenRelayTest": None,
    "Subscribe": None,
}
#: ``RecordType``, with the field that has its time.
RECORDS: Final = {
    "Bounce": "BouncedAt",
    "Delivery": "DeliveredAt",
    "SpamComplaint": "BouncedAt",
    "SubscriptionChange": "ChangedAt",
}
IGNORED: Final = frozenset({"Click", "Open"})


class PostmarkReceipts:
    """Reads requests with ``webhook_user`` and one of ``webhook_password``. Postmark signs nothing."""

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        options = config.options
        self._verifier = BasicAuthVerifier(options.webhook_user or "", options.webhook_password)

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        self._verifier.verify(request)

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        event = object_of(request.body)
        record = text_at(event, "RecordType") or ""
        if record in IGNORED or (record == "SubscriptionChange" and event.get("SuppressSending") is False):
            return ReceiptBatch()
        if record not in RECORDS:
            raise UnreadableReceiptError("no RecordType that Postmark documents")
        word, meaning = _meaning(record, event)
        return ReceiptBatch() if meaning is None else ReceiptBatch(receipts=(_receipt(record, word, meaning, event),))


def _meaning(record: str, event: Mapping[str, Any]) -> tuple[str, tuple[ReceiptKind, Reason | None] | None]:
    match record:
        case "Delivery":
            return record, (ReceiptKind.DELIVERED, None)
        case "SpamComplaint":
            return record, _COMPLAINT
        case _:
            word = text_at(event, "Type" if record == "Bounce" else "SuppressionReason") or "Unknown"
            return word, BOUNCES.get(word, _FAILED)


def _receipt(record: str, word: str, meaning: tuple[ReceiptKind, Reason | None], event: Mapping[str, Any]) -> Receipt:
    kind, reason = meaning
    message_id = text_at(event, "MessageID")
    return Receipt(
        # Bounces and complaints have a number; of others there is one at a time.
        event_id=f"{record}:{text_at(event, 'ID') or f'{message_id}:{text_at(event, RECORDS[record])}'}",
        kind=kind,
        job_id=job_id_at(event, "Metadata", "wavecom_job_id"),
        message_id=message_id,
        at=time_at(event, RECORDS[record]),
        code=word,
        reason=reason,
        recipient=text_at(event, "Email") or text_at(event, "Recipient"),
    )
