"""What only a fleet can suffer: Redis away, slow or empty, and workers that come and go."""

from __future__ import annotations

import socket

import redis
from structlog.testing import capture_logs

from tests.contract.gate.fleet import (
    BAD,
    GOOD,
    LONG,
    SLOW,
    Fleet,
    Stopped,
    call,
    drain,
    granted,
    health,
    is_refused,
    is_shared,
    knows,
    open_breaker,
    redis_gates,
    refusal,
    told,
    wait,
    wait_until,
)
from wavecom.core.job import Scope
from wavecom.core.lanes import Priority
from wavecom.core.ports import Permit
from wavecom.local.servers import PrivateRedis
from wavecom.routing import gate
from wavecom.routing.breaker import BreakerState
from wavecom.routing.gate import GateSettings
from wavecom.routing.redis_gate import RedisGate


def test_without_redis_each_worker_has_its_share_and_says_so_once(shared: Fleet, redis_server: PrivateRedis) -> None:
    gates = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=12))

    with capture_logs() as logs:
        redis_server.kill()
        counts = [drain(each, Priority.HIGH) for each in gates]
        reasons = {refusal(each).reason for each in gates}
        wait_until(lambda: len(told(logs, "gate_degraded")) >= 2, "both have said so")

    assert counts == [6, 6]
    assert reasons == {gate.RATE_LIMIT}
    assert [entry["divided_by_workers"] for entry in told(logs, "gate_degraded")] == [2, 2]
    assert not is_shared(*gates)()


def test_when_redis_is_back_so_is_the_shared_limit(shared: Fleet, redis_server: PrivateRedis) -> None:
    gates = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=12))
    redis_server.kill()
    for each in gates:
        drain(each, Priority.HIGH)

    with capture_logs() as logs:
        redis_server.start()
        wait_until(is_shared(*gates), "both share again")
        count = sum(drain(each, Priority.HIGH) for each in gates)
        wait_until(lambda: len(told(logs, "gate_recovered")) >= 2, "both have said so")

    assert 1 <= count <= 12
    assert len(told(logs, "gate_recovered")) == 2


def test_permits_and_outcomes_across_an_outage_are_given_back(shared: Fleet, redis_server: PrivateRedis) -> None:
    [member] = redis_gates(shared, GateSettings(max_concurrency=2), count=1)
    before = granted(member)
    redis_server.kill()
    wait_until(lambda: not is_shared(member)(), "the loss is noticed")
    during = granted(member)
    assert refusal(member).reason == gate.BULKHEAD

    member.release(before, GOOD, 5)
    redis_server.start()
    wait_until(is_shared(member), "it shares again")
    member.release(during, GOOD, 5)

    assert health(member).in_flight == 0


def test_an_open_breaker_stays_open_when_redis_goes_away(shared: Fleet, redis_server: PrivateRedis) -> None:
    gates = redis_gates(shared, GateSettings(breaker=LONG))
    open_breaker(*gates)

    redis_server.kill()
    wait_until(lambda: not any(health(each).is_shared for each in gates), "the loss is noticed")

    assert [refusal(each).reason for each in gates] == [gate.BREAKER_OPEN] * 2


def test_breakers_work_locally_without_redis(shared: Fleet, redis_server: PrivateRedis) -> None:
    first, second = redis_gates(shared, GateSettings(breaker=LONG))
    redis_server.kill()
    wait_until(lambda: not is_shared(first)(), "the loss is noticed")

    call(first, BAD, times=10)

    assert refusal(first).reason == gate.BREAKER_OPEN
    assert refusal(first).retry_after_seconds > 1
    call(second, GOOD)


def test_a_surplus_without_redis_is_paid_by_the_workers_own_share(shared: Fleet, redis_server: PrivateRedis) -> None:
    [member] = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=12), count=1)
    redis_server.kill()
    wait_until(lambda: not is_shared(member)(), "the loss is noticed")

    member.charge(granted(member), 30)

    assert refusal(member).retry_after_seconds > 10 / SLOW


def test_a_pause_learned_without_redis_is_told_when_it_is_back(shared: Fleet, redis_server: PrivateRedis) -> None:
    first, second = redis_gates(shared, GateSettings())
    redis_server.kill()
    wait_until(lambda: not is_shared(first)(), "the loss is noticed")
    call(first, wait(60, Scope.PROVIDER))

    redis_server.start()

    wait_until(is_refused(second, gate.THROTTLED), "the other knows of the pause")


def test_a_redis_that_was_flushed_is_used_on(shared: Fleet, redis_url: str) -> None:
    gates = redis_gates(shared, GateSettings(rate_per_second=SLOW, burst=10))
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        client.script_flush()

    with capture_logs() as logs:
        count = sum(drain(each, Priority.HIGH) for each in gates)

    assert count == 10
    assert not told(logs, "gate_degraded")


def test_a_breaker_works_on_after_a_flush(shared: Fleet, redis_url: str) -> None:
    first, second = redis_gates(shared, GateSettings(breaker=LONG))
    open_breaker(first, second)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    granted(first)
    granted(second)

    open_breaker(first, second)

    assert health(second).state is BreakerState.OPEN


def test_a_redis_that_hangs_is_given_up(shared: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        shared.timeout_seconds = 0.2
        shared.redis_url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        member = shared.join(GateSettings(rate_per_second=SLOW, burst=3))

        count = drain(member, Priority.HIGH)

    assert count == 3
    assert not health(member).is_shared


def test_a_redis_that_was_never_there_costs_no_place(shared: Fleet, redis_server: PrivateRedis) -> None:
    redis_server.kill()
    member = shared.join(GateSettings(max_concurrency=1))

    permit = member.acquire("sms", Priority.HIGH)

    assert isinstance(permit, Permit)
    assert health(member).in_flight == 1
    assert not health(member).is_shared


def test_a_worker_that_leaves_is_not_counted_any_more(shared: Fleet) -> None:
    first, second = redis_gates(shared, GateSettings())

    second.close()

    wait_until(lambda: first.workers == 1, "the worker is gone")


def test_who_only_looks_is_no_worker(shared: Fleet) -> None:
    [worker] = redis_gates(shared, GateSettings(breaker=LONG), count=1)
    page = shared.join(GateSettings())
    call(worker, BAD, times=10)
    knows(worker, BreakerState.OPEN)

    seen = health(page)

    assert seen.state is BreakerState.OPEN
    assert seen.is_shared
    assert isinstance(page, RedisGate)
    assert page.workers == 1


def test_one_trip_serves_many_calls(shared: Fleet, redis_url: str) -> None:
    # The size of a batch follows the demand per second: on a slow machine they would be small, and trips many.
    settings = GateSettings(rate_per_second=100_000, burst=100_000)
    [member] = redis_gates(shared, settings, count=1, monotonic=Stopped())

    with redis.Redis.from_url(redis_url) as client:
        # The server has counted since it was started, for other tests too.
        client.config_resetstat()
        call(member, GOOD, times=5000)
        trips = client.info("commandstats")["cmdstat_evalsha"]["calls"]

    assert trips < 1000
