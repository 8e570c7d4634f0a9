"""What got stuck of a region is put right, in its own lanes."""

from __future__ import annotations

import pytest

from tests.factories import later
from tests.unit.core.sweep.environment import SweepEnvironment
from wavecom.core.lanes import QueueLayout
from wavecom.core.states import Status


@pytest.mark.parametrize("status", [Status.QUEUED, Status.SCHEDULED])
def test_a_regions_job_is_published_again_in_its_region(status: Status) -> None:
    environment = SweepEnvironment(layout=QueueLayout(4, ("eu", "us")))
    queued_at = later(-3600) if status is Status.QUEUED else None
    stuck = [
        environment.job(region=region, status=status, due_at=later(-1), queued_at=queued_at) for region in ("eu", "")
    ]

    environment.sweep.run()

    published = {(each.job_id, each.lane.region) for each in environment.publisher.delivery_messages}
    assert published == {(job.job_id, job.region) for job in stuck}
