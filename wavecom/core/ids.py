"""Identifiers. Time and chance are arguments, so that tests need no patch."""

from __future__ import annotations

import uuid
from datetime import datetime


def uuid7(now: datetime, random_bytes: bytes) -> str:
    """A version 7 UUID (RFC 9562 section 5.7): 48 bits of milliseconds, then 74 random bits.

    Sorted by time, so that inserts stay local in MongoDB's unique index. ``random_bytes`` must hold 10 bytes.
    """
    milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
    rest = int.from_bytes(random_bytes[:10], "big")
    value = (milliseconds << 80) | rest
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))
