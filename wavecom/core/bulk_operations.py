"""A bulk operation as its audit entry tells of it, the options it is started with, and the port of the audit log.

What runs one is ``core.bulk_runner``; neither knows what the items are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from wavecom.core.actor import OPERATOR
from wavecom.core.audit import AuditAction, FailureReason
from wavecom.errors import ConflictError


class NotResumableError(ConflictError):
    """No operation has this audit entry, or it is one that can't go on from where it ended."""

    code = "not_resumable"


class OperationStoppedError(ConflictError):
    """Somebody asked for the operation to stop; it did, after a whole batch, and can be resumed."""

    code = "operation_stopped"


class BulkOperationState(StrEnum):
    """How an operation ended. One that stays ``running`` was killed; its counts are those of its last batch."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(slots=True)
class BulkOperation:
    """One use of an operator's command: its audit entry, kept up to date while it goes on."""

    operation_id: str
    action: AuditAction
    operator: str
    started_at: datetime
    filters: Mapping[str, str]
    is_dry_run: bool = False
    state: BulkOperationState = BulkOperationState.RUNNING
    finished_at: datetime | None = None
    #: What was changed, or in a dry run would be, by reason.
    reasons: Counter[FailureReason] = field(default_factory=Counter)
    #: Items that were found changed already, or not such that they could be: nothing was left to do for them.
    already_done: int = 0
    #: Items left alone because the change might send something twice, which nobody has accepted.
    in_doubt: int = 0
    #: Ids that nobody has heard of.
    unknown: int = 0
    #: Changed items whose message the broker did not confirm; the sweep publishes it.
    unpublished: int = 0
    #: The ids of the first and the last item that was changed.
    first_id: str | None = None
    last_id: str | None = None
    #: How far the source has been read, in the source's own words; None: the first batch is not done.
    position: str | None = None
    #: The operation that this one resumes, and when the first of them began: what is newer is not touched.
    resumes: str | None = None
    as_of: datetime | None = None

    @property
    def done(self) -> int:
        """Items that this operation changed; in a dry run those that it would."""
        return self.reasons.total()

    @property
    def looked_at(self) -> int:
        """Items that were read so far: for progress bars."""
        return self.done + self.already_done + self.in_doubt + self.unknown

    @property
    def items_until(self) -> datetime:
        """What came into being, or failed, later than that is none of this operation's items."""
        return self.as_of or self.started_at


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOptions:
    """How an operation is to go: on whose behalf, how many items a second, at most how many, or only to count them.

    With ``starts_at`` it does not wait between batches: each item gets a second of its own to start in, from that time
    on (``start_of``), and the change must see to it that nothing happens before.
    """

    operator: str
    rate_per_second: float = 50
    limit: int | None = None
    is_dry_run: bool = False
    #: The client that asks; none but its own jobs are looked at. None: an operator, for everybody's.
    client: str | None = None
    starts_at: datetime | None = None
    #: Why, for the audit entry.
    reason: str = ""
    #: The id of its audit entry, where who starts it must know it at once; None: a new one.
    operation_id: str | None = None

    @property
    def by(self) -> str:
        """For the log, which clients read: the key that asked, or only that an operator did."""
        return OPERATOR if self.client is None else self.operator

    def start_of(self, number: int) -> datetime | None:
        """When the item that is changed after ``number`` others starts; None: at once."""
        if self.starts_at is None:
            return None
        return self.starts_at + timedelta(seconds=int(number / self.rate_per_second))


class StopRequests(Protocol):
    """Requests to stop running operations, for all processes. Raises ``StoreError``."""

    def add(self, operation_id: str, by: str, at: datetime) -> None:
        """Ask for it. May be repeated; forgotten after some days."""
        ...

    def has(self, operation_id: str) -> bool:
        """Whether somebody has."""
        ...


class AuditLog(Protocol):
    """Who did what, kept for good. Raises ``StoreError``."""

    def record(self, operation: BulkOperation) -> None:
        """Write the entry of this operation, in place of an earlier state of it."""
        ...

    def find(self, operation_id: str) -> BulkOperation | None:
        """The operation as its entry has it; None when there is no such entry, or it tells of something else."""
        ...
