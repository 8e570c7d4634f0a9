"""Every gate: what is about the message, the recipient or the worker says nothing about the provider."""

from __future__ import annotations

import pytest

from tests.contract.gate.fleet import (
    BAD,
    GOOD,
    LONG,
    SLACK_SECONDS,
    Fleet,
    call,
    granted,
    health,
    knows,
    open_breaker,
    probes,
    wait_until,
)
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings

ABOUT_OTHERS = [Scope.MESSAGE, Scope.RECIPIENT, Scope.DESTINATION, Scope.WORKER]


@pytest.mark.parametrize("scope", ABOUT_OTHERS)
def test_what_is_about_something_else_never_opens_the_breaker(fleet: Fleet, scope: Scope) -> None:
    member = fleet.join(GateSettings())

    call(member, ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=scope), times=30)
    call(member, GOOD)

    wait_until(lambda: health(member).calls > 0, "the calls are counted")
    assert health(member).state is BreakerState.CLOSED
    assert health(member).failures == 0


def test_one_recipient_alone_does_not_open_the_breaker(fleet: Fleet) -> None:
    settings = GateSettings()
    first, second = fleet.join(settings), fleet.join(settings)

    for member in (first, second):
        call(member, BAD, times=30, to="a")
        call(member, BAD, times=30, to="b")
    wait_until(lambda: health(first).failures > 0, "the failures are counted")
    call(first, GOOD)

    wait_until(lambda: health(first).calls >= 3, "the last call is counted")
    assert health(first).state is BreakerState.CLOSED
    assert health(first).failures <= 2


@pytest.mark.parametrize("scope", [None, Scope.PROVIDER])
def test_what_is_about_the_provider_counts_by_recipients_or_each_time(fleet: Fleet, scope: Scope | None) -> None:
    settings = GateSettings(breaker=LONG)
    first, second = fleet.join(settings), fleet.join(settings)
    answer = ProviderResult(Outcome.UNAVAILABLE, "connect", scope=scope)

    for number in range(10):
        call(first, answer, to="a" if scope else f"recipient {number}")

    for member in (first, second):
        knows(member, BreakerState.OPEN)
        assert health(member).reason == "10 failures in a row, last connect"
        assert 0 <= health(member).since_seconds < SLACK_SECONDS


@pytest.mark.parametrize("scope", [Scope.MESSAGE, Scope.RECIPIENT, Scope.DESTINATION])
def test_probes_that_meet_somebody_elses_trouble_close_it(fleet: Fleet, scope: Scope) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)

    for member, permit in probes(first, second):
        member.release(permit, ProviderResult(Outcome.UNAVAILABLE, "smtp_451", scope=scope), 5)

    knows(second, BreakerState.CLOSED)
    assert health(second).reason == "3 probes succeeded"


def test_one_recipients_probes_do_not_open_it_again(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    epoch = health(first).epoch

    for _ in range(2):
        for member, permit in probes(first):
            member.release(permit, BAD, 5, "a")

    def is_closed_by_good_probes() -> bool:
        # One after the other: Redis may not have heard yet that the first ones' probes have ended.
        answer = second.acquire("sms", Priority.HIGH)
        if isinstance(answer, Permit):
            second.release(answer, GOOD, 5)
        return health(second).state is BreakerState.CLOSED

    wait_until(is_closed_by_good_probes, "good probes have closed the breaker")
    assert health(second).epoch <= epoch + 2


def test_a_probe_that_says_nothing_makes_room_for_another(fleet: Fleet) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=0.2, max_probes=1))
    first, second = fleet.join(settings), fleet.join(settings)
    open_breaker(first, second)
    [(member, permit)] = probes(first)

    member.release(permit, ProviderResult(Outcome.UNKNOWN, "timeout", scope=Scope.WORKER), 9000)

    assert granted(second).is_probe
