"""Secrets of callbacks as they are kept: encrypted, so that a copy of the database signs nothing."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


class SecretSealer:
    """Encrypts with the first of ``keys``, which are texts that are hard to guess, and reads what any of them made."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._cipher = MultiFernet([Fernet(_key(key)) for key in keys])

    def seal(self, secret: str) -> str:
        """The secret as it is kept."""
        return self._cipher.encrypt(secret.encode()).decode("ascii")

    def open(self, sealed: str) -> str | None:
        """The reverse; None for what none of the keys has made."""
        try:
            return self._cipher.decrypt(sealed).decode()
        except InvalidToken:
            return None


def _key(text: str) -> bytes:
    return urlsafe_b64encode(hashlib.blake2b(text.encode(), digest_size=32, person=b"wavecom callbk").digest())
