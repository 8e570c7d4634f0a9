"""What is Redis' own about limits: what goes on without it, when it is full, and how much memory answers may take."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from tests.contract.test_quota import check
from tests.waiting import wait_until
from wavecom.core.quota import Limits, QuotaRequest, StoredAnswer
from wavecom.local.servers import PrivateRedis
from wavecom.readiness import NotReadyError, redis_check
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.quota import TIMEOUT_SECONDS, RedisQuotas

#: So slow that nothing comes back while a test runs: a burst of one, then a thousand seconds for the next.
SLOW = Limits(rate_per_second=0.001)


@pytest.fixture
def quotas(redis_url: str) -> Iterator[RedisQuotas]:
    made = make(redis_url)
    yield made
    made.close()


def make(redis_url: str, **options: object) -> RedisQuotas:
    client = connect(redis_url, max_connections=4, timeout_seconds=TIMEOUT_SECONDS)
    return RedisQuotas(client, **options)  # type: ignore[arg-type]


def local_decisions() -> float:
    """How many this process has made without Redis."""
    return REGISTRY.get_sample_value("wavecom_limits_local_total") or 0.0


@contextlib.contextmanager
def writes_refused(redis_url: str) -> Iterator[None]:
    """Redis is there and takes no writes, as one that has lost its replicas: the same as none."""
    with redis.Redis.from_url(redis_url) as server:
        server.config_set("min-replicas-to-write", 1)
        try:
            yield
        finally:
            server.config_set("min-replicas-to-write", 0)


def test_answers_are_written_by_themselves_and_go_after_a_day(quotas: RedisQuotas, redis_url: str) -> None:
    quotas.store_answer("acme:1", StoredAnswer("f", "j", "{}"))

    wait_until(lambda: check(quotas, Limits(), 0, names=("acme:1",), wants_answer=True).answer is not None)

    with redis.Redis.from_url(redis_url) as client:
        assert 86_000 < int(client.ttl("wavecom:answer:acme:1")) <= 86_400


def test_only_so_many_answers_are_kept_the_latest(redis_url: str) -> None:
    quotas = make(redis_url, answers_limit=3)
    for number in (1, 2, 3, 3, 4, 5):
        quotas.store_answer(f"acme:{number}", StoredAnswer("f", str(number), "{}"))
    quotas.write()

    found = [check(quotas, Limits(), 0, names=(f"acme:{number}",), wants_answer=True).answer for number in range(1, 6)]

    assert [answer is not None for answer in found] == [False, False, True, True, True]
    quotas.close()


def test_without_redis_limits_hold_in_each_process_and_it_is_said_once(
    quotas: RedisQuotas, redis_server: PrivateRedis
) -> None:
    assert check(quotas, Limits(0.5, 100)).refused is None
    before = local_decisions()

    with capture_logs() as logs:
        redis_server.kill()
        try:
            decisions = [check(quotas, Limits(0.5, 100)) for _ in range(20)]
        finally:
            redis_server.start()

    assert [decision.refused for decision in decisions] == [None] * 5 + ["rate"] * 15
    assert all(decision.is_local for decision in decisions)
    assert local_decisions() - before == 20
    assert [entry["event"] for entry in logs] == ["limits_local"]
    assert decisions[0].limits[0].quota == 5, "clients are told the limits that they have"


@pytest.mark.parametrize("refusal", ["full", "read only"])
def test_a_redis_that_refuses_to_write_opens_nothing(redis_url: str, refusal: str) -> None:
    quotas = make(redis_url, processes=2)
    limits = Limits(daily_quota=10)
    assert check(quotas, limits, 4).limits[0].remaining == 6
    with redis.Redis.from_url(redis_url) as server:
        if refusal == "full":
            server.config_set("maxmemory", 1)
        else:
            server.config_set("min-replicas-to-write", 1)
        try:
            decisions = [check(quotas, limits) for _ in range(5)]
            with pytest.raises(NotReadyError, match=refusal.replace(" ", "_")):
                redis_check(connect(redis_url))()
        finally:
            server.config_set("maxmemory", 0)
            server.config_set("min-replicas-to-write", 0)

    assert [decision.refused for decision in decisions] == [None] * 3 + ["daily"] * 2, "half of what was left"
    redis_check(connect(redis_url))()
    quotas.close()


def test_what_was_used_meanwhile_counts_when_redis_is_back(redis_url: str, redis_server: PrivateRedis) -> None:
    mark = [1000.0]
    quotas = make(redis_url, processes=2, monotonic=lambda: mark[0])
    limits = Limits(daily_quota=10)
    check(quotas, limits, 4)
    with writes_refused(redis_url):
        meanwhile = [check(quotas, limits) for _ in range(5)]

    mark[0] += 6
    check(quotas, limits, 1)
    quotas.write()
    later = check(quotas, limits, 0, refused=1)

    assert sum(decision.charged for decision in meanwhile) == 3
    assert later.limits[0].remaining == 10 - 4 - 3 - 1
    quotas.close()


def test_a_frozen_redis_costs_one_wait_and_not_one_for_each(redis_url: str) -> None:
    quotas = make(redis_url)
    check(quotas, SLOW)
    pid = int(redis.Redis.from_url(redis_url).info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            decisions = list(pool.map(lambda _: check(quotas, SLOW), range(200)))
        taken = time.monotonic() - started
    finally:
        os.kill(pid, signal.SIGCONT)
        quotas.close()

    assert sum(decision.is_allowed for decision in decisions) == 1
    assert taken < 4 * TIMEOUT_SECONDS + 1


def test_after_the_pause_the_shared_counts_hold_again(redis_url: str) -> None:
    mark = [1000.0]
    quotas = make(redis_url, monotonic=lambda: mark[0])
    with writes_refused(redis_url):
        assert check(quotas, SLOW).is_local
    assert quotas.is_local

    mark[0] += 6

    assert not check(quotas, SLOW).is_local
    assert not quotas.is_local
    quotas.close()


def test_a_refund_of_what_was_decided_alone_is_made_alone(redis_url: str) -> None:
    quotas = make(redis_url)
    request = QuotaRequest("k", Limits(daily_quota=1), 1)
    with writes_refused(redis_url):
        decision = quotas.check(request)

    quotas.refund(request, decision, 1)

    assert quotas.check(request).is_allowed
    quotas.close()
