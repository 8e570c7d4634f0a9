"""The audit log's vocabulary, and the port that reads it. Bulk operations write it: ``core.bulk_operations``."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from wavecom.core.job import Job


class FailureReason(NamedTuple):
    """Why jobs failed, and at whose hands; what dead letters are counted by."""

    code: str
    provider: str | None


def reason_of(job: Job) -> FailureReason:
    """Why a job failed, or why its last attempt did."""
    error = job.error
    return FailureReason(error.code if error else "unknown", error.provider if error else job.provider)


class AuditAction(StrEnum):
    """What an operator did: the ``action`` of an audit entry."""

    REPLAY = "replay"
    DISCARD = "discard"
    DISCARD_RAW = "discard_raw"
    REVEAL = "reveal"
    SETTLE = "settle"
    CANCEL = "cancel"
    SEND_ELSEWHERE = "send_elsewhere"
    #: What a store that was restored from an older copy holds as open was put aside.
    RESTORE = "restore"
    #: By WaveCom itself: a web process of another version than before has begun.
    RELEASE = "begin_release"


class AuditPosition(NamedTuple):
    """A place in the audit log: that of an entry, by its time and, of those of one moment, by its id."""

    at: datetime
    entry_id: str


class AuditReader(Protocol):
    """Reads the audit log, newest first; entries of one moment by their ids, in descending order."""

    def newest(
        self,
        *,
        action: str | None = None,
        operator: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        behind: AuditPosition | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """At most ``limit`` entries as they were noted, the newest first: those from ``since`` on, and earlier than
        ``before``. With ``behind``, those that follow this one. Their ids are ``entryId``. Raises ``StoreError``.
        """
        ...
