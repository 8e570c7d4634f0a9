"""A job's region is settled when it is accepted, and stays."""

from __future__ import annotations

import pytest

from tests.unit.core.submission.environment import SubmissionEnvironment, new
from wavecom.core.regions import Region, Regions

REGIONS = Regions({"eu": Region(name="eu"), "us": Region(name="us", countries=frozenset({"US"}))}, "eu")


@pytest.mark.parametrize(
    ("regions", "asked", "phone", "region"),
    [
        (None, None, "+12125550123", ""),
        (REGIONS, None, "+12125550123", "us"),
        (REGIONS, None, "+4915112345678", "eu"),
        (REGIONS, "eu", "+12125550123", "eu"),
    ],
)
def test_a_job_travels_in_the_lanes_of_its_region(
    regions: Regions | None, asked: str | None, phone: str, region: str
) -> None:
    environment = SubmissionEnvironment(region_rules=regions)

    job = environment.submission.accept(new(region=asked, to={"phone": phone})).job

    assert (job.region, job.lane.region) == (region, region)
    assert job.lane.queue == (f"{region}.sms.normal" if region else "sms.normal")
    assert [message.lane for message in environment.publisher.delivery_messages] == [job.lane]


def test_a_region_that_there_is_not_is_a_problem() -> None:
    environment = SubmissionEnvironment(region_rules=REGIONS)

    [problem] = environment.submission.problems(new(region="mars"))

    assert problem.where == "/region"
    assert environment.submission.problems(new(region="us")) == []
