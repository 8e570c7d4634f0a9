"""Receipts of ``type = "sendgrid"``: the Event Webhook, up to 1,000 events at once.

https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event and, for its signature,
https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/getting-started-event-webhook-security-features
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from datetime import timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from wavecom.core.job import Reason
from wavecom.core.receipts import (
    Receipt,
    ReceiptBatch,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)
from wavecom.providers.configuration.public_keys import ecdsa_public_key
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import TOLERANCE, ReceiptDependencies
from wavecom.providers.receipts.json_events import content_of, job_id_at, text_at, time_at, unix_time

KINDS: Final = {
    "processed": ReceiptKind.PROGRESS,
    "deferred": ReceiptKind.PROGRESS,
    "delivered": ReceiptKind.DELIVERED,
    "bounce": ReceiptKind.FAILED,
    "dropped": ReceiptKind.FAILED,
    "spamreport": ReceiptKind.COMPLAINT,
    "unsubscribe": ReceiptKind.UNSUBSCRIBED,
    "group_unsubscribe": ReceiptKind.UNSUBSCRIBED,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"processed"})
#: Of what readers do; of no account of ours.
IGNORED: Final = frozenset({"open", "click", "group_resubscribe", "account_status_change"})

#: ``reason`` of what SendGrid did not even try to deliver.
DROPS: Final = {
    "Bounced Address": Reason.RECIPIENT_INVALID,
    "Invalid": Reason.RECIPIENT_INVALID,
    "Spam Reporting Address": Reason.RECIPIENT_OPTED_OUT,
    "Unsubscribed Address": Reason.RECIPIENT_OPTED_OUT,
}
#: ``bounce_classification`` of what was refused for what it was, or whence it came: the address may be good.
NOT_THE_ADDRESS: Final = frozenset({"Content", "Frequency or Volume Too High", "Reputation", "Technical Failure"})

#: SendGrid repeats for a day what was not answered with 2xx, and does not say that it signs it anew. The signature is
#: of the body and events are known by their ids, so an old request can say nothing new.
#: https://www.twilio.com/docs/sendgrid/for-developers/tracking-events/event
LONGEST_RETRIES: Final = timedelta(hours=24)


class SendgridReceipts:
    """Reads requests that are signed with the private key to one of ``webhook_public_key``."""

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._keys = [ecdsa_public_key(text) for text in config.options.webhook_public_key]

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        timestamp = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        at = unix_time(timestamp)
        if at is None or not -TOLERANCE <= request.at - at <= LONGEST_RETRIES + TOLERANCE:
            raise SignatureError("its time is missing, or too far from ours")
        try:
            signature = b64decode(request.headers.get("x-twilio-email-event-webhook-signature", ""), validate=True)
        except (binascii.Error, ValueError):
            raise SignatureError("the signature is not base64") from None
        if not any(_is_signed(key, signature, timestamp.encode() + request.body) for key in self._keys):
            raise SignatureError("the signature fits none of webhook_public_key")

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        events = content_of(request.body)
        if not isinstance(events, list):
            raise UnreadableReceiptError("no list of events")
        receipts = [_receipt(event) for event in events if text_at(event, "event") not in IGNORED]
        readable = tuple(receipt for receipt in receipts if receipt is not None)
        return ReceiptBatch(receipts=readable, unreadable=len(receipts) - len(readable))


def _is_signed(key: ec.EllipticCurvePublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _receipt(event: object) -> Receipt | None:
    word, event_id = text_at(event, "event") or "", text_at(event, "sg_event_id")
    kind = KINDS.get(word)
    if kind is None or event_id is None:
        return None
    message_id = text_at(event, "sg_message_id")
    return Receipt(
        event_id=event_id,
        kind=kind,
        is_routine=word in ROUTINE,
        job_id=job_id_at(event, "wavecom_job_id"),
        # Of a name for each recipient, what comes before the dot is the name that we were told.
        message_id=message_id and message_id.partition(".")[0],
        at=time_at(event, "timestamp"),
        code=word,
        text=text_at(event, "status") or "",
        reason=_reason(word, event),
        recipient=text_at(event, "email"),
    )


def _reason(word: str, event: object) -> Reason | None:
    match KINDS[word]:
        case ReceiptKind.COMPLAINT | ReceiptKind.UNSUBSCRIBED:
            return Reason.RECIPIENT_OPTED_OUT
        case ReceiptKind.FAILED if word == "dropped":
            return DROPS.get(text_at(event, "reason") or "")
        case ReceiptKind.FAILED:
            is_address = text_at(event, "type") != "blocked"  # which is for a while
            is_address = is_address and text_at(event, "bounce_classification") not in NOT_THE_ADDRESS
            return Reason.RECIPIENT_INVALID if is_address else None
        case _:
            return None
