"""Large attachments are stored apart from their jobs: a job is read and written often, a file twice.

In the payload of a stored job such an attachment has ``blob`` (the SHA-256 of the file) and ``size`` (bytes) in place
of ``content``. Files are kept once however many jobs have them, and go when the last of those jobs can have gone.
"""

from __future__ import annotations

import hashlib
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Protocol

from wavecom.core.engine import Policy

#: Base64 text that is longer than this is stored apart, and whatever takes all that stays with the job beyond it: many
#: jobs are in a worker's hands at once.
LIMIT_CHARACTERS = 64 * 1024
#: What all attachments of a mail may hold together, decoded.
ATTACHMENTS_LIMIT_BYTES = 10 * 1024 * 1024
#: How long a file outlives what is certain, for whatever takes longer than it should.
MARGIN = timedelta(days=7)


class BlobStore(Protocol):
    """Files by their SHA-256 (hexadecimal). Raises ``StoreError`` when the store can't be reached."""

    def put(self, blobs: Mapping[str, bytes], purge_at: datetime) -> None:
        """Keep each until ``purge_at`` at least. Durable when it returns; may be repeated."""
        ...

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        """Those that are there, which are then kept until ``purge_at`` at least."""
        ...

    def keep(self, names: Collection[str], purge_at: datetime) -> set[str]:
        """Which of these are there, and from now on kept until ``purge_at`` at least. May be repeated."""
        ...

    def missing(self, names: Collection[str]) -> set[str]:
        """Those that are not there. One round trip, without the files."""
        ...


def detach(payload: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, bytes]]:
    """The payload as it is stored with its job, and the files to be stored before, by their names."""
    blobs: dict[str, bytes] = {}
    attachments = []
    left = LIMIT_CHARACTERS
    for attachment in payload.get("attachments", ()):
        content = attachment.get("content")
        if content is None:
            attachments.append(attachment)  # An uploaded file: stored already.
            continue
        if len(content) <= left:
            left -= len(content)
            attachments.append(attachment)
            continue
        held = a2b_base64(content)
        name = hashlib.sha256(held).hexdigest()
        blobs[name] = held
        kept = {key: value for key, value in attachment.items() if key != "content"}
        attachments.append(kept | {"blob": name, "size": len(held)})
    return ({**payload, "attachments": attachments} if blobs else payload), blobs


def content_size(content: str) -> int:
    """How many bytes a valid base64 text holds, without decoding it: four characters hold three, less the padding."""
    return len(content) // 4 * 3 - content[-2:].count("=")


def names_in(payload: Mapping[str, Any]) -> set[str]:
    """The files that were set apart from this payload."""
    return set(sizes_in(payload))


def sizes_in(payload: Mapping[str, Any]) -> dict[str, int]:
    """The same with the bytes of each."""
    return {each["blob"]: each["size"] for each in payload.get("attachments", ()) if "blob" in each}


def reattach(payload: Mapping[str, Any], read: Callable[[str], bytes]) -> Mapping[str, Any]:
    """The payload as it was before ``detach``; ``read`` gives a file by its name."""
    if not names_in(payload):
        return payload
    attachments = []
    for attachment in payload["attachments"]:
        if "blob" not in attachment:
            attachments.append(attachment)
            continue
        kept = {key: value for key, value in attachment.items() if key not in {"blob", "size"}}
        attachments.append(kept | {"content": b2a_base64(read(attachment["blob"]), newline=False).decode()})
    return {**payload, "attachments": attachments}


def keep_until(expires_at: datetime, policy: Policy) -> datetime:
    """Until when the files of a job are needed at most, if it is not replayed: a replay asks for them again."""
    return expires_at + policy.receipt_deadline + policy.retention + MARGIN
