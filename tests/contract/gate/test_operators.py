"""An operator pauses and opens providers for the whole fleet."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from tests.contract.gate.fleet import (
    SLACK_SECONDS,
    Fleet,
    call,
    granted,
    health,
    is_refused,
    knows,
    open_breaker,
    redis_gates,
    told,
    wait,
    wait_until,
)
from wavecom.core.breaker_settings import BreakerSettings
from wavecom.core.job import Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
from wavecom.errors import UnavailableError
from wavecom.local.servers import PrivateRedis
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings
from wavecom.routing.switch import RedisSwitch
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.scripts import RedisScripts


def a_switch(shared: Fleet, settings: GateSettings, redis_url: str) -> RedisSwitch:
    shared.clients.append(connect(redis_url, timeout_seconds=5))
    return RedisSwitch({"sms": settings}, RedisScripts(shared.clients[-1]))


def test_an_operator_pauses_a_provider_for_all_and_opens_it_again(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings()
    first, second = redis_gates(shared, settings)
    switch = a_switch(shared, settings, redis_url)

    with capture_logs() as logs:
        switch.pause("sms", 3600, "paused by ada: maintenance")
        for member in (first, second):
            wait_until(is_refused(member, gate.THROTTLED), "all know of the pause")
        [paused] = switch.health()
        switch.reopen("sms", "reopened by ada: done", datetime.now(UTC))
        for member in (first, second):
            granted(member)
        wait_until(lambda: told(logs, "provider_resumed"), "a worker tells of it")

    assert paused.throttled_for_seconds == pytest.approx(3600, abs=SLACK_SECONDS)
    assert paused.throttled_reason == "paused by ada: maintenance"
    assert health(second).is_ramping
    assert [(entry["event"], entry["reason"]) for entry in logs if entry["event"].startswith("provider_")] == [
        ("provider_paused", "paused by ada: maintenance"),
        ("provider_resumed", "reopened by ada: done"),
    ]


def test_an_operators_pause_takes_the_place_of_a_longer_one(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings()
    first, second = redis_gates(shared, settings)
    switch = a_switch(shared, settings, redis_url)
    call(first, wait(300, Scope.PROVIDER))
    wait_until(is_refused(second, gate.THROTTLED), "the pause is known")

    switch.pause("sms", 0.3, "paused by ada: a moment")

    granted(first)
    granted(second)


def test_an_operator_closes_an_open_breaker_and_its_growth_is_forgotten(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings(breaker=BreakerSettings(open_seconds=60, ramp_calls=0))
    first, second = redis_gates(shared, settings)
    switch = a_switch(shared, settings, redis_url)

    with capture_logs() as logs:
        open_breaker(first, second)
        switch.reopen("sms", "reopened by ada: it is well", datetime.now(UTC))
        for member in (first, second):
            knows(member, BreakerState.CLOSED)
            granted(member)
        wait_until(lambda: told(logs, "breaker_closed"), "a worker tells of it")
        open_breaker(first, second)

    assert [entry["open_for_seconds"] for entry in told(logs, "breaker_open")] == [60, 60]
    assert [entry["reason"] for entry in told(logs, "breaker_closed")] == ["reopened by ada: it is well"]


def test_to_open_what_is_open_changes_nothing(shared: Fleet, redis_url: str) -> None:
    settings = GateSettings()
    [member] = redis_gates(shared, settings, count=1)
    switch = a_switch(shared, settings, redis_url)
    before = switch.health()[0].epoch

    switch.reopen("sms", "reopened by ada: to be sure", datetime.now(UTC))

    assert switch.health()[0].epoch == before
    assert not switch.health()[0].is_ramping
    assert isinstance(member.acquire("sms", Priority.HIGH), Permit)


def test_without_redis_an_operator_is_told_so(shared: Fleet, redis_server: PrivateRedis, redis_url: str) -> None:
    switch = a_switch(shared, GateSettings(), redis_url)
    redis_server.kill()

    with pytest.raises(UnavailableError):
        switch.health()
    with pytest.raises(UnavailableError):
        switch.reopen("sms", "reopened by ada: please", datetime.now(UTC))
