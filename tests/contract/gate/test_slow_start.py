"""Every gate: after a breaker closes, calls start slowly."""

from __future__ import annotations

import time

import pytest

from tests.contract.gate.fleet import (
    BAD,
    GOOD,
    AnyGate,
    Fleet,
    call,
    granted,
    health,
    is_refused,
    knows,
    open_breaker,
    probes,
    wait,
    wait_until,
)
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings
from wavecom.routing.ramp import SUCCESSES_TO_END


def closed_again(fleet: Fleet, settings: GateSettings) -> tuple[AnyGate, AnyGate]:
    """Two members whose breaker has just closed."""
    first, second = fleet.join(settings, threads=1000), fleet.join(settings, threads=1000)
    open_breaker(first, second)
    for member, permit in probes(first, second):
        member.release(permit, GOOD, 5)
    for member in (first, second):
        knows(member, BreakerState.CLOSED)
    return first, second


def let_in(*members: AnyGate) -> list[tuple[AnyGate, Permit]]:
    """All that ask at once and are let in."""
    answers = [(member, member.acquire("sms", Priority.HIGH)) for member in members for _ in range(192)]
    return [(member, answer) for member, answer in answers if isinstance(answer, Permit)]


@pytest.mark.parametrize("rate_per_second", [None, 10_000])
def test_after_a_breaker_closes_few_calls_start_and_more_with_each_that_is_taken(
    fleet: Fleet, rate_per_second: float | None
) -> None:
    breaker = BreakerSettings(open_seconds=0.2, ramp_calls=6, ramp_seconds=600)
    # Before the slow start, of which a part may be over when the two are handed out.
    since = time.monotonic()
    first, second = closed_again(fleet, GateSettings(rate_per_second=rate_per_second, breaker=breaker))
    begun = ended = 0

    def play_a_round() -> bool:
        nonlocal begun, ended
        out = let_in(first, second)
        begun += len(out)
        # 6 at once and again each 5 seconds, the first of which may have begun at any time.
        may_begin = 6 * (2 + (time.monotonic() - since) / 5) + 2 * ended
        assert begun <= may_begin or ended >= SUCCESSES_TO_END
        for member, permit in out:
            member.release(permit, GOOD, 5)
        ended += len(out)
        return len(out) == 384

    assert not play_a_round()
    wait_until(play_a_round, "all are let in")
    assert ended >= SUCCESSES_TO_END
    wait_until(lambda: not health(second).is_ramping, "the slow start is over")


def test_the_slow_start_goes_no_faster_while_answers_are_bad(fleet: Fleet) -> None:
    breaker = BreakerSettings(open_seconds=0.2, ramp_calls=6, ramp_seconds=600, max_failures_in_a_row=1000)
    first, second = closed_again(fleet, GateSettings(breaker=breaker))
    for member, permit in let_in(first, second):
        member.release(permit, BAD, 5)

    wait_until(lambda: health(first).failures > 0, "the failures are counted")
    assert len(let_in(first, second)) <= 6
    wait_until(is_refused(first, gate.SLOW_START), "the next is refused")


def test_a_pause_too_is_followed_by_a_slow_start(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(ramp_calls=6))
    first, second = fleet.join(settings, threads=1000), fleet.join(settings, threads=1000)
    call(second, GOOD)
    # Long enough that a busy machine sees it from both sides.
    call(first, wait(2, Scope.PROVIDER))
    for member in (first, second):
        wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")

    wait_until(lambda: not is_refused(first, gate.THROTTLED)(), "the pause is over")

    assert len(let_in(first, second)) <= 12


def test_permits_that_never_came_back_do_not_end_everything(fleet: Fleet) -> None:
    breaker = BreakerSettings(open_seconds=0.2, ramp_calls=6, ramp_seconds=600)
    first, second = closed_again(fleet, GateSettings(breaker=breaker))
    let_in(first, second)

    assert isinstance(granted(second), Permit)


def test_without_a_slow_start_all_start_at_once(fleet: Fleet) -> None:
    first, second = closed_again(fleet, GateSettings(breaker=BreakerSettings(open_seconds=0.2, ramp_calls=0)))

    assert len(let_in(first, second)) == 384
