"""Receipts of ``type = "vonage"``: delivery receipts of the SMS API, and messages to our numbers.

https://developer.vonage.com/en/messaging/sms/guides/delivery-receipts,
https://developer.vonage.com/en/getting-started/concepts/signing-messages and, where an account's text messages come
through the Messages API, https://developer.vonage.com/en/getting-started/concepts/webhooks#signed-webhooks
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
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
from wavecom.providers.receipts import TOLERANCE, ReceiptDependencies
from wavecom.providers.receipts.signed_jwt import check_hash, check_times, verified_claims

#: ``status`` of both APIs. ``unknown`` is "no useful information": the message may still arrive.
KINDS: Final = {
    "accepted": ReceiptKind.PROGRESS,
    "buffered": ReceiptKind.PROGRESS,
    "submitted": ReceiptKind.PROGRESS,
    "unknown": ReceiptKind.PROGRESS,
    "delivered": ReceiptKind.DELIVERED,
    "read": ReceiptKind.DELIVERED,
    "expired": ReceiptKind.FAILED,
    "failed": ReceiptKind.FAILED,
    "rejected": ReceiptKind.FAILED,
    "undeliverable": ReceiptKind.FAILED,
}
#: Progress that every message makes.
ROUTINE: Final = frozenset({"accepted", "submitted"})

#: ``err-code``, where it says something of the recipient for good (same page).
REASONS: Final = {
    "3": Reason.RECIPIENT_GONE,  # absent subscriber, permanent
    "4": Reason.RECIPIENT_INVALID,  # call barred by user, permanent
    "9": Reason.RECIPIENT_OPTED_OUT,  # "has specifically requested not to receive messages"
}


#: Vonage repeats for a day what was answered with 429 or 5xx, and does not say that it signs it anew. What was signed
#: tells its own time and is known by its ids, so an old request can say nothing new.
#: https://api.support.vonage.com/hc/en-us/articles/360028543292
LONGEST_RETRIES: Final = timedelta(hours=24)


class VonageReceipts:
    """Reads requests that carry ``sig``, or a token, made with one of the account's signature secrets."""

    methods = frozenset({"GET", "POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._api_key: str = config.options.api_key
        self._secrets: tuple[str, ...] = config.options.signature_secret
        self._method: str = config.options.signature_method

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        if not self._secrets:
            raise SignatureError("no signature_secret is configured")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            self._verify_token(token.strip(), request)
        else:
            self._verify_fields(request)

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        fields = _fields(request)
        message_id = fields.get("messageId") or fields.get("message_uuid")
        if not message_id:
            raise UnreadableReceiptError("neither messageId nor message_uuid")
        if "text" in fields and "status" not in fields:
            return ReceiptBatch(inbound=(_inbound(message_id, fields),))
        status = fields.get("status", "")
        if status not in KINDS:
            raise UnreadableReceiptError("a status that Vonage does not document")
        code = fields.get("err-code", "")
        job = fields.get("client-ref") or fields.get("client_ref")
        receipt = Receipt(
            event_id=f"{message_id}:{status}:{code}",
            kind=KINDS[status],
            is_routine=status in ROUTINE,
            job_id=JobId(job) if job else None,
            message_id=message_id,
            at=_time(fields),
            code=f"vonage_{code}" if code not in {"", "0"} else status,
            reason=REASONS.get(code) if KINDS[status] is ReceiptKind.FAILED else None,
            recipient=e164(fields.get("msisdn") or fields.get("to", "")),
        )
        return ReceiptBatch(receipts=(receipt,))

    def _verify_token(self, token: str, request: ReceiptRequest) -> None:
        # Its hash is that of a body. Of a GET the address is read, which nothing would sign.
        if request.method == "GET" or not request.body:
            raise SignatureError("a token signs a body, and there is none that is read")
        claims = verified_claims(
            token, self._secrets, ["HS256"], issuer="Vonage", required=["iss", "iat", "payload_hash", "api_key"]
        )
        check_times(claims, request.at, LONGEST_RETRIES)
        check_hash(claims["payload_hash"], request.body, "payload_hash")
        if claims["api_key"] != self._api_key:
            raise SignatureError("the token is of another account")

    def _verify_fields(self, request: ReceiptRequest) -> None:
        try:
            fields = _fields(request)
        except UnreadableReceiptError as error:
            raise SignatureError(str(error)) from None
        given = fields.pop("sig", "").lower().encode()
        if not given:
            raise SignatureError("sig is missing")
        if not any(hmac.compare_digest(signature(fields, secret, self._method), given) for secret in self._secrets):
            raise SignatureError("sig does not fit signature_secret and signature_method")
        try:
            at = datetime.fromtimestamp(int(fields.get("timestamp", "")), UTC)
        except (ValueError, OverflowError, OSError):
            raise SignatureError("timestamp is no time") from None
        if not -TOLERANCE <= request.at - at <= LONGEST_RETRIES + TOLERANCE:
            raise SignatureError("the request is too old, or of the future")


def signature(fields: Mapping[str, str], secret: str, method: str) -> bytes:
    """``sig`` in lower case: over ``&name=value`` of all other fields by name, ``&`` and ``=`` in values made ``_``.

    ``method`` is ``md5hash``, or the hash of an HMAC.
    """
    values = {name: value.replace("&", "_").replace("=", "_") for name, value in fields.items()}
    text = "".join(f"&{name}={values[name]}" for name in sorted(values)).encode()
    if method == "md5hash":
        return hashlib.md5(text + secret.encode(), usedforsecurity=False).hexdigest().encode()
    return hmac.digest(secret.encode(), text, method).hex().encode()


def _fields(request: ReceiptRequest) -> dict[str, str]:
    """What was sent, as text, each name once: in the query, a form, or JSON, where values that hold others are left
    out. Raises ``UnreadableReceiptError``."""
    source = request.query.encode() if request.method == "GET" else request.body
    if request.method != "GET" and source.lstrip()[:1] == b"{":
        try:
            content = orjson.loads(source)
        except orjson.JSONDecodeError:
            raise UnreadableReceiptError("the body is no JSON") from None
        return {name: str(value) for name, value in content.items() if isinstance(value, str | int)}
    try:
        pairs = parse_qsl(source.decode(), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise UnreadableReceiptError("neither a form nor JSON") from None
    if len(dict(pairs)) != len(pairs):
        raise UnreadableReceiptError("a name stands there twice")
    return dict(pairs)


def _inbound(message_id: str, fields: Mapping[str, str]) -> InboundMessage:
    return InboundMessage(
        event_id=message_id,
        sender=fields.get("msisdn") or fields.get("from", ""),
        to=fields.get("to", ""),
        text=fields["text"],
        at=_time(fields),
    )


def _time(fields: Mapping[str, str]) -> datetime | None:
    """When it happened: ``message-timestamp`` is UTC, with or without saying so."""
    with suppress(ValueError):
        at = datetime.fromisoformat(fields.get("message-timestamp") or fields.get("timestamp", ""))
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return None
