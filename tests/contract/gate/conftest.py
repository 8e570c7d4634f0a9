"""Gates for tests: a process alone, and a fleet that shares a Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.gate.fleet import Fleet
from wavecom.local.servers import PrivateRedis


@pytest.fixture(params=["local", "redis"])
def fleet(request: pytest.FixtureRequest) -> Iterator[Fleet]:
    fleet = Fleet(request.getfixturevalue("redis_url") if request.param == "redis" else None)
    yield fleet
    fleet.close()


@pytest.fixture
def shared(redis_server: PrivateRedis, redis_url: str) -> Iterator[Fleet]:
    fleet = Fleet(redis_url)
    yield fleet
    fleet.close()
    redis_server.start()
