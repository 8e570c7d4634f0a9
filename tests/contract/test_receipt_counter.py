"""Counts of receipts in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.errors import UnavailableError
from wavecom.local.servers import PrivateRedis
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.receipt_counts import RedisReceiptCounter

MINUTE = datetime(2026, 3, 14, 9, 26, tzinfo=UTC)
KEY = CountKey(MINUTE, "sms-gateway", "DE")
TAKEN, REPORTED = ReceiptCounts(sent=3), ReceiptCounts(good=1, late=1, failed=1, delay_seconds=301.5)


@pytest.fixture
def counters(redis_server: PrivateRedis, redis_url: str) -> Iterator[list[RedisReceiptCounter]]:
    """Of two processes."""
    clients = [connect(redis_url, timeout_seconds=5) for _ in range(2)]
    found = [RedisReceiptCounter(client) for client in clients]
    yield found
    redis_server.start()
    for counter, client in zip(found, clients, strict=True):
        counter.close()
        client.close()


def test_counts_of_all_processes_add_up_by_minute_provider_and_country(counters: list[RedisReceiptCounter]) -> None:
    worker, web = counters
    other = CountKey(MINUTE + timedelta(minutes=1), "mail", "")

    worker.add([(KEY, TAKEN), (other, TAKEN)])
    worker.add([(KEY, TAKEN)])
    web.add([(KEY, REPORTED)])
    for counter in counters:
        counter.flush()

    assert web.between(MINUTE, MINUTE + timedelta(minutes=1)) == {KEY: TAKEN + TAKEN + REPORTED, other: TAKEN}
    assert web.between(MINUTE + timedelta(seconds=30), MINUTE + timedelta(seconds=40)) == {
        KEY: TAKEN + TAKEN + REPORTED
    }
    assert web.between(MINUTE - timedelta(minutes=9), MINUTE - timedelta(minutes=1)) == {}


def test_what_redis_does_not_take_speaks_for_the_provider(
    counters: list[RedisReceiptCounter], redis_server: PrivateRedis
) -> None:
    worker, web = counters
    redis_server.kill()
    worker.add([(KEY, TAKEN)])
    web.add([(KEY, REPORTED)])
    for counter in counters:
        counter.flush()

    with pytest.raises(UnavailableError):
        web.between(MINUTE, MINUTE)
    redis_server.start()
    for counter in counters:
        counter.flush()

    assert web.between(MINUTE, MINUTE) == {KEY: REPORTED}
