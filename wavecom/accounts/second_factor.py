"""The second factor: codes of six digits that change every 30 seconds (TOTP, RFC 6238), and how their secret is kept.

The shared secret must be known to check a code, so it is encrypted, not hashed: who reads the database alone can't
compute codes. The key comes from WAVECOM_SECRET_KEY; under another one users need new ones (``wavecom users reset``).
"""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from wavecom.errors import WaveComError

_STEP_SECONDS = 30
#: Steps around the present whose codes are taken: clocks of phones differ, and typing takes time.
_TOLERANCE = (0, -1, 1)
_NONCE_BYTES = 12
_ISSUER = "WaveCom"


class SecondFactorError(WaveComError):
    """The shared secret can't be read: it was encrypted under another WAVECOM_SECRET_KEY."""

    code = "second_factor"


class SecondFactor:
    """Makes, keeps and checks shared secrets. ``secret`` is that which signs the sessions."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(hmac.digest(secret, b"second factor of users", "sha256"))

    def new(self, user: str) -> tuple[bytes, str, str]:
        """A new shared secret: encrypted, for the store; in base 32, for people; as ``otpauth`` address, for apps."""
        shared = pyotp.random_base32()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        kept = nonce + self._cipher.encrypt(nonce, shared.encode(), user.encode())
        return kept, shared, pyotp.TOTP(shared).provisioning_uri(name=user, issuer_name=_ISSUER)

    def step_of(self, code: str, kept: bytes, user: str, now: datetime) -> int | None:
        """The time step whose code this is, for ``UserStore.take_step``; None: it is none of the present ones.

        Raises ``SecondFactorError``.
        """
        try:
            shared = self._cipher.decrypt(kept[:_NONCE_BYTES], kept[_NONCE_BYTES:], user.encode()).decode()
        except InvalidTag:
            text = f"WAVECOM_SECRET_KEY is not the one under which user {user} was made: wavecom users reset {user}"
            raise SecondFactorError(text) from None
        totp, present = pyotp.TOTP(shared), int(now.timestamp()) // _STEP_SECONDS
        typed = "".join(code.split())
        matching = [
            present + offset
            for offset in _TOLERANCE
            if hmac.compare_digest(totp.generate_otp(present + offset).encode(), typed.encode())
        ]
        return matching[0] if matching else None
