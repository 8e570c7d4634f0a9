from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from amqp import NotFound
from kombu.transport.native_delayed_delivery import calculate_routing_key

from wavecom.broker import topology
from wavecom.core.lanes import LANES, REGION_NAME, Channel, Priority, QueueLayout, interned


@pytest.mark.parametrize("delay_seconds", [0, 1, 3600])
def test_a_routing_key_names_its_lane_and_whether_it_is_about_a_test(delay_seconds: int) -> None:
    for lane in LANES:
        key = topology.routing_key(lane)
        if delay_seconds:
            key = calculate_routing_key(delay_seconds, key)

        assert topology.lane_of(key) == lane


@pytest.mark.parametrize(
    "key",
    ["", "notifications", "notifications.test", "notifications.fax.normal", "sms.normal", "xnotifications.sms.bulk"],
)
def test_other_keys_name_no_lane(key: str) -> None:
    assert topology.lane_of(key) is None


def test_no_live_key_is_the_end_of_a_test_key() -> None:
    live = {topology.routing_key(lane) for lane in LANES if not lane.is_test}
    tests = {topology.routing_key(lane) for lane in LANES if lane.is_test}

    assert not any(test.endswith(f".{key}") for test in tests for key in live)


def test_messages_about_tests_share_a_queue_of_their_own() -> None:
    queues = {topology.queue_of(lane) for lane in LANES if lane.is_test}

    assert queues == {topology.TEST_QUEUE}
    assert topology.TEST_QUEUE in {queue.name for queue in topology.TASK_QUEUES}


class EmptyBroker:
    """A connection and its channel: as a broker without any queue answers."""

    def __init__(self) -> None:
        self.queues: list[str] = []
        self.bound: set[str] = set()
        #: The queues that there were when each was bound last.
        self.queues_before: dict[str, list[str]] = {}

    def channel(self) -> EmptyBroker:
        return self

    def exchange_declare(self, **arguments: Any) -> None:
        """There are as many as anybody wants."""

    def exchange_bind(self, **arguments: Any) -> None:
        """Of two that there are."""

    def prepare_queue_arguments(self, arguments: dict[str, Any], **options: Any) -> dict[str, Any]:
        return arguments

    def queue_declare(self, *, queue: str, **arguments: Any) -> tuple[str, int, int]:
        self.queues.append(queue)
        return queue, 0, 0

    def queue_bind(self, *, queue: str, **arguments: Any) -> None:
        if queue not in self.queues:
            raise NotFound(f"no queue {queue}")
        self.bound.add(queue)
        self.queues_before[queue] = list(self.queues)


def test_delays_can_be_declared_where_no_worker_has_declared_its_queues_yet() -> None:
    broker = EmptyBroker()

    topology.declare_delays(broker)

    assert {queue.name for queue in topology.DELIVERY_QUEUES} <= broker.bound
    assert topology.PERIODIC_QUEUE not in broker.queues


def test_a_delayed_message_finds_its_queue_bound_where_it_comes_out() -> None:
    broker = EmptyBroker()

    topology.declare_delays(broker)

    waiting = {name for name in broker.queues if name.startswith("celery_delayed_")}
    assert len(waiting) == 28
    for queue in topology.DELIVERY_QUEUES:
        assert waiting.isdisjoint(broker.queues_before[queue.name]), "so short a delay may be over before"


def _is_bound(pattern: str, key: str) -> bool:
    """How a topic exchange matches: ``*`` is one word, ``#`` any number of them."""
    words = {"*": r"[^.]+", "#": r".*"}
    return re.fullmatch(r"\.".join(words.get(each) or re.escape(each) for each in pattern.split(".")), key) is not None


def test_each_key_leads_into_one_queue_at_once_and_after_a_delay_whatever_regions_are_called() -> None:
    names = ("callbacks", "a", "us-1", "high", "notifications-eu", "notifications", "test", "sms", "dead")
    regions = tuple(name for name in names if re.fullmatch(REGION_NAME, name))
    queues = (*topology.delivery_queues(QueueLayout(3, regions)), topology.CALLBACKS)
    assert {"callbacks", "high"} <= set(regions)

    for region, channel, priority, is_test, partition in product(
        ("", *regions), Channel, Priority, (False, True), (0, 2)
    ):
        address = topology.QueueAddress(interned(channel, priority, is_test, region), partition)
        key = topology.routing_key(*address)
        delayed = calculate_routing_key(5, key)

        assert [queue.name for queue in queues if _is_bound(queue.routing_key, key)] == [address.queue]
        assert [queue.name for queue in queues if _is_bound(f"#.{queue.routing_key}", delayed)] == [address.queue]
        assert topology.address_of(key) == topology.address_of(delayed) == address
