"""Telling recipients apart without keeping them: keys for evidence, and where a mail goes."""

from __future__ import annotations

import hashlib

from wavecom.core.job import Job
from wavecom.core.lanes import Channel


def recipient_key(job: Job) -> str:
    """Short, the same for the same address, number or token, whatever the recipient is called."""
    parts = sorted((name, str(value)) for name, value in job.to.items() if name != "name")
    return hashlib.blake2b(repr(parts).encode(), digest_size=6).hexdigest()


def destination_of(job: Job) -> str:
    """The domain that a mail goes to, in lower case; "" for other channels."""
    if job.type is not Channel.EMAIL:
        return ""
    return str(job.to.get("email", "")).rpartition("@")[2].casefold()
