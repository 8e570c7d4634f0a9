"""Whether the servers are of one time: a MongoDB that was restored is older than what Redis remembers (ADR 54)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pymongo.database import Database
from pymongo.errors import PyMongoError

from wavecom.core.audit import AuditAction
from wavecom.core.bulk_operations import BulkOperationState
from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.core.ids import time_of_uuid7
from wavecom.core.job import JobId
from wavecom.core.ports import JobFilter
from wavecom.core.states import Status
from wavecom.core.store_guard import BEAT_SECONDS, is_older
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.diagnosis.mongodb import open_database
from wavecom.diagnosis.redis import open_redis
from wavecom.errors import StoreError, UnavailableError
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.store_heartbeat import MongoStoreHeartbeat
from wavecom.storage.redis.heartbeat_memory import RedisHeartbeatMemory
from wavecom.storage.redis.kept_answers import RedisKeptAnswers

_SAMPLE: Final = 1_000
_MOST_COUNTED: Final = 10_000
_SETTLE: Final = "wavecom restore"


class _Restore(NamedTuple):
    """A restore that ``wavecom restore`` has settled: what was accepted between these times is known to be lost."""

    copied_at: datetime
    settled_at: datetime
    held: int

    def explains(self, job_id: str) -> bool:
        """Whether a job of this id, which the store has not, was lost with it."""
        made_at = time_of_uuid7(job_id)
        # The copy may be some seconds older than its heartbeat.
        earliest = self.copied_at - timedelta(seconds=BEAT_SECONDS)
        return made_at is not None and earliest <= made_at <= self.settled_at


def check_restore(context: DiagnosisContext) -> Iterator[CheckResult]:
    """Whether MongoDB is as recent as what is remembered of it, and what is left to do of a settled restore."""
    try:
        with open_redis(context) as client, open_database(context) as database:
            heartbeat = MongoStoreHeartbeat(database).read()
            remembered = None if heartbeat is None else RedisHeartbeatMemory(client).latest(heartbeat.store_id)
            if heartbeat is not None and remembered is not None and is_older(heartbeat, remembered):
                text = (
                    f"is a copy of {heartbeat.at:%Y-%m-%d %H:%M:%S} UTC, and Redis knows it of "
                    f"{remembered.at:%Y-%m-%d %H:%M:%S}: nothing is sent until that is settled; stop the workers before"
                )
                yield CheckResult("restore", "MongoDB", Severity.ERROR, text, _SETTLE)
                return
            restores = _settled_restores(database)
            yield _answers(RedisKeptAnswers(client).latest(_SAMPLE), database, restores)
            if restores:
                yield _undecided(database, restores[0])
    except (PyMongoError, StoreError, UnavailableError):
        text = "not known while Redis or MongoDB does not answer"
        yield CheckResult("restore", "Redis", Severity.WARNING, text, "wavecom doctor redis mongodb")


def _settled_restores(database: Database[dict[str, Any]]) -> list[_Restore]:
    """The newest first."""
    entries = MongoAuditLog(database).newest(action=AuditAction.RESTORE, limit=20)
    return [
        _Restore(datetime.fromisoformat(entry["filters"]["copiedAt"]), entry["startedAt"], entry["done"])
        for entry in entries
        if not entry["dryRun"] and entry["state"] == BulkOperationState.FINISHED
    ]


def _answers(
    answers: Sequence[tuple[str, JobId]], database: Database[dict[str, Any]], restores: Sequence[_Restore]
) -> CheckResult:
    """Where MongoDB has not what an answer tells of, who repeats the request is told that it was accepted, and nothing
    is sent."""
    job_ids = [job_id for _, job_id in answers]
    known = MongoJobRepository(database["jobs"]).by_ids(job_ids) if job_ids else {}
    lost = set(job_ids) - set(known)
    explained = {job_id for job_id in lost if any(each.explains(job_id) for each in restores)}
    if lost - explained:
        text = (
            f"of the latest {len(answers)} answers to idempotency keys {len(lost - explained)} name notifications that "
            "MongoDB has not, as after a restore: their repetitions are answered and not sent; stop the workers, then "
            "settle it, with the time of the copy"
        )
        oldest = min(made_at for job_id in lost - explained if (made_at := time_of_uuid7(job_id)))
        remedy = f"wavecom restore --copied-at {oldest:%Y-%m-%dT%H:%M:%SZ}"
        return CheckResult("restore", "Redis", Severity.ERROR, text, remedy)
    left = f", and with {len(explained)} that were lost in a restore and may have been sent" if explained else ""
    return CheckResult("restore", "Redis", Severity.OK, f"answers repeated requests with what MongoDB has{left}")


def _undecided(database: Database[dict[str, Any]], latest: _Restore) -> CheckResult:
    """What the latest restore has put aside, and how much of that nobody has decided about."""
    where = JobFilter(statuses=frozenset({Status.UNCONFIRMED}), created_before=latest.settled_at)
    count = MongoJobRepository(database["jobs"]).count(where, _MOST_COUNTED) or 0
    text = f"was settled at {latest.settled_at:%Y-%m-%d %H:%M} UTC, with {latest.held} notifications put aside"
    if not count:
        return CheckResult("restore", "MongoDB", Severity.OK, f"{text}; none is unconfirmed now")
    return CheckResult(
        "restore",
        "MongoDB",
        Severity.WARNING,
        f"{text}; of all from before then {count} are unconfirmed: settle them, or send them again",
        f"wavecom unconfirmed list --until {latest.settled_at:%Y-%m-%dT%H:%M:%SZ}",
    )
