"""API keys themselves: how one is made, what of it is stored, and what it may be allowed."""

from __future__ import annotations

import hashlib
import secrets
from enum import StrEnum

_LONG_ENOUGH = 24


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


def hash_of(key: str) -> str:
    """What is stored of a key. Fast on purpose: nobody can guess 256 random bits, so a slow hash would add nothing."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
