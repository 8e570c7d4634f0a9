"""Limits and finished answers on a real Redis, and without it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from structlog.testing import capture_logs

from wavecom.core.intake import GO_ON, Ask, Finished, Limits
from wavecom.local.servers import PrivateRedis
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.intake import SKIPPED, TIMEOUT_SECONDS, RedisIntake

#: So slow that nothing comes back while a test runs: a burst of ten, then a thousand seconds for the next.
SLOW = Limits(rate_per_second=0.001)
TEN = Limits(rate_per_second=1)


@pytest.fixture
def intake(redis_url: str) -> Iterator[RedisIntake]:
    made = RedisIntake(connect(redis_url, max_connections=4, timeout_seconds=TIMEOUT_SECONDS))
    yield made
    made.close()


def _ask(limits: Limits, cost: int = 1, key_id: str = "k", answer: str | None = None) -> Ask:
    return Ask(key_id, limits, cost, answer)


def test_a_burst_passes_and_then_the_key_has_to_wait(intake: RedisIntake) -> None:
    verdicts = [intake.ask(_ask(Limits(rate_per_second=0.5))) for _ in range(6)]

    assert [verdict.refused for verdict in verdicts] == [None] * 5 + ["rate"]
    assert [verdict.rooms[0].remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0]
    [room] = verdicts[0].rooms
    assert (room.name, room.quota, room.window_seconds) == ("rate", 5, 10)
    assert 1 <= verdicts[-1].retry_after_seconds <= 2


def test_what_is_paid_off_may_be_sent_again(intake: RedisIntake) -> None:
    limits = Limits(rate_per_second=20)
    assert intake.ask(_ask(limits, 200)).refused is None
    assert intake.ask(_ask(limits)).refused == "rate"

    time.sleep(0.3)

    assert intake.ask(_ask(limits, 5)).refused is None
    assert intake.ask(_ask(limits, 5)).refused == "rate"


def test_a_batch_beyond_the_burst_is_taken_after_a_rest_and_paid_off(intake: RedisIntake) -> None:
    first = intake.ask(_ask(TEN, 1000))
    second = intake.ask(_ask(TEN))

    assert first.refused is None
    assert second.refused == "rate"
    assert 985 <= second.retry_after_seconds <= 995


def test_a_quota_is_used_up_once_and_a_refusal_uses_nothing_up(intake: RedisIntake) -> None:
    limits = Limits(daily_quota=10)

    verdicts = [intake.ask(_ask(limits, cost)) for cost in (7, 4, 3, 1)]

    assert [verdict.refused for verdict in verdicts] == [None, "daily", None, "daily"]
    assert [verdict.rooms[0].remaining for verdict in verdicts] == [3, 3, 0, 0]
    assert 0 < verdicts[-1].retry_after_seconds <= 86_400


def test_what_one_limit_refuses_is_not_counted_by_the_other(intake: RedisIntake) -> None:
    limits = Limits(rate_per_second=1, daily_quota=5)

    intake.ask(_ask(limits, 6))
    verdict = intake.ask(_ask(limits, 5))

    assert verdict.refused is None
    assert [room.remaining for room in verdict.rooms] == [5, 0]


def test_keys_are_counted_apart(intake: RedisIntake) -> None:
    limits = Limits(daily_quota=1)

    verdicts = [intake.ask(_ask(limits, key_id=key_id)) for key_id in ("a", "b", "a")]

    assert [verdict.refused for verdict in verdicts] == [None, None, "daily"]


def test_many_at_once_get_no_more_than_there_is(intake: RedisIntake) -> None:
    limits = Limits(daily_quota=100)

    with ThreadPoolExecutor(32) as pool:
        verdicts = list(pool.map(lambda _: intake.ask(_ask(limits)), range(300)))

    assert sum(verdict.refused is None for verdict in verdicts) == 100


def test_an_answer_is_known_once_it_is_written_and_costs_nothing(intake: RedisIntake) -> None:
    limits = Limits(daily_quota=1)
    finished = Finished("f", "j", '{"jobId":"j","text":"é\\n"}')
    assert intake.ask(_ask(limits, answer="acme:1")).finished is None

    intake.remember("acme:1", finished)
    intake.write()

    assert [intake.ask(_ask(limits, answer="acme:1")).finished for _ in range(3)] == [finished] * 3
    assert intake.ask(_ask(limits, answer="acme:2")).refused == "daily"


def test_answers_are_written_by_themselves_and_go_after_a_day(intake: RedisIntake, redis_url: str) -> None:
    intake.remember("acme:1", Finished("f", "j", "{}"))

    deadline = time.monotonic() + 10
    while intake.ask(_ask(Limits(), answer="acme:1")).finished is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)

    with redis.Redis.from_url(redis_url) as client:
        assert 86_000 < int(client.ttl("wavecom:intake:answer:acme:1")) <= 86_400


def test_without_redis_requests_go_on_and_it_is_said_once(intake: RedisIntake, redis_server: PrivateRedis) -> None:
    assert intake.ask(_ask(SLOW)).refused is None
    before = SKIPPED._value.get()

    with capture_logs() as logs:
        redis_server.kill()
        try:
            verdicts = [intake.ask(_ask(SLOW)) for _ in range(20)]
        finally:
            redis_server.start()

    assert verdicts == [GO_ON] * 20
    assert SKIPPED._value.get() - before == 20
    assert [entry["event"] for entry in logs] == ["limits_skipped"]


def test_a_frozen_redis_costs_one_wait_and_not_one_for_each(redis_url: str, redis_server: PrivateRedis) -> None:
    intake = RedisIntake(connect(redis_url, max_connections=4, timeout_seconds=TIMEOUT_SECONDS))
    intake.ask(_ask(SLOW))
    pid = int(redis.Redis.from_url(redis_url).info("server")["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            verdicts = list(pool.map(lambda _: intake.ask(_ask(SLOW)), range(200)))
        taken = time.monotonic() - started
    finally:
        os.kill(pid, signal.SIGCONT)
        intake.close()

    assert verdicts == [GO_ON] * 200
    assert taken < 4 * TIMEOUT_SECONDS + 1


def test_after_the_pause_limits_hold_again(redis_url: str) -> None:
    mark = [1000.0]
    intake = RedisIntake(connect(redis_url, timeout_seconds=TIMEOUT_SECONDS), monotonic=lambda: mark[0])
    intake._fail(OSError("away"))
    assert intake.ask(_ask(SLOW)) == GO_ON

    mark[0] += 6

    assert intake.ask(_ask(SLOW)).rooms
    intake.close()
