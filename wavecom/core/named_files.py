"""Attachments that name an uploaded file by its id: put into the form in which large attachments are kept anyway.

After that nothing knows where an attachment came from: the job has the name of the bytes, and these are kept as long as
the job can need them, whatever becomes of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from wavecom.core.attachments import ATTACHMENTS_LIMIT_BYTES, BlobStore, content_size, keep_until
from wavecom.core.engine import Policy
from wavecom.core.new_notification import DEFAULT_TIME_TO_LIVE, NewNotification
from wavecom.core.ports import Clock
from wavecom.core.uploads import UploadedFile, UploadStore
from wavecom.errors import Problem, StoreError, UncertainWriteError

FILE_ID: Final = "fileId"
_GONE: Final = "is no file of yours that there is now: it was deleted, has expired or never was; upload it, then repeat"


class NamedFiles:
    """Looks the files up that notifications name, all of a request in two questions to the store."""

    def __init__(self, store: UploadStore, blobs: BlobStore, clock: Clock, policy: Policy) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._policy = policy

    def resolve(
        self, account: str, notifications: Sequence[NewNotification]
    ) -> list[tuple[NewNotification, Sequence[Problem]]]:
        """Each with its files in place, or what is wrong with them; those that name none come back as they are.

        The bytes are kept until the last of these notifications can have gone. Raises ``StoreError``.
        """
        named = {file_id for new in notifications for file_id in _ids_in(new.payload)}
        if not named:
            return [(new, ()) for new in notifications]
        now = self._clock.now()
        files = self._store.get(account, named, now)
        ends = [_end_of(new, now) for new in notifications if _ids_in(new.payload)]
        try:
            there = self._blobs.keep({file.sha256 for file in files.values()}, keep_until(max(ends), self._policy))
        except UncertainWriteError as error:
            # Of the files, maybe; of the notifications certainly nothing has been stored.
            raise StoreError(str(error)) from error
        usable = {file_id: file for file_id, file in files.items() if file.sha256 in there}
        return [self._resolved(new, usable) for new in notifications]

    @staticmethod
    def _resolved(new: NewNotification, files: Mapping[str, UploadedFile]) -> tuple[NewNotification, Sequence[Problem]]:
        if not _ids_in(new.payload):
            return new, ()
        problems: list[Problem] = []
        attachments: list[Mapping[str, Any]] = []
        size = 0
        for index, attachment in enumerate(new.payload["attachments"]):
            file_id = attachment.get(FILE_ID)
            file = files.get(file_id)
            if file_id is None:
                attachments.append(attachment)
                size += content_size(attachment["content"])
            elif file is None:
                problems.append(Problem(f"/payload/attachments/{index}/{FILE_ID}", _GONE, "unknown_value"))
            else:
                attachments.append(_attached(attachment, file))
                size += file.size
        if size > ATTACHMENTS_LIMIT_BYTES:
            text = f"must hold at most {ATTACHMENTS_LIMIT_BYTES} bytes together; they hold {size}"
            problems.append(Problem("/payload/attachments", text, "too_large"))
        return replace(new, payload={**new.payload, "attachments": attachments}), problems


def _attached(attachment: Mapping[str, Any], file: UploadedFile) -> Mapping[str, Any]:
    """As ``attachments.detach`` leaves it."""
    own = {name: value for name, value in attachment.items() if name != FILE_ID}
    names = {"filename": file.filename, "contentType": file.content_type}
    return names | own | {"blob": file.sha256, "size": file.size}


def _ids_in(payload: Mapping[str, Any]) -> list[str]:
    return [each[FILE_ID] for each in payload.get("attachments", ()) if FILE_ID in each]


def _end_of(new: NewNotification, now: datetime) -> datetime:
    return new.expires_at or new.starts_at(now) + DEFAULT_TIME_TO_LIVE + timedelta(minutes=1)
