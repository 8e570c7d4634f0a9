"""The publisher against a real RabbitMQ, healthy and not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection

from tests.factories import NOW, make_job_id
from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import DeliveryMessage
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.ports import DeadLetter
from wavecom.internals import fast_paths


@pytest.fixture(params=[True, False], ids=["many at once", "one by one"])
def is_fast(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways to write messages."""
    fast_paths.switch(is_on=request.param)
    yield
    fast_paths.switch(is_on=True)


@pytest.fixture
def publisher(amqp_url: str, is_fast: None) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(AmqpAddress.parse(amqp_url), origin="test", pause_seconds=0.1)
    # A broker that was restarted a moment ago answers before its quorum queues do.
    wait_until(publisher.ping)
    yield publisher
    publisher.close()


def taken(amqp_url: str, queue: str) -> list[Any]:
    """Everything that waits in ``queue``, acknowledged."""
    messages = []
    with Connection(amqp_url) as connection:
        channel: Any = connection.channel()
        while (message := channel.basic_get(queue)) is not None:
            channel.basic_ack(message.delivery_tag)
            messages.append(message)
    return messages


def delivery_message(
    channel: Channel = Channel.SMS, priority: Priority = Priority.NORMAL, delay_seconds: int = 0
) -> DeliveryMessage:
    return DeliveryMessage(make_job_id(), Lane(channel, priority), delay_seconds)


def test_every_lane_has_a_queue_and_each_message_reaches_its_own(publisher: AmqpPublisher, amqp_url: str) -> None:
    delivery_messages = [delivery_message(channel, priority) for channel in Channel for priority in Priority]

    assert publisher.publish(delivery_messages) == [True] * 9

    for each in delivery_messages:
        [message] = taken(amqp_url, topology.queue_of(each.lane))
        assert json.loads(message.body)[0] == [each.job_id]
        assert message.properties["delivery_mode"] == 2
        assert message.headers["task"] == topology.DELIVER_TASK


def test_a_message_carries_the_job_id_and_nothing_else_of_the_job(publisher: AmqpPublisher, amqp_url: str) -> None:
    sent = delivery_message()

    publisher.publish([sent])

    [message] = taken(amqp_url, "notifications.sms.normal")
    args, kwargs, _ = json.loads(message.body)
    assert (args, kwargs) == ([sent.job_id], {})


def test_a_thousand_messages_are_confirmed_in_one_batch(publisher: AmqpPublisher) -> None:
    assert publisher.publish([delivery_message() for _ in range(1000)]) == [True] * 1000

    assert publisher.depth("notifications.sms.normal") == 1000


def test_a_dead_letter_says_why(publisher: AmqpPublisher, amqp_url: str) -> None:
    dead_letter = DeadLetter(make_job_id(), Channel.EMAIL, Priority.BULK, "rejected", "smtp_550: no", "mail", 1, NOW)

    assert publisher.publish_dead_letters([dead_letter]) == [True]

    [message] = taken(amqp_url, topology.DEAD_QUEUE)
    assert json.loads(message.body) == {
        "jobId": dead_letter.job_id,
        "type": "email",
        "priority": "bulk",
        "error": {"code": "rejected", "message": "smtp_550: no", "provider": "mail"},
        "attempts": 1,
        "failedAt": "2026-03-14T09:26:53.589000Z",
    }


def test_an_unroutable_message_is_noticed_and_the_others_of_its_batch_go_through(
    publisher: AmqpPublisher, amqp_url: str
) -> None:
    wait_until(lambda: publisher.publish([delivery_message(Channel.EMAIL)]) == [True])
    with Connection(amqp_url) as connection:
        channel: Any = connection.channel()
        channel.queue_delete("notifications.push.high")

    results = publisher.publish(
        [delivery_message(Channel.SMS), delivery_message(Channel.PUSH, Priority.HIGH), delivery_message(Channel.SMS)]
    )

    assert results == [True, False, True]


def test_a_delayed_message_before_any_worker_has_started_is_left_to_the_sweep(publisher: AmqpPublisher) -> None:
    assert publisher.publish([delivery_message(delay_seconds=5)]) == [False]


def test_threads_share_a_publisher(publisher: AmqpPublisher) -> None:
    results: list[bool] = []

    def publish() -> None:
        for _ in range(20):
            results.extend(publisher.publish([delivery_message(), delivery_message()]))

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 320
    assert publisher.depth("notifications.sms.normal") == 320
