"""Signatures of Standard Webhooks, which Svix began and Resend and many gateways use.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from wavecom.core.receipts import ReceiptRequest, SignatureError
from wavecom.providers.configuration.webhook_secrets import key_of
from wavecom.providers.receipts import TOLERANCE

_VERSION: Final = "v1,"
#: So many signatures are looked at: two while secrets are exchanged, and a few of other versions.
_MOST_SIGNATURES: Final = 8


class StandardWebhooksVerifier:
    """Verifies requests signed with any of ``secrets``. Thread-safe. Raises ``ValueError`` for a secret that is none.

    ``header_prefix`` is ``svix`` where the older names of the headers are used.
    """

    def __init__(self, secrets: Sequence[str], *, header_prefix: str = "webhook") -> None:
        self._keys = [key_of(secret) for secret in secrets]
        self._prefix = header_prefix

    def message_id(self, request: ReceiptRequest) -> str:
        """The sender's name of the message, the same for each repetition; "" where there is none."""
        return request.headers.get(f"{self._prefix}-id", "")

    def verify(self, request: ReceiptRequest) -> None:
        """Raises ``SignatureError`` unless the request is signed, within ``TOLERANCE`` of its time."""
        message_id = self.message_id(request)
        timestamp = request.headers.get(f"{self._prefix}-timestamp", "")
        given = request.headers.get(f"{self._prefix}-signature", "")
        if not (message_id and timestamp and given):
            raise SignatureError(f"{self._prefix}-id, -timestamp or -signature is missing")
        if abs(request.at - _time(timestamp)) > TOLERANCE:
            raise SignatureError("its time is too far from ours")
        signed = b".".join((message_id.encode("latin-1", "replace"), timestamp.encode(), request.body))
        expected = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)) for key in self._keys]
        signatures = [part[len(_VERSION) :] for part in given.split(" ") if part.startswith(_VERSION)]
        if not any(
            hmac.compare_digest(signature.encode("latin-1", "replace"), each)
            for signature in signatures[:_MOST_SIGNATURES]
            for each in expected
        ):
            raise SignatureError("no signature fits")


def _time(timestamp: str) -> datetime:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 11:
        raise SignatureError("its time is no number of seconds")
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(timestamp))
