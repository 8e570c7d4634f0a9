"""Providers that sign nothing and send a user and a password instead (RFC 7617)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from wavecom.core.receipts import ReceiptRequest, SignatureError
from wavecom.providers.configuration.basic_auth import basic_credentials


class BasicAuthVerifier:
    """Believes requests with ``user`` and one of the passwords; with none of these, no request."""

    def __init__(self, user: str, passwords: Iterable[str]) -> None:
        self._expected = [basic_credentials(user, password).encode() for password in passwords]

    def verify(self, request: ReceiptRequest) -> None:
        """Raises ``SignatureError``."""
        given = request.headers.get("authorization", "").encode("latin-1", "replace")
        if not any(hmac.compare_digest(given, each) for each in self._expected):
            raise SignatureError("the user or the password in authorization is missing or wrong")
