"""Receipts of ``type = "http"``: JSON of any gateway, as its table ``receipts`` says."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

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
from wavecom.providers.configuration.json_pointers import pointed_to
from wavecom.providers.configuration.receipt_options import INBOUND, ROUTINE, HttpReceiptOptions, ReceiptSignature
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.basic_auth import BasicAuthVerifier
from wavecom.providers.receipts.json_events import time_of
from wavecom.providers.receipts.standard_webhooks import StandardWebhooksVerifier

#: One request reports no more than this.
EVENTS_LIMIT = 10_000


class HttpReceipts:
    """Reads what a gateway reports in JSON."""

    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._options: HttpReceiptOptions = config.options.receipts
        self.methods = frozenset(method.value for method in self._options.methods)
        self._webhooks: StandardWebhooksVerifier | None = None
        self._basic: BasicAuthVerifier | None = None
        self._expected: list[bytes] = []
        match self._options.signature:
            case ReceiptSignature.STANDARD_WEBHOOKS:
                self._webhooks = StandardWebhooksVerifier(self._options.secret)
            case ReceiptSignature.HEADER:
                self._header = str(self._options.header).lower()
                self._expected = [secret.encode() for secret in self._options.secret]
            case ReceiptSignature.BASIC:
                self._basic = BasicAuthVerifier(str(self._options.username), self._options.secret)

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        if self._webhooks is not None:
            self._webhooks.verify(request)
            return
        if self._basic is not None:
            self._basic.verify(request)
            return
        given = request.headers.get(self._header, "").encode("latin-1", "replace")
        if not any(hmac.compare_digest(given, expected) for expected in self._expected):
            raise SignatureError(f"the header {self._header} is missing or wrong")

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        try:
            document = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            raise UnreadableReceiptError("no JSON") from None
        found = pointed_to(document, self._options.events)
        events = found if isinstance(found, list) else [found]
        if len(events) > EVENTS_LIMIT:
            raise UnreadableReceiptError(f"more than {EVENTS_LIMIT} events")
        read = list(self._events(events, request))
        return ReceiptBatch(
            receipts=tuple(each for each in read if isinstance(each, Receipt)),
            inbound=tuple(each for each in read if isinstance(each, InboundMessage)),
            unreadable=sum(each is None for each in read),
        )

    def _events(self, events: list[Any], request: ReceiptRequest) -> Iterator[Receipt | InboundMessage | None]:
        """Each event in order; None: it can't be read."""
        signed_id = self._webhooks.message_id(request) if self._webhooks is not None else ""
        for place, event in enumerate(events):
            word = _text(event, self._options.kind)
            kind = None if word is None else self._options.kinds.get(word)
            if word is None or kind is None:
                yield None
                continue
            event_id = _text(event, self._options.event_id) or (signed_id and f"{signed_id}:{place}") or _digest(event)
            if kind == INBOUND:
                yield self._inbound(event, event_id)
            else:
                yield self._receipt(event, event_id, kind, word)

    def _receipt(self, event: Any, event_id: str, kind: str, word: str) -> Receipt | None:
        options = self._options
        job_id, message_id = _text(event, options.job_id), _text(event, options.message_id)
        if not job_id and not message_id:
            return None
        code = _text(event, options.code) or ""
        receipt = Receipt(
            event_id=event_id,
            kind=ReceiptKind.PROGRESS if kind == ROUTINE else ReceiptKind(kind),
            is_routine=kind == ROUTINE,
            job_id=JobId(job_id) if job_id else None,
            message_id=message_id or None,
            at=_time(event, options.at),
            code=code or word,
            text=_text(event, options.detail) or "",
            recipient=_text(event, options.recipient),
        )
        is_unreachable = receipt.kind is ReceiptKind.FAILED and code in options.unreachable_codes
        return replace(receipt, reason=Reason.RECIPIENT_INVALID) if is_unreachable else receipt

    def _inbound(self, event: Any, event_id: str) -> InboundMessage | None:
        options = self._options
        sender, body = e164(_text(event, options.sender) or ""), _text(event, options.body)
        if sender is None or body is None:
            return None
        return InboundMessage(
            event_id=event_id,
            sender=sender,
            to=_text(event, options.to) or "",
            text=body,
            at=_time(event, options.at),
        )


def _text(event: Any, pointer: str | None) -> str | None:
    found = None if pointer is None else pointed_to(event, pointer)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _time(event: Any, pointer: str | None) -> datetime | None:
    return None if pointer is None else time_of(pointed_to(event, pointer))


def _digest(event: Any) -> str:
    return hashlib.sha256(orjson.dumps(event, option=orjson.OPT_SORT_KEYS)).hexdigest()
