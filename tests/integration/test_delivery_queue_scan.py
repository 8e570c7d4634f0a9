"""The queues of all lanes of a real RabbitMQ, looked through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import amqp
import pytest

from tests.factories import make_job_id
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker.connection import connect
from wavecom.broker.delivery_queue_scan import AmqpDeliveryMessageQueues
from wavecom.broker.publisher import AmqpPublisher
from wavecom.broker.topology import NOTIFICATIONS, queue_of
from wavecom.core.job import DeliveryMessage, JobId
from wavecom.core.lanes import Channel, Lane, Priority, QueueLayout
from wavecom.errors import BrokerError

SMS, MAIL = Lane(Channel.SMS, Priority.NORMAL), Lane(Channel.EMAIL, Priority.BULK)


@pytest.fixture
def address(amqp_url: str) -> AmqpAddress:
    return AmqpAddress.parse(amqp_url)


@pytest.fixture
def publisher(address: AmqpAddress) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(address, origin="test", pause_seconds=0.1)
    wait_until(publisher.ping)
    yield publisher
    publisher.close()


@pytest.fixture
def queues(address: AmqpAddress) -> AmqpDeliveryMessageQueues:
    return AmqpDeliveryMessageQueues(address, lambda: QueueLayout())


def seen(queues: AmqpDeliveryMessageQueues) -> list[JobId]:
    found: list[JobId] = []

    def keep(job_ids: Sequence[JobId]) -> Sequence[bool]:
        found.extend(job_ids)
        return [False] * len(job_ids)

    queues.scan(keep)
    return found


def test_what_is_meant_is_removed_and_the_rest_stays_in_its_place(
    publisher: AmqpPublisher, queues: AmqpDeliveryMessageQueues
) -> None:
    texts, mails = [make_job_id() for _ in range(1203)], [make_job_id() for _ in range(3)]
    messages = [DeliveryMessage(job_id, SMS) for job_id in texts] + [DeliveryMessage(job_id, MAIL) for job_id in mails]
    assert all(publisher.publish(messages))
    removed = {*texts[::3], mails[1]}

    queues.scan(lambda job_ids: [job_id in removed for job_id in job_ids])

    left = seen(queues)
    assert [job_id for job_id in left if job_id in texts] == [job_id for job_id in texts if job_id not in removed]
    assert [job_id for job_id in left if job_id in mails] == [mails[0], mails[2]]


def test_what_is_no_delivery_message_names_no_job_and_stays(
    address: AmqpAddress, publisher: AmqpPublisher, queues: AmqpDeliveryMessageQueues
) -> None:
    connection = connect(address, 5, "test")
    foreign = amqp.Message(b"\xff\xfe", content_encoding="utf-8", application_headers={"task": "another"})
    connection.channel().basic_publish_confirm(foreign, NOTIFICATIONS.name, queue_of(SMS))

    first, second = seen(queues), seen(queues)

    assert first == second == [""]
    connection.collect()


def test_who_consumes_is_counted(
    address: AmqpAddress, publisher: AmqpPublisher, queues: AmqpDeliveryMessageQueues
) -> None:
    before = queues.consumer_count()
    connection = connect(address, 5, "test")
    connection.channel().basic_consume(queue_of(SMS), callback=lambda _message: None)

    assert (before, queues.consumer_count()) == (0, 1)
    connection.collect()


def test_where_somebody_holds_messages_the_scan_is_not_taken_for_whole(
    address: AmqpAddress, publisher: AmqpPublisher, queues: AmqpDeliveryMessageQueues
) -> None:
    connection = connect(address, 5, "test")
    connection.channel().basic_consume(queue_of(SMS), callback=lambda _message: None)
    publisher.publish([DeliveryMessage(make_job_id(), SMS)])

    with pytest.raises(BrokerError, match="is somebody consuming it"):
        seen(queues)
    connection.collect()


def test_a_broker_that_is_away_is_said() -> None:
    queues = AmqpDeliveryMessageQueues(AmqpAddress.parse("amqp://a:b@127.0.0.1:1//"), lambda: QueueLayout())

    with pytest.raises(BrokerError):
        queues.consumer_count()
