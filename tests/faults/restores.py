"""What a restore of the store may lose, and what it may not: a part of the reconciliation. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.faults.doubts import is_put_aside
from tests.faults.notes import StoreRestore

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RestoreFindings:
    """How many accepted jobs are lost, and were put aside; and the ids of those with which a promise was broken."""

    lost: int
    put_aside: int
    #: Sent after the restore, before it was settled; or lost, and sent ever after.
    early: Sequence[str]
    #: Lost, sent by nobody, and not listed.
    unlisted: Sequence[str]
    #: Listed as lost, and there.
    wrongly_listed: Sequence[str]

    def violations(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Each broken promise in words, and the ids that it was broken with."""
        promises = (
            ("messages were sent after the restore that must not be", self.early),
            ("lost notifications that nobody had sent were not listed", self.unlisted),
            ("notifications were listed as lost and are there", self.wrongly_listed),
        )
        yield from ((f"{len(job_ids)} {text}", job_ids) for text, job_ids in promises if job_ids)


def is_of_lost_time(job_id: str, restore: StoreRestore | None) -> bool:
    """Whether a job was accepted after the copy and before that was put back; its id, a UUID of version 7, tells."""
    if restore is None:
        return False
    accepted_at = int(job_id.replace("-", "")[:12], 16) / 1000
    return restore.copied_at <= accepted_at <= restore.restored_at


def reconcile_restore(
    restore: StoreRestore | None,
    accepted: Mapping[str, Document],
    jobs: Mapping[str, Document],
    records: Sequence[Document],
) -> RestoreFindings:
    """``accepted``: what clients were told of, ``jobs``: what is there at the end, by id; ``records``: all calls."""
    if restore is None:
        return RestoreFindings(0, 0, (), (), ())
    lost = {job_id for job_id in accepted if job_id not in jobs}
    # What was tried and waits for its next attempt is in no lane's queue; of what was sent no message is lost. And of
    # what was to be sent later there was no message yet.
    called = {record["job_id"] for record in records}
    scheduled = {job_id for job_id in lost if accepted[job_id]["kind"] == "scheduled"}
    since = [record for record in records if record["at"] > restore.restored_at]
    return RestoreFindings(
        lost=len(lost),
        put_aside=sum(map(is_put_aside, jobs.values())),
        early=[each["job_id"] for each in since if each["at"] < restore.settled_at or each["job_id"] in lost],
        unlisted=sorted(lost - called - scheduled - restore.listed),
        wrongly_listed=sorted(restore.listed & set(jobs)),
    )
