"""Every gate: the breaker, its probes, and what opens and closes it."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from tests.contract.gate.fleet import (
    BAD,
    GOOD,
    LONG,
    Fleet,
    call,
    granted,
    health,
    knows,
    open_breaker,
    probes,
    refusal,
    told,
    wait_until,
)
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Outcome, ProviderResult
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings


def test_failures_open_the_breaker_for_all(fleet: Fleet) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)

    open_breaker(first, second)

    assert refusal(first).reason == gate.BREAKER_OPEN
    assert 0 < refusal(second).retry_after_seconds <= settings.breaker.open_seconds
    assert health(second).state is BreakerState.OPEN
    assert 0 < health(second).open_for_seconds <= settings.breaker.open_seconds


def test_failures_of_several_processes_add_up(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(max_failures_in_a_row=1000, min_calls=20, open_seconds=60))
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, BAD, times=10)
    call(second, BAD, times=10)

    knows(first, BreakerState.OPEN)
    knows(second, BreakerState.OPEN)


def test_failures_in_a_row_open_the_breaker_however_good_the_time_before_was(fleet: Fleet) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)
    call(first, GOOD, times=200)
    wait_until(lambda: health(first).calls > 0, "the good calls are counted")

    call(first, BAD, times=5)
    call(second, BAD, times=5)

    knows(first, BreakerState.OPEN)


def test_slow_answers_open_the_breaker_though_they_are_good(fleet: Fleet) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)

    call(first, GOOD, times=10, latency_ms=6000)

    knows(second, BreakerState.OPEN)


@pytest.mark.parametrize(
    "answer",
    [
        GOOD,
        ProviderResult(Outcome.REJECTED, "http_400"),
        ProviderResult(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=0),
    ],
)
def test_what_does_not_speak_against_the_provider_keeps_the_breaker_closed(
    fleet: Fleet, answer: ProviderResult
) -> None:
    member = fleet.join(GateSettings())

    call(member, answer, times=50)

    wait_until(lambda: health(member).calls > 0, "the calls are counted")
    assert health(member).state is BreakerState.CLOSED
    assert health(member).failures == 0


def test_too_few_calls_say_nothing(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(breaker=BreakerSettings(window_seconds=3600)))

    call(member, BAD, times=9)

    wait_until(lambda: health(member).failures == pytest.approx(9, abs=0.1), "the failures are counted")
    assert health(member).state is BreakerState.CLOSED


def test_a_few_probes_in_the_whole_fleet_and_their_success_closes_it(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)

    out = probes(first, second)

    assert len(out) == settings.breaker.max_probes
    assert all(permit.is_probe for _, permit in out)
    assert refusal(first).reason == gate.PROBES_TAKEN
    assert 0 < refusal(first).retry_after_seconds < 1
    for member, permit in out:
        member.release(permit, GOOD, 5)
    assert not granted(first).is_probe
    knows(second, BreakerState.CLOSED)
    assert not granted(second).is_probe


@pytest.mark.parametrize(("answer", "latency_ms"), [(BAD, 5), (GOOD, 6000)])
def test_a_probe_that_fails_or_is_slow_opens_it_again_for_longer(
    fleet: Fleet, answer: ProviderResult, latency_ms: float
) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)

    with capture_logs() as logs:
        open_breaker(first, second)
        for times in (2, 3):
            for member, permit in probes(first, second):
                member.release(permit, answer, latency_ms)
            wait_until(lambda times=times: len(told(logs, "breaker_open")) >= times, "the breaker is open again")

    assert [entry["open_for_seconds"] for entry in told(logs, "breaker_open")] == [0.2, 0.4, 0.8]


def test_a_probe_that_died_does_not_block_and_comes_back_in_vain(fleet: Fleet) -> None:
    settings = GateSettings(
        breaker=BreakerSettings(open_seconds=0.2, max_probes=1, successes_to_close=1, probe_lease_seconds=1)
    )
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    [(dead, lost)] = probes(first)

    permit = granted(second)

    assert permit.is_probe
    dead.release(lost, BAD, 5)
    dead.close()
    second.release(permit, GOOD, 5)
    knows(second, BreakerState.CLOSED)


def test_probes_of_an_earlier_time_take_no_place_and_prove_nothing(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    *failing, (hanging_member, hanging_permit) = probes(first)
    hanging = [(hanging_member, hanging_permit)]
    earlier = health(first).epoch
    for member, permit in failing:
        member.release(permit, BAD, 5)
    wait_until(lambda: health(first).epoch > earlier, "the breaker is open again")

    out = probes(second)
    for member, permit in hanging:
        member.release(permit, GOOD, 5)
    for member, permit in out[1:]:
        member.release(permit, GOOD, 5)
    first.close()

    assert len(out) == settings.breaker.max_probes
    wait_until(lambda: health(second).state is BreakerState.HALF_OPEN, "the breaker is still half open")
    out[0][0].release(out[0][1], GOOD, 5)
    knows(second, BreakerState.CLOSED)


def test_a_probe_that_was_not_used_makes_room_for_another(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2, max_probes=1))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    [(member, permit)] = probes(first)

    member.release(permit, None, 0)

    assert granted(second).is_probe


def test_calls_that_began_before_it_opened_say_nothing_afterwards(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    hanging = [granted(second) for _ in range(30)]
    open_breaker(first, second)
    for member, permit in probes(first, second):
        member.release(permit, GOOD, 5)
    knows(second, BreakerState.CLOSED)

    for permit in hanging:
        second.release(permit, ProviderResult(Outcome.UNKNOWN, "timeout"), 10_000)
    second.release(granted(second), GOOD, 5)

    wait_until(lambda: health(second).calls > 0, "the last call is counted")
    assert health(second).state is BreakerState.CLOSED
    assert health(second).failures == 0


def test_every_change_of_state_is_told_once(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)

    with capture_logs() as logs:
        open_breaker(first, second)
        for member, permit in probes(first, second):
            member.release(permit, GOOD, 5)
        for member in (first, second):
            knows(member, BreakerState.CLOSED)

    events = [entry["event"] for entry in logs if entry["event"].startswith("breaker_")]
    assert events == ["breaker_open", "breaker_half_open", "breaker_closed"]
