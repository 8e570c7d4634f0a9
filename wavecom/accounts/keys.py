"""API keys themselves: how one is made, what of it is stored, and what it may be allowed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum

_LONG_ENOUGH = 24
#: What looks like a key of ours, though it may be cut off or mistyped.
_LIKE_A_KEY = re.compile(r"wc_(?:live|test)_[A-Za-z0-9_-]{20,60}")


class Scope(StrEnum):
    """What a key may do. The words are part of the published API."""

    SEND = "send"
    READ = "read"
    MANAGE = "manage"
    ADMIN = "admin"


def make_key(*, is_live: bool = True) -> str:
    """A new key with 256 random bits. It is shown once; only its hash is stored."""
    return f"wc_{'live' if is_live else 'test'}_{secrets.token_urlsafe(32)}"


def hint_of(key: str) -> str:
    """What may be shown of a key, to tell it from others: its last four characters, none of a short one."""
    return key[-4:] if len(key) >= _LONG_ENOUGH else ""


def hint_of_presented(secret: str) -> str:
    """The same for whatever somebody sent in place of a key: "" unless it has a key's form.

    Anything else may be a password, of which no part belongs in a log.
    """
    return hint_of(secret) if _LIKE_A_KEY.fullmatch(secret) else ""


def is_same_secret(given: str, wanted: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def hash_of(key: str) -> str:
    """What is stored of a key. Fast on purpose: nobody can guess 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
