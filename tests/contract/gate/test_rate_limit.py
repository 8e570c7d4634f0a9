"""Every gate, a process alone or a fleet with Redis: limits of calls in a time."""

from __future__ import annotations

import time
from threading import Thread

import pytest

from tests.contract.gate.fleet import (
    GOOD,
    SLACK_SECONDS,
    SLOW,
    Fleet,
    Stopped,
    drain,
    granted,
    is_refused,
    refusal,
    wait_until,
)
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit, Refusal
from wavecom.routing import gate
from wavecom.routing.gate import GateSettings


def test_a_limit_holds_over_all_who_share_it(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=400, burst=40)
    members = [fleet.join(settings), fleet.join(settings)]
    counts = [0, 0]

    def use(index: int) -> None:
        while sum(counts) < 300:
            members[index].release(granted(members[index]), GOOD, 1)
            counts[index] += 1

    started = time.monotonic()
    threads = [Thread(target=use, args=(index % 2,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SLACK_SECONDS)
    elapsed = time.monotonic() - started

    assert 300 <= sum(counts) <= 400 * elapsed + 40 + 1


def test_each_lane_leaves_room_for_the_lanes_above(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=SLOW, burst=20)
    first, second = fleet.join(settings), fleet.join(settings)

    bulk = drain(first, Priority.BULK)
    normal = drain(second, Priority.NORMAL)
    high = drain(first, Priority.HIGH)

    assert (bulk, normal, high) == (16, 2, 2)


def test_high_passes_at_once_while_bulk_takes_all_it_may(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=500, burst=25)
    busy, urgent = fleet.join(settings), fleet.join(settings)
    drain(busy, Priority.BULK)

    refused = 0
    for _ in range(20):
        for _ in range(8):
            busy.release(granted(busy, Priority.BULK), GOOD, 1)
        answer = urgent.acquire("sms", Priority.HIGH)
        refused += isinstance(answer, Refusal)

    assert refused == 0


def test_a_message_heavier_than_the_burst_passes_and_the_next_one_waits(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=0.1, burst=5)
    first, second = fleet.join(settings), fleet.join(settings)

    long_message = first.acquire("sms", Priority.HIGH, cost=20)

    assert isinstance(long_message, Permit)
    assert refusal(second).reason == gate.RATE_LIMIT
    for lane in Priority:
        assert refusal(second, lane).retry_after_seconds == pytest.approx(160, abs=SLACK_SECONDS)


def test_what_a_call_weighs_more_than_was_asked_for_is_paid_by_the_next(fleet: Fleet) -> None:
    settings = GateSettings(rate_per_second=SLOW, burst=10)
    first, second = fleet.join(settings), fleet.join(settings)
    permit = granted(first)

    first.charge(permit, 30)

    wait_until(is_refused(second, gate.RATE_LIMIT), "the surplus is charged")
    assert refusal(second).retry_after_seconds > 20 / SLOW


def test_a_permit_that_was_not_used_is_there_for_the_next(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=SLOW, burst=1), monotonic=Stopped())
    permit = granted(member)

    member.release(permit, None, 0)

    assert isinstance(member.acquire("sms", Priority.HIGH), Permit)


def test_a_refusal_says_when_to_come_back(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(rate_per_second=2, burst=1))
    granted(member)

    first = refusal(member)

    assert first.reason == gate.RATE_LIMIT
    assert 0 < first.retry_after_seconds <= 0.5


def test_a_provider_without_a_limit_has_none(fleet: Fleet) -> None:
    member = fleet.join(GateSettings(), threads=2000)

    permits = [member.acquire("sms", Priority.BULK) for _ in range(1000)]

    assert all(isinstance(permit, Permit) for permit in permits)
