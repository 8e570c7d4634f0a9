"""Receipts of ``type = "messagebird"``: status reports, and messages to our numbers.

https://developers.messagebird.com/api/sms-messaging/#handle-a-status-report (a GET with all in its query),
https://developers.messagebird.com/docs/verify-http-requests
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from wavecom.core.job import JobId, Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptBatch,
    ReceiptKind,
    ReceiptRequest,
    SignatureError,
    UnreadableReceiptError,
)
from wavecom.core.recipients import e164
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.json_events import time_of
from wavecom.providers.receipts.signed_jwt import check_hash, check_times, verified_claims

KINDS: Final = {
    "scheduled": ReceiptKind.PROGRESS,
    "sent": ReceiptKind.PROGRESS,
    "buffered": ReceiptKind.PROGRESS,
    "delivered": ReceiptKind.DELIVERED,
    "expired": ReceiptKind.FAILED,
    "delivery_failed": ReceiptKind.FAILED,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"sent"})

#: ``statusReason``, where it says something of the recipient for good:
#: https://docs.bird.com/api/channels-api/message-status-and-interactions/message-failure-sources/sms-platform-extended-error-codes
REASONS: Final = {
    "unknown subscriber": Reason.RECIPIENT_INVALID,
    "opted out": Reason.RECIPIENT_OPTED_OUT,
}


class MessagebirdReceipts:
    """Reads requests that carry ``MessageBird-Signature-JWT``, which signs the address and the body."""

    methods = frozenset({"GET", "POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._keys: tuple[str, ...] = config.options.signing_key

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        if not self._keys:
            raise SignatureError("no signing_key is configured")
        claims = verified_claims(
            request.headers.get("messagebird-signature-jwt", ""),
            self._keys,
            ["HS256", "HS384", "HS512"],
            issuer="MessageBird",
            required=["iss", "nbf", "exp", "url_hash"],
        )
        check_times(claims, request.at)
        check_hash(claims["url_hash"], request.url.encode(errors="replace"), "url_hash")
        if not request.body and claims.get("payload_hash") is not None:
            raise SignatureError("payload_hash is of a body, and there is none")
        check_hash(claims.get("payload_hash"), request.body, "payload_hash")

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        fields = _fields(request)
        message_id, status = fields.get("id") or fields.get("message_id"), fields.get("status", "")
        if not message_id:
            raise UnreadableReceiptError("no id")
        if "originator" in fields and "status" not in fields:
            return ReceiptBatch(inbound=(_inbound(message_id, fields),))
        if status not in KINDS:
            raise UnreadableReceiptError("a status that MessageBird does not document")
        code, reason = fields.get("statusErrorCode", ""), fields.get("statusReason", "")
        job = fields.get("reference")
        receipt = Receipt(
            event_id=f"{message_id}:{status}:{code}",
            kind=KINDS[status],
            is_routine=status in ROUTINE,
            job_id=JobId(job) if job else None,
            message_id=message_id,
            at=time_of(fields.get("statusDatetime")),
            code=f"messagebird_{code}" if code not in {"", "0"} else status,
            text=reason if reason in REASONS else "",
            reason=REASONS.get(reason) if KINDS[status] is ReceiptKind.FAILED else None,
            recipient=e164(fields.get("recipient", "")),
        )
        return ReceiptBatch(receipts=(receipt,))


def _inbound(message_id: str, fields: Mapping[str, str]) -> InboundMessage:
    return InboundMessage(
        event_id=message_id,
        sender=fields["originator"],
        to=fields.get("recipient", ""),
        text=fields.get("body") or fields.get("payload", ""),
        at=time_of(fields.get("createdDatetime")),
    )


def _fields(request: ReceiptRequest) -> dict[str, str]:
    """What was sent: in the query, or in a body that is a form or JSON. All of it is signed."""
    if request.method == "GET" or not request.body:
        return dict(parse_qsl(request.query, keep_blank_values=True))
    try:
        if request.body.lstrip()[:1] == b"{":
            content = orjson.loads(request.body)
            return {name: str(value) for name, value in content.items() if isinstance(value, str | int)}
        return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))
    except ValueError:
        raise UnreadableReceiptError("the body is neither a form nor JSON") from None
