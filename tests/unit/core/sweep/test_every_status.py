"""A job that may need somebody is looked at in every status, and a settled one in none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import later
from tests.unit.core.sweep.environment import Store, SweepEnvironment
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import FINAL, NOT_FINAL, Status


class WatchedStore(Store):
    """Notes which jobs its searches have found."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[JobId] = set()

    def due(self, *args: Any, **kwargs: Any) -> list[Job]:
        jobs = super().due(*args, **kwargs)
        self.found |= {job.job_id for job in jobs}
        return jobs

    def parked(self, *args: Any, **kwargs: Any) -> list[Job]:
        jobs = super().parked(*args, **kwargs)
        self.found |= {job.job_id for job in jobs}
        return jobs


#: Follows the table of statuses: a new one that is not final has to be looked at. A failed job is final, but its dead
#: letter may be owed.
LOOKED_AT = sorted(NOT_FINAL | {Status.FAILED})


@pytest.mark.parametrize("status", LOOKED_AT)
def test_a_job_that_may_need_somebody_is_looked_at_in_every_status(status: Status) -> None:
    store = WatchedStore()
    environment = SweepEnvironment(jobs=store)
    in_every_lane = [
        environment.job(status=status, type=channel, priority=priority, client=client, due_at=later(30))
        for channel in Channel
        for priority in Priority
        for client in ("acme", "acme:test")
    ]
    environment.clock.advance(120)

    environment.sweep.run()

    assert {job.job_id for job in in_every_lane} <= store.found


@pytest.mark.parametrize("status", sorted(FINAL - {Status.FAILED}))
def test_what_is_settled_is_never_due(status: Status) -> None:
    environment = SweepEnvironment()
    settled = environment.job(status=status)

    environment.clock.advance(3600)
    environment.sweep.run()

    assert settled.due_at is None
    assert environment.read(settled) == settled
