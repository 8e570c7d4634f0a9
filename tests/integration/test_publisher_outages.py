"""The publisher when RabbitMQ goes away, is blocked, and comes back: on a broker of its own, because a kill is no
good neighbour to other tests' queues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client import REGISTRY

from tests.factories import make_job_id
from tests.forwarder import Forwarder
from tests.waiting import wait_until
from tests.web_process import WebProcess
from wavecom.amqp_address import AmqpAddress
from wavecom.broker import topology
from wavecom.broker.publisher import AmqpPublisher
from wavecom.core.job import DeliveryMessage
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.local.ports import free_ports
from wavecom.local.servers import PrivateRabbitMQ


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateRabbitMQ]:
    with PrivateRabbitMQ(Path(tmp_path_factory.mktemp("broker")), plugins=()) as broker:
        yield broker


@pytest.fixture
def path(broker: PrivateRabbitMQ) -> Iterator[Forwarder]:
    """A way to the broker that can be closed."""
    broker.start()
    with Forwarder(broker.port) as path:
        yield path


def address_by(path: Forwarder, broker: PrivateRabbitMQ) -> str:
    return broker.url.replace(f":{broker.port}/", f":{path.port}/")


@pytest.fixture
def publisher(broker: PrivateRabbitMQ) -> Iterator[AmqpPublisher]:
    publisher = AmqpPublisher(AmqpAddress.parse(broker.url), origin="test", pause_seconds=0.1)
    broker.start()
    wait_until(lambda: publisher.publish([delivery_message()]) == [True])
    yield publisher
    publisher.close()


def delivery_message() -> DeliveryMessage:
    return DeliveryMessage(make_job_id(), Lane(Channel.SMS, Priority.NORMAL))


def kill(broker: PrivateRabbitMQ) -> None:
    """RabbitMQ 3.10 writes a new quorum queue's name to disk late; killed before that, it never serves it again."""
    names = [f"_{queue.name}".encode() for queue in (*topology.DELIVERY_QUEUES, topology.DEAD, topology.CANARY)]
    [file] = broker.home.glob("data/*/quorum/*/names.dets")
    wait_until(lambda: all(name in file.read_bytes() for name in names))
    broker.kill()


def test_nobody_waits_for_a_broker_that_is_away_and_it_is_found_again(
    publisher: AmqpPublisher, broker: PrivateRabbitMQ
) -> None:
    before = publisher.depth("notifications.sms.normal") or 0
    kill(broker)

    assert publisher.publish([delivery_message(), delivery_message()]) == [False, False]
    assert publisher.depth("notifications.sms.normal") is None
    assert publisher.ping() is False

    broker.start()
    wait_until(lambda: publisher.publish([delivery_message()]) == [True])
    # Nothing that was confirmed is gone; what was not may have arrived all the same.
    assert (publisher.depth("notifications.sms.normal") or 0) >= before + 1


def test_a_broker_blocked_by_an_alarm_holds_nobody_up(publisher: AmqpPublisher, broker: PrivateRabbitMQ) -> None:
    impatient = AmqpPublisher(AmqpAddress.parse(broker.url), origin="test", timeout_seconds=1.0, pause_seconds=0.1)
    wait_until(lambda: impatient.publish([delivery_message()]) == [True])
    broker.ctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        wait_until(lambda: impatient.publish([delivery_message()]) == [False])
    finally:
        broker.ctl("set_vm_memory_high_watermark", "absolute", "2GB")

    wait_until(lambda: impatient.publish([delivery_message()]) == [True])
    impatient.close()


def test_after_a_failure_nobody_tries_for_a_while_and_longer_each_time(
    publisher: AmqpPublisher, path: Forwarder, broker: PrivateRabbitMQ
) -> None:
    now = [1000.0]
    address = AmqpAddress.parse(address_by(path, broker))
    patient = AmqpPublisher(address, origin="test", monotonic=lambda: now[0], pause_seconds=2)
    path.close()
    patient.publish([delivery_message()])
    now[0] += 2.1
    patient.publish([delivery_message()])
    path.open()

    now[0] += 2.1
    during_the_longer_pause = patient.publish([delivery_message()])
    now[0] += 2
    after_it = patient.publish([delivery_message()])
    patient.close()

    assert (during_the_longer_pause, after_it) == ([False], [True])


def test_a_process_that_publishes_nothing_more_sees_the_broker_come_back(
    path: Forwarder, broker: PrivateRabbitMQ
) -> None:
    publisher = AmqpPublisher(AmqpAddress.parse(address_by(path, broker)), origin="test", pause_seconds=0.1)
    wait_until(lambda: publisher.publish([delivery_message()]) == [True])
    path.close()
    publisher.publish([delivery_message()])
    away = REGISTRY.get_sample_value("wavecom_broker_up")
    path.open()

    def is_back() -> bool:
        publisher.recheck()
        return REGISTRY.get_sample_value("wavecom_broker_up") == 1

    wait_until(is_back, "the broker is seen again")
    publisher.close()
    assert away == 0


def test_a_process_that_has_lost_no_broker_does_not_ask_for_one() -> None:
    before = REGISTRY.get_sample_value("wavecom_broker_losses_total")

    AmqpPublisher(AmqpAddress.parse("amqp://127.0.0.1:1/"), origin="test").recheck()

    assert REGISTRY.get_sample_value("wavecom_broker_losses_total") == before


def test_a_web_process_that_nobody_sends_with_sees_the_broker_come_back(
    tmp_path: Path, path: Forwarder, broker: PrivateRabbitMQ, redis_url: str, mongodb_uri: str
) -> None:
    [port] = free_ports(1)
    servers = {"AMQP_URL": address_by(path, broker), "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    sms = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hi"}}

    def shows(number: str) -> bool:
        return f"wavecom_broker_up {number}" in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text

    with WebProcess(tmp_path, servers, variables={"WAVECOM_METRICS_PORT": str(port)}) as web:
        path.close()
        answer = requests.post(f"{web.url}/api/notifications", json=sms, headers=web.authorization, timeout=10)
        wait_until(lambda: shows("0.0"), "the loss is noticed")
        path.open()
        wait_until(lambda: shows("1.0"), "the broker is seen again")

    assert answer.status_code == 202
