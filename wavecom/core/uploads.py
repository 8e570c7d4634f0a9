"""Files that clients upload, to be named as attachments of many notifications (ADR 49).

The bytes are kept once for all that have them, where large attachments are (``BlobStore``); what is kept here says that
they are this account's, how they are called, and until when they can be named. A file's id is made of its account and
its bytes: the same bytes uploaded again are the same file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from wavecom.core.attachments import ATTACHMENTS_LIMIT_BYTES, MARGIN, BlobStore
from wavecom.core.ports import Clock
from wavecom.errors import InvalidRequestError, Problem, UploadNotFoundError

log = structlog.get_logger()

DEFAULT_TIME_TO_LIVE: Final = timedelta(days=30)
LONGEST_TIME_TO_LIVE: Final = timedelta(days=365)
#: Files that a list has at most.
LISTED: Final = 1_000

NO_SUCH_FILE: Final = "You have no file with this id: it was deleted, has expired, or never was."

_ID: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file of an account. Times are aware UTC with millisecond precision."""

    file_id: str
    account: str
    #: SHA-256 of its bytes, hexadecimal: under this name they are in the ``BlobStore``.
    sha256: str
    #: In bytes.
    size: int
    #: What it is called, and what it is, where an attachment says nothing else.
    filename: str
    content_type: str
    created_at: datetime
    #: From then on it can't be named any more. Who has named it before has it all the same.
    expires_at: datetime


class UploadStore(Protocol):
    """All uploaded files but their bytes. Raises ``StoreError``. May be called from several threads at once."""

    def keep(self, file: UploadedFile) -> UploadedFile:
        """Keep a file, and answer it as it is kept then.

        One that is there has its names from ``file``, its own ``created_at``, and the later end of the two. May be
        repeated.
        """
        ...

    def get(self, account: str, file_ids: Collection[str], now: datetime) -> dict[str, UploadedFile]:
        """Those of these that the account has and that have not expired, by id."""
        ...

    def all(self, account: str, now: datetime, limit: int) -> Sequence[UploadedFile]:
        """The files of an account that have not expired, the newest first."""
        ...

    def size_of_all(self, account: str, now: datetime) -> int:
        """The bytes of all of them together."""
        ...

    def remove(self, account: str, file_id: str) -> bool:
        """Delete it; False: there is none. Its bytes stay for whoever has named it."""
        ...


def file_id_of(account: str, sha256: str) -> str:
    """The id of these bytes as a file of this account: 32 hexadecimal digits."""
    return hashlib.sha256(f"{account}\0{sha256}".encode()).hexdigest()[:32]


def is_file_id(text: str) -> bool:
    """Whether a file may have this id."""
    return _ID.fullmatch(text) is not None


class Uploads:
    """The use cases behind ``/api/files``. All raise ``StoreError``; those with an id ``UploadNotFoundError``.

    ``limit_bytes``: what the files of an account may hold together.
    """

    def __init__(self, store: UploadStore, blobs: BlobStore, clock: Clock, limit_bytes: int) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._limit_bytes = limit_bytes

    def upload(
        self, account: str, data: bytes, filename: str, content_type: str, time_to_live: timedelta
    ) -> UploadedFile:
        """Keep a file; durable when it returns. May be repeated: the same bytes are the same file, kept longer.

        Raises ``InvalidRequestError`` for one that is empty, too large by itself, or together with the others.
        """
        if not data:
            raise InvalidRequestError([Problem("", "must not be empty: the body is the file itself", "empty")])
        if len(data) > ATTACHMENTS_LIMIT_BYTES:
            text = f"must have at most {ATTACHMENTS_LIMIT_BYTES} bytes, as much as a mail may have; it has {len(data)}"
            raise InvalidRequestError([Problem("", text, "too_large")])
        now = self._clock.now()
        sha256 = hashlib.sha256(data).hexdigest()
        file = UploadedFile(
            file_id=file_id_of(account, sha256),
            account=account,
            sha256=sha256,
            size=len(data),
            filename=filename,
            content_type=content_type,
            created_at=now,
            expires_at=now + time_to_live,
        )
        if file.file_id not in self._store.get(account, [file.file_id], now):
            self._check_room(account, len(data), now)
        # The bytes first, and longer than the file: whatever can be named can be read.
        self._blobs.put({sha256: data}, file.expires_at + MARGIN)
        kept = self._store.keep(file)
        log.info("file_uploaded", file_id=kept.file_id, account=account, size_bytes=kept.size)
        return kept

    def get(self, account: str, file_id: str) -> UploadedFile:
        """One of them."""
        found = self._store.get(account, [file_id], self._clock.now())
        if file_id not in found:
            raise UploadNotFoundError(NO_SUCH_FILE)
        return found[file_id]

    def all(self, account: str) -> Sequence[UploadedFile]:
        """The newest ``LISTED`` files of an account."""
        return self._store.all(account, self._clock.now(), LISTED)

    def remove(self, account: str, file_id: str) -> None:
        """Delete one: it can't be named any more. Notifications that have named it are sent with it all the same."""
        self.get(account, file_id)
        self._store.remove(account, file_id)

    def _check_room(self, account: str, size: int, now: datetime) -> None:
        # Not exact: of several at one moment, each sees what was there before.
        if self._store.size_of_all(account, now) + size > self._limit_bytes:
            text = (
                f"is too much: your files may have {self._limit_bytes} bytes together; delete one, or ask who runs "
                "WaveCom for more (WAVECOM_CLIENT_FILES_MIB)"
            )
            raise InvalidRequestError([Problem("", text, "too_large")])
