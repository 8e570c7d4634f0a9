"""The capacity model: what a rate needs, and where the first limit lies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wavecom.commands.capacity import measured_costs
from wavecom.core.capacity import CapacityNeed, plan
from wavecom.core.costs import group_size, opened_window

COSTS = measured_costs()
NEED = CapacityNeed(rate_per_second=833)


def test_the_headline_rate_fits_one_process_of_each_kind_and_one_to_spare() -> None:
    found = plan(NEED, COSTS)

    assert (found.amount("web processes"), found.amount("workers"), found.amount("shards")) == (2, 2, 1)
    assert found.amount("queue partitions") == 1
    assert found.amount("storage") == pytest.approx(833 * 1_285 * 86_400 * 30 / 1e12)


@pytest.mark.parametrize("what", ["web processes", "workers", "cores", "queue partitions", "storage", "shards"])
def test_a_hundred_times_the_rate_needs_at_most_a_hundred_times_as_much(what: str) -> None:
    small, large = plan(NEED, COSTS), plan(replace(NEED, rate_per_second=83_300), COSTS)

    assert small.amount(what) < large.amount(what) <= 101 * small.amount(what)


def test_slow_providers_need_workers_and_receipts_need_web_processes() -> None:
    usual = plan(replace(NEED, rate_per_second=5_000), COSTS)
    slow = plan(replace(NEED, rate_per_second=5_000, latency_seconds=2), COSTS)
    reporting = plan(replace(NEED, rate_per_second=5_000, receipts=2), COSTS)

    assert slow.amount("workers") > 10 * usual.amount("workers")
    assert slow.amount("web processes") == usual.amount("web processes")
    assert reporting.amount("web processes") > 2 * usual.amount("web processes")


def test_connections_are_those_of_each_pool_and_of_the_driver_that_watches_three_servers() -> None:
    found = plan(NEED, COSTS)

    assert found.amount("connections to MongoDB") == 2 * (128 + 16 + 8 + 8 + 6) + 2 * (384 + 8 + 6)


def test_limits_come_in_the_order_in_which_they_are_met() -> None:
    limits = plan(NEED, COSTS).limits

    assert [each.rate_per_second for each in limits] == sorted(each.rate_per_second for each in limits)
    assert limits[0].what == "the disk of a replica set"


def test_nobody_waits_for_company_that_does_not_come() -> None:
    assert [round(1_000 * opened_window(rate, 0.015)) for rate in (0, 60, 200, 400, 5_000)] == [0, 0, 8, 15, 15]
    assert (group_size(50, 0.015, 48), group_size(5_000, 0.015, 48)) == (1, 48)


def test_a_group_shares_its_round_trip() -> None:
    cost = COSTS.groups["MongoDB"]

    assert cost.of_group(40) < 10 * cost.of_group(1)
    assert cost.at(1_000, 0.025, 128) < cost.at(100, 0.025, 128)
