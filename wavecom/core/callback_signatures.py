"""Signatures of callbacks, by Standard Webhooks 1.0 (https://www.standardwebhooks.com): HMAC-SHA256 with ``v1``."""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

PREFIX: Final = "whsec_"
#: What the specification recommends; it allows 24 to 64.
SECRET_BYTES: Final = 32


def make_secret(random_bytes: bytes) -> str:
    """A secret as receivers configure it. Raises ``ValueError`` unless there are ``SECRET_BYTES`` bytes."""
    if len(random_bytes) != SECRET_BYTES:
        raise ValueError(f"a secret takes {SECRET_BYTES} random bytes, not {len(random_bytes)}")
    return PREFIX + b64encode(random_bytes).decode()


def headers(event_id: str, sent_at: datetime, body: bytes, secrets: Sequence[str]) -> Mapping[str, str]:
    """The three headers of a delivery, signed with each of the secrets: receivers accept any of them."""
    timestamp = str(int(sent_at.timestamp()))
    content = b".".join((event_id.encode(), timestamp.encode(), body))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{_signature(secret, content)}" for secret in secrets),
    }


def _signature(secret: str, content: bytes) -> str:
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("not a secret of a callback") from None
    return b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
