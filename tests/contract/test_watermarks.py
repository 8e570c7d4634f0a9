"""How far workers have got in a queue, told by Redis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from wavecom.storage.redis.client import connect
from wavecom.storage.redis.watermarks import RedisWatermarks

AT = datetime(2026, 12, 1, 9, tzinfo=UTC)
QUEUE, OTHER = "notifications.sms.high", "notifications.sms.normal"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url, timeout_seconds=5) as found:
        yield found


def test_the_latest_of_all_workers_is_told_whichever_writes_last(client: redis.Redis) -> None:
    ahead, behind = RedisWatermarks(client), RedisWatermarks(client)
    ahead.note(QUEUE, AT)
    ahead.note(QUEUE, AT - timedelta(seconds=5))
    behind.note(QUEUE, AT - timedelta(seconds=9))
    behind.note(OTHER, AT - timedelta(seconds=7))

    ahead.write()
    behind.write()

    assert (ahead.reached(QUEUE), ahead.reached(OTHER)) == (AT, AT - timedelta(seconds=7))


def test_noting_asks_nobody() -> None:
    """It stands between a claim and its calls: a Redis that is frozen must not hold up these."""

    class Untouched(redis.Redis):
        def execute_command(self, *_: Any, **__: Any) -> Any:
            pytest.fail("Redis was asked")

    RedisWatermarks(Untouched()).note(QUEUE, AT)


def test_what_redis_can_not_take_is_let_go(redis_url: str) -> None:
    away = RedisWatermarks(connect("redis://127.0.0.1:1/0", timeout_seconds=1))
    away.note(QUEUE, AT)

    away.write()

    assert away.reached(QUEUE) is None
