"""What a restore of the store may lose, and every promise about it that can be broken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.faults.notes import StoreRestore
from tests.faults.restores import is_of_lost_time, reconcile_restore
from wavecom.core.job import JobId

_COPIED, _RESTORED, _SETTLED = 1_800_000_010.0, 1_800_000_040.0, 1_800_000_050.0


def _id(at: float, number: int) -> JobId:
    digits = f"{int(at * 1000):012x}"
    return JobId(f"{digits[:8]}-{digits[8:]}-7000-8000-{number:012x}")


KEPT, LOST, SENT = _id(_COPIED - 5, 1), _id(_COPIED + 5, 2), _id(_COPIED + 6, 3)
RESTORE = StoreRestore(_COPIED, _RESTORED, _SETTLED, frozenset({LOST}))
JOBS: Mapping[str, Mapping[str, Any]] = {
    KEPT: {"jobId": KEPT, "logs": [{"event": "outcome_unknown", "code": "store_restored"}]}
}


def _told(*job_ids: str, kind: str = "plain") -> dict[str, Any]:
    return {job_id: {"kind": kind} for job_id in job_ids}


def _call(job_id: str, at: float) -> dict[str, Any]:
    return {"job_id": job_id, "at": at}


def test_what_was_accepted_after_the_copy_may_be_lost_and_nothing_else() -> None:
    assert is_of_lost_time(LOST, RESTORE)
    assert not is_of_lost_time(KEPT, RESTORE)
    assert not is_of_lost_time(_id(_RESTORED + 1, 4), RESTORE)
    assert not is_of_lost_time(LOST, None)


def test_an_honest_restore_breaks_no_promise() -> None:
    calls = [_call(SENT, _COPIED + 7), _call(KEPT, _COPIED - 1), _call(KEPT, _SETTLED + 1)]

    found = reconcile_restore(RESTORE, _told(KEPT, LOST, SENT), JOBS, calls)

    assert (found.lost, found.put_aside) == (2, 1)
    assert list(found.violations()) == []


def test_what_is_sent_before_it_is_settled_is_found() -> None:
    found = reconcile_restore(RESTORE, _told(KEPT), JOBS, [_call(KEPT, _RESTORED + 1)])

    assert list(found.violations()) == [("1 messages were sent after the restore that must not be", [KEPT])]


def test_what_is_lost_and_was_not_sent_must_be_listed() -> None:
    found = reconcile_restore(replace(RESTORE, listed=frozenset()), _told(KEPT, LOST), JOBS, [])

    assert list(found.violations()) == [("1 lost notifications that nobody had sent were not listed", [LOST])]


def test_what_was_lost_is_never_sent_again() -> None:
    found = reconcile_restore(RESTORE, _told(LOST), JOBS, [_call(LOST, _SETTLED + 9)])

    assert found.early == [LOST]


def test_of_what_was_to_be_sent_later_nobody_but_the_store_knew() -> None:
    found = reconcile_restore(replace(RESTORE, listed=frozenset()), _told(LOST, kind="scheduled"), JOBS, [])

    assert list(found.violations()) == []


def test_what_is_there_must_not_be_listed() -> None:
    found = reconcile_restore(replace(RESTORE, listed=frozenset({LOST, KEPT})), _told(KEPT, LOST), JOBS, [])

    assert list(found.violations()) == [("1 notifications were listed as lost and are there", [KEPT])]
