"""What a worker's process knows of itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wavecom.broker import topology
from wavecom.celery import app
from wavecom.worker.runtime import takes_deliveries


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    # Whoever makes another application in this process makes it the current one.
    app.set_current()
    yield
    app.amqp.queues.select(list(app.amqp.queues))


@pytest.mark.parametrize(
    ("queues", "takes_some"),
    [
        ([topology.PERIODIC_QUEUE], False),
        ([topology.DELIVERY_QUEUES[0].name], True),
        ([topology.PERIODIC_QUEUE, topology.DELIVERY_QUEUES[-1].name], True),
    ],
)
def test_a_worker_takes_deliveries_where_it_consumes_a_queue_of_them(queues: list[str], takes_some: bool) -> None:
    app.amqp.queues.select(queues)

    assert takes_deliveries() is takes_some


def test_a_worker_that_is_told_of_a_queue_while_it_runs_takes_deliveries_from_then_on() -> None:
    app.amqp.queues.select([topology.PERIODIC_QUEUE])
    app.amqp.queues.select_add(topology.DELIVERY_QUEUES[0].name)

    assert takes_deliveries()
