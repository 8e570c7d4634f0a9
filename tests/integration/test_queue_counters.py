"""What the broker counts of the delivery queues, read from a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.factories import make_job_id
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.publisher import AmqpPublisher
from wavecom.broker.queue_counters import QueueCounterReader
from wavecom.core.job import DeliveryMessage
from wavecom.core.lanes import QUEUES, Channel, Lane, Priority
from wavecom.errors import BrokerError

LANE = Lane(Channel.SMS, Priority.BULK)


@pytest.fixture
def publisher(amqp_url: str) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(AmqpAddress.parse(amqp_url), origin="test", pause_seconds=0.1)
    wait_until(publisher.ping)
    yield publisher
    publisher.close()


def test_every_queue_is_there_with_what_waits_now_and_what_came(
    rabbitmq_api_url: str, amqp_url: str, publisher: AmqpPublisher
) -> None:
    reader = QueueCounterReader(rabbitmq_api_url, AmqpAddress.parse(amqp_url).vhost, publisher.look_at)

    published = publisher.publish([DeliveryMessage(make_job_id(), LANE, 0) for _ in range(3)])

    assert published == [True] * 3
    counters = reader.read()
    assert set(counters) == set(QUEUES)
    # Quorum queues say a moment later what they hold; the statistics come every ten seconds.
    wait_until(lambda: reader.read()[LANE.queue].waiting == 3)
    wait_until(lambda: reader.read()[LANE.queue].published == 3, poll_seconds=0.5)
    assert (counters[LANE.queue].consumers, counters[LANE.queue].acked) == (0, 0)


def test_a_wrong_login_is_told_without_it(rabbitmq_api_url: str, amqp_url: str, publisher: AmqpPublisher) -> None:
    address = rabbitmq_api_url.partition("@")[2]
    reader = QueueCounterReader(
        f"http://monitor:hunter2@{address}", AmqpAddress.parse(amqp_url).vhost, publisher.look_at
    )

    with pytest.raises(BrokerError) as refused:
        reader.read()

    assert "status 401" in str(refused.value)
    assert "hunter2" not in str(refused.value)
