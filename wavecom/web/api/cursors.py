"""Places in a list as opaque texts. They hold no secret; a damaged one is recognised by its check sum."""

from __future__ import annotations

import hashlib
import re
import struct
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta

from wavecom.core.job import JobId
from wavecom.core.ports import Cursor

_LAYOUT = struct.Struct(">q16s4s")  # milliseconds, job id, check sum
#: The form of every cursor, as JSON Schema has it.
PATTERN = "^[A-Za-z0-9_-]{38}$"
_FORM = re.compile(PATTERN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def encode(cursor: Cursor) -> str:
    """38 characters that go into a URL as they are."""
    milliseconds = (cursor.created_at - _EPOCH) // timedelta(milliseconds=1)
    job_id = uuid.UUID(cursor.job_id).bytes
    packed = _LAYOUT.pack(milliseconds, job_id, _check_sum(milliseconds, job_id))
    return urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str) -> Cursor:
    """The place that ``encode`` made ``text`` of. Raises ``ValueError`` for anything else."""
    if not _FORM.fullmatch(text):
        raise ValueError("not the form of a cursor")
    milliseconds, job_id, check_sum = _LAYOUT.unpack(urlsafe_b64decode(text + "=="))
    if check_sum != _check_sum(milliseconds, job_id):
        raise ValueError("damaged")
    try:
        created_at = _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        # The check sum is no secret: whoever makes cursors of their own can name any time.
        raise ValueError("there is no such time") from None
    return Cursor(created_at, JobId(str(uuid.UUID(bytes=job_id))))


def _check_sum(milliseconds: int, job_id: bytes) -> bytes:
    return hashlib.sha256(b"wavecom cursor %d " % milliseconds + job_id).digest()[:4]
