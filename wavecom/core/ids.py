"""Identifiers. Time and chance are arguments, so that tests need no patch."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: An id in the form in which it is published, in any case, as a regular expression.
UUID_PATTERN: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID = re.compile(UUID_PATTERN)


def is_uuid(text: str) -> bool:
    """Whether ``text`` has the form of an id. Stored ones are in lower case."""
    return _UUID.fullmatch(text) is not None


def uuid7(now: datetime, random_bytes: bytes) -> str:
    """A version 7 UUID (RFC 9562 section 5.7): 48 bits of milliseconds, then 74 random bits.

    Sorted by time, so that inserts stay local in MongoDB's unique index. ``now`` is aware. Raises ``ValueError``
    unless ``random_bytes`` holds 10 bytes: with fewer, ids would come twice.
    """
    if len(random_bytes) != 10:
        raise ValueError(f"an id takes 10 random bytes, not {len(random_bytes)}")
    # In whole numbers: a float of seconds times 1000 falls a millisecond short now and then.
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1) & 0xFFFF_FFFF_FFFF
    rest = int.from_bytes(random_bytes, "big")
    value = (milliseconds << 80) | rest
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return str(uuid.UUID(int=value))


def time_of_uuid7(text: str) -> datetime | None:
    """When a version 7 UUID was made, aware UTC; None for any other text."""
    try:
        value = uuid.UUID(text)
    except ValueError:
        return None
    return _EPOCH + timedelta(milliseconds=value.int >> 80) if value.version == 7 else None


class BufferedRandom:
    """Random bytes in small portions, fetched in large ones. Thread-safe. Empty at first: it may be made before a fork.

    ``fetch(size)`` asks the system, which lets go of the interpreter's lock: in a busy process a thread then waits its
    turn for it, which takes far longer than the call.
    """

    def __init__(self, fetch: Callable[[int], bytes], *, buffer_bytes: int = 4096) -> None:
        self._fetch = fetch
        self._buffer_bytes = buffer_bytes
        self._lock = threading.Lock()
        self._buffer = b""
        self._used = 0

    def take(self, size: int) -> bytes:
        """``size`` bytes that nobody else gets; at most as many as are fetched at once, else ``ValueError``."""
        with self._lock:
            if self._used + size > len(self._buffer):
                self._buffer = self._fetch(self._buffer_bytes)
                self._used = 0
            taken = self._buffer[self._used : self._used + size]
            self._used += size
        if len(taken) != size:
            raise ValueError(f"{size} random bytes were asked for; at most {self._buffer_bytes} are fetched at once")
        return taken
