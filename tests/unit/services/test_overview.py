"""What the overview is read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import redis

from tests.fakes import FakeClock
from tests.memory_storage import MemoryMeasurementStore, MemoryStats
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.services.overview import OverviewReader


class AwayRedis:
    """A client whose server is away."""

    def __getattr__(self, name: str) -> Any:
        def away(*_: object, **__: object) -> NoReturn:
            raise redis.ConnectionError(name)

        return away


def test_test_accounts_are_no_part_of_the_rates(tmp_path: Path) -> None:
    clock = FakeClock()
    stats = MemoryStats(clock.now)
    stats.add("acme", Channel.SMS, Status.DELIVERED, 120)
    stats.add("acme:test", Channel.SMS, Status.DELIVERED, 60_000)
    stats.add("acme", Channel.EMAIL, Status.SCHEDULED, 120, is_new=True)
    stats.add("acme", Channel.EMAIL, Status.QUEUED, 60_000)
    stats.add("acme:test", Channel.EMAIL, Status.QUEUED, 60_000, is_new=True)
    client: Any = AwayRedis()
    reader = OverviewReader(
        stats=stats,
        measurements=MemoryMeasurementStore(),
        queues=DeliveryQueues(),
        look_at=lambda _queue: None,
        redis_client=client,
        clock=clock,
        home=tmp_path,
    )

    found = reader.read()

    assert 1.0 <= found.rates[Channel.SMS][Status.DELIVERED] <= 2.0
    assert 1.0 <= found.accepted[Channel.EMAIL] <= 2.0
    assert found.accepted[Channel.SMS] == 0
    assert set(found.away) == {"Redis", "RabbitMQ"}
