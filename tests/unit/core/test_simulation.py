"""The simulation shows what the last performance report has measured, and what follows from limits and failures."""

from __future__ import annotations

import pytest

from wavecom.commands.capacity import measured_costs
from wavecom.core.simulation import SimulatedDeployment, SimulatedLoad, StoreOutage, simulate

COSTS = measured_costs()
#: How far the simulation may be from what was measured.
WITHIN = 0.15


def measured_machine(scenario: str) -> SimulatedDeployment:
    """The machine of the report, with load generator and provider on it, as fast as it was then."""
    return SimulatedDeployment(
        cores=COSTS.seen["spike"]["cores"],
        core_speed=COSTS.seen[scenario]["speed"],
        load_ms=COSTS.load_ms,
        provider_ms=COSTS.provider_ms,
    )


def test_a_steady_load_costs_what_was_measured() -> None:
    seen = COSTS.seen["steady"]

    outcome = simulate(measured_machine("steady"), COSTS, [SimulatedLoad(rate=seen["rate"], seconds=10)])

    assert outcome.accepted == outcome.delivered == outcome.offered
    assert outcome.accepted_per_second == pytest.approx(seen["rate"], rel=WITHIN)
    assert outcome.cpu_ms == pytest.approx(seen["cpu_ms"], rel=WITHIN)
    assert outcome.cpu_seconds / outcome.last_delivered_at == pytest.approx(seen["cores"], rel=WITHIN)


def test_a_spike_is_accepted_and_delivered_at_the_measured_pace() -> None:
    seen = COSTS.seen["spike"]
    at_once = SimulatedLoad(rate=seen["count"] * 20, seconds=0.05, patience_seconds=1_000)

    outcome = simulate(measured_machine("spike"), COSTS, [at_once])

    assert outcome.accepted == outcome.delivered == outcome.offered
    assert outcome.offered == pytest.approx(seen["count"], rel=0.01)
    assert outcome.accepted_per_second == pytest.approx(seen["accepted_per_second"], rel=WITHIN)
    assert outcome.delivered_per_second == pytest.approx(seen["end_to_end_per_second"], rel=WITHIN)


def test_an_overload_is_taken_and_worked_off_as_measured() -> None:
    seen = COSTS.seen["overload"]
    too_much = SimulatedLoad(rate=seen["offered_per_second"], seconds=seen["seconds"])
    # What the benchmark sends afterwards, a third of what is carried.
    after = SimulatedLoad(rate=seen["offered_per_second"] / 9, seconds=seen["worked_off_after_seconds"] * 1.2)

    outcome = simulate(measured_machine("overload"), COSTS, [too_much, after])

    assert outcome.accepted + outcome.never_sent == outcome.offered
    accepted = sum(1 for each in outcome.accepted_at if each <= seen["seconds"]) / seen["seconds"]
    assert accepted == pytest.approx(seen["accepted_per_second"], rel=WITHIN)
    assert outcome.emptied_at - seen["seconds"] == pytest.approx(seen["worked_off_after_seconds"], rel=WITHIN)


def test_a_providers_limit_holds_however_many_workers_there_are() -> None:
    deployment = SimulatedDeployment(cores=8, workers=4, provider_rate=100)

    outcome = simulate(deployment, COSTS, [SimulatedLoad(rate=200, seconds=5)])

    assert outcome.delivered == outcome.offered
    assert outcome.delivered_per_second == pytest.approx(100, rel=0.1)


def test_calls_at_once_bound_a_worker_and_a_second_one_carries_as_much_again() -> None:
    load = SimulatedLoad(rate=400, seconds=5)

    one, two = (
        simulate(SimulatedDeployment(cores=8, workers=count, calls_at_once=50, latency_seconds=0.4), COSTS, [load])
        for count in (1, 2)
    )

    assert one.delivered_per_second == pytest.approx(50 / 0.45, rel=0.2)
    assert two.delivered_per_second == pytest.approx(2 * one.delivered_per_second, rel=0.2)


def test_a_store_that_is_away_holds_up_everybody_and_loses_nothing() -> None:
    calm = SimulatedDeployment(cores=8)
    disturbed = SimulatedDeployment(cores=8, outages=[StoreOutage(at=2, seconds=3)])
    load = SimulatedLoad(rate=300, seconds=6, connections=4_096)

    well, ill = (simulate(each, COSTS, [load]) for each in (calm, disturbed))

    assert ill.accepted == ill.delivered == ill.offered == well.offered
    assert max(ill.accept_seconds) == pytest.approx(3, abs=0.2)
    assert max(well.accept_seconds) < 0.1
