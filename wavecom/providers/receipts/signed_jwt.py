"""JSON Web Tokens by which providers sign what they send (RFC 7519), with a secret that both sides know."""

from __future__ import annotations

import hashlib
import hmac
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from wavecom.core.receipts import SignatureError
from wavecom.providers.receipts import TOLERANCE

# The provider has chosen how long its secrets are.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)


def verified_claims(
    token: str, secrets: Iterable[str], algorithms: Sequence[str], *, issuer: str, required: Sequence[str]
) -> dict[str, Any]:
    """The claims of a token that one of the secrets signed. Its times are the caller's to check: see ``check_times``.

    Raises ``SignatureError``.
    """
    if not token:
        raise SignatureError("the token is missing")
    # By the request's time, and not by this machine's.
    options: Any = {"require": list(required), "verify_exp": False, "verify_nbf": False, "verify_iat": False}
    for secret in secrets:
        try:
            return jwt.decode(token, secret, algorithms=list(algorithms), issuer=issuer, options=options)
        except jwt.InvalidSignatureError:
            continue
        except (jwt.InvalidTokenError, ValueError, RecursionError) as error:  # it may hold any bytes, nested at will
            raise SignatureError(f"the token is not right: {type(error).__name__}") from None
    raise SignatureError("the token is signed with another secret")


def check_times(claims: dict[str, Any], now: datetime, longest_retries: timedelta = timedelta()) -> None:
    """Raises ``SignatureError`` unless ``now`` lies between ``nbf`` and ``exp``, or near ``iat``, give or take five
    minutes; and unless the token has one of the two. ``longest_retries``: so long after ``iat`` it may come again."""
    try:
        times = {name: datetime.fromtimestamp(claims[name], UTC) for name in ("nbf", "exp", "iat") if claims.get(name)}
    except (TypeError, ValueError, OverflowError, OSError):
        raise SignatureError("a time in the token is no time") from None
    earliest = times.get("nbf") or times.get("iat")
    latest = times.get("exp") or (times["iat"] + longest_retries if "iat" in times else None)
    if earliest is None or latest is None:
        raise SignatureError("the token tells no time")
    if not earliest - TOLERANCE <= now <= latest + TOLERANCE:
        raise SignatureError("the token is too old, or of the future")


def check_hash(claim: object, content: bytes, name: str) -> None:
    """Raises ``SignatureError`` unless ``claim`` is the SHA-256 of ``content``; None is that of no content."""
    expected = hashlib.sha256(content).hexdigest() if content or claim is not None else ""
    if not hmac.compare_digest(expected.encode(), str(claim or "").encode()):
        raise SignatureError(f"{name} does not fit")
