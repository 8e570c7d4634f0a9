"""The audit log: who did what to jobs, entry by entry, written before anything is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from wavecom.core.job import Job, JobId
from wavecom.core.ports import Clock
from wavecom.errors import StoreError


class Reason(NamedTuple):
    """Why jobs failed, and at whose hands; what dead letters are counted by."""

    code: str
    provider: str | None


def reason_of(job: Job) -> Reason:
    """Why a job failed, or why its last attempt did."""
    error = job.error
    return Reason(error.code if error else "unknown", error.provider if error else job.provider)


class Action(StrEnum):
    """What an operator did."""

    REPLAY = "replay"
    DISCARD = "discard"
    DISCARD_RAW = "discard_raw"
    REVEAL = "reveal"
    SETTLE = "settle"


class AuditReader(Protocol):
    """The audit log, read."""

    def newest(
        self, *, action: str | None = None, operator: str | None = None, since: datetime | None = None, limit: int
    ) -> list[dict[str, Any]]:
        """At most ``limit`` entries as they were noted, the newest first. Raises ``StoreError``."""
        ...


class BulkOperationState(StrEnum):
    """How far a run has come. One that stays ``running`` was killed; its counts are those of its last batch."""

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(slots=True)
class BulkOperation:
    """One use of an operator's command: its audit entry, kept up to date while it goes on."""

    operation_id: str
    action: Action
    operator: str
    started_at: datetime
    filters: Mapping[str, str]
    is_dry_run: bool = False
    state: BulkOperationState = BulkOperationState.RUNNING
    finished_at: datetime | None = None
    #: What was moved, or in a dry run would be, by reason.
    reasons: Counter[Reason] = field(default_factory=Counter)
    #: Jobs that were found moved already, or not failed: nothing was left to do for them.
    already_done: int = 0
    #: Jobs left alone because a replay of them might send twice, which nobody has accepted.
    in_doubt: int = 0
    #: Job ids that nobody has heard of.
    unknown: int = 0
    #: Replayed jobs whose delivery message the broker did not confirm; the sweep publishes them.
    unpublished: int = 0
    first_id: JobId | None = None
    last_id: JobId | None = None

    @property
    def done(self) -> int:
        """Jobs or messages that this run moved; in a dry run those that it would."""
        return self.reasons.total()

    @property
    def looked_at(self) -> int:
        """For progress bars."""
        return self.done + self.already_done + self.in_doubt + self.unknown


class AuditLog(Protocol):
    """Who did what, kept for good. Raises ``StoreError``."""

    def record(self, operation: BulkOperation) -> None:
        """Write the entry of this run, in place of an earlier state of it."""
        ...


class AuditedEnd:
    """Around a run: its audit entry says in the end how it ended."""

    def __init__(self, operation: BulkOperation, audit: AuditLog, clock: Clock) -> None:
        self._operate = operation
        self._audit = audit
        self._clock = clock

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        states = {type(None): BulkOperationState.FINISHED, KeyboardInterrupt: BulkOperationState.INTERRUPTED}
        self._operate.state = states.get(type(error), BulkOperationState.FAILED)
        self._operate.finished_at = self._clock.now()
        try:
            self._audit.record(self._operate)
        except StoreError:
            # What ended the run matters more than that its entry still says "running".
            if error is None:
                raise
