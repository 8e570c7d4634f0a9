"""Secrets of Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from marshmallow import ValidationError

#: What begins a secret: the rest is its bytes in base64. A secret without it is taken as it is.
SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix


def key_of(secret: str) -> bytes:
    """The bytes that sign. Raises ``ValueError`` for ``whsec_`` with what is no base64 after it."""
    if not secret.startswith(SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a secret that begins with whsec_ goes on in base64") from None


def check_webhook_secret(secret: str) -> None:
    """The check of an option that holds one. Raises ``ValidationError``."""
    try:
        key_of(secret)
    except ValueError as error:
        raise ValidationError(str(error)) from None
