"""Receipts of ``type = "twilio"``: status callbacks, and messages to our numbers.

https://www.twilio.com/docs/usage/security#validating-requests,
https://www.twilio.com/docs/messaging/guides/track-outbound-message-status and
https://www.twilio.com/docs/messaging/guides/webhook-request
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit, urlunsplit

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
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies

#: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
KINDS: Final = {
    "accepted": ReceiptKind.PROGRESS,
    "scheduled": ReceiptKind.PROGRESS,
    "queued": ReceiptKind.PROGRESS,
    "sending": ReceiptKind.PROGRESS,
    "sent": ReceiptKind.PROGRESS,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.DELIVERED,
    "undelivered": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "canceled": ReceiptKind.FAILED,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"accepted", "queued", "sending", "sent"})

#: What an ``ErrorCode`` says of the recipient: https://www.twilio.com/docs/api/errors/<code>. 30003 (unreachable) and
#: 30004 (blocked, by whomever) pass, or may: they say nothing for good.
REASONS: Final = {
    "21211": Reason.RECIPIENT_INVALID,
    "21610": Reason.RECIPIENT_OPTED_OUT,
    "21614": Reason.RECIPIENT_INVALID,
    "21635": Reason.RECIPIENT_INVALID,
    "30005": Reason.RECIPIENT_INVALID,
    "30006": Reason.RECIPIENT_INVALID,
}

_PORTS: Final = {"https": 443, "http": 80}


class TwilioReceipts:
    """Reads requests that are signed with the account's auth token. The signature holds no time: event ids do."""

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._tokens = [token.encode() for token in config.options.auth_token]

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        given = request.headers.get("x-twilio-signature", "").encode("ascii", "replace")
        if not given:
            raise SignatureError("X-Twilio-Signature is missing")
        signed = _signed_body(request)
        texts = [(url + signed).encode(errors="replace") for url in urls_with_and_without_port(request.url)]
        if not any(hmac.compare_digest(_signature(token, text), given) for token in self._tokens for text in texts):
            raise SignatureError("X-Twilio-Signature does not fit auth_token and the address that was called")

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        fields = dict(_form(request))
        status, sid = fields.get("MessageStatus") or fields.get("SmsStatus", ""), fields.get("MessageSid", "")
        if not sid:
            raise UnreadableReceiptError("no MessageSid")
        if status == "received" or ("Body" in fields and "MessageStatus" not in fields):
            return ReceiptBatch(inbound=(_inbound(sid, fields),))
        if status not in KINDS:
            raise UnreadableReceiptError("a MessageStatus that Twilio does not document")
        code = fields.get("ErrorCode", "")
        [job, *_] = parse_qs(request.query).get("job", [""])
        receipt = Receipt(
            event_id=f"{sid}:{status}",
            kind=KINDS[status],
            is_routine=status in ROUTINE,
            job_id=JobId(job) if job else None,
            message_id=sid,
            code=f"twilio_{code}" if code else status,
            reason=REASONS.get(code),
            recipient=fields.get("To"),
        )
        return ReceiptBatch(receipts=(receipt,))


def _inbound(sid: str, fields: dict[str, str]) -> InboundMessage:
    # Where Twilio knows what is meant, in whatever language, it says so: STOP, START or HELP.
    text = fields.get("OptOutType") or fields.get("Body", "")
    return InboundMessage(event_id=sid, sender=fields.get("From", ""), to=fields.get("To", ""), text=text)


def _form(request: ReceiptRequest) -> list[tuple[str, str]]:
    try:
        return parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise UnreadableReceiptError("no form in UTF-8") from None


def _signed_body(request: ReceiptRequest) -> str:
    """What follows the address in the signed text: each name with its value, sorted, each pair once.

    A body that is no form is signed by its hash in the address.
    """
    [body_hash, *_] = parse_qs(request.query).get("bodySHA256", [""])
    if body_hash:
        if not hmac.compare_digest(hashlib.sha256(request.body).hexdigest(), body_hash.lower()):
            raise SignatureError("bodySHA256 does not fit the body")
        return ""
    try:
        return "".join(name + value for name, value in sorted(set(_form(request))))
    except UnreadableReceiptError:
        raise SignatureError("a body that is no form, without bodySHA256") from None


def _signature(token: bytes, text: bytes) -> bytes:
    return base64.b64encode(hmac.digest(token, text, "sha1"))


def urls_with_and_without_port(url: str) -> Iterator[str]:
    """The address as it is, and with its scheme's own port written out or left out: Twilio signs either."""
    yield url
    parts = urlsplit(url)
    usual = _PORTS.get(parts.scheme)
    if parts.port is None and usual is not None:
        yield urlunsplit(parts._replace(netloc=f"{parts.netloc}:{usual}"))
    elif parts.port == usual:
        yield urlunsplit(parts._replace(netloc=parts.netloc.rpartition(":")[0]))
