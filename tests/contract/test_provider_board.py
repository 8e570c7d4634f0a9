"""Where workers say how the providers stand: what one process says another reads, for as long as workers live."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import redis

from tests.peers import free_port
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.errors import UnavailableError
from wavecom.storage.redis.client import connect
from wavecom.storage.redis.provider_board import RedisProviderBoard

GATEWAY = ProviderStatus(
    "gateway",
    ProviderAvailability.LEFT_ALONE,
    datetime(2026, 3, 14, 9, 26, 53, 589000, UTC),
    "no credit",
    "balance",
    "60 %",
)
SPARE = ProviderStatus("spare", ProviderAvailability.IN_USE, None, "", "")


def test_what_was_said_last_is_read_by_provider(redis_url: str) -> None:
    board, another = RedisProviderBoard(connect(redis_url)), RedisProviderBoard(connect(redis_url))
    assert another.read() == {}

    board.publish([SPARE])
    board.publish([GATEWAY, SPARE])

    assert another.read() == {"gateway": GATEWAY, "spare": SPARE}


def test_what_no_worker_repeats_is_forgotten(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    RedisProviderBoard(connect(redis_url)).publish([GATEWAY])

    [key] = client.keys()
    assert 0 < client.ttl(key) <= 60


def test_without_redis_it_can_not_be_said_or_read() -> None:
    board = RedisProviderBoard(connect(f"redis://127.0.0.1:{free_port()}/0"))

    with pytest.raises(UnavailableError):
        board.publish([GATEWAY])
    with pytest.raises(UnavailableError):
        board.read()
