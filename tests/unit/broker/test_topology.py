from __future__ import annotations

import pytest
from kombu.transport.native_delayed_delivery import calculate_routing_key

from wavecom.broker import topology
from wavecom.core.lanes import LANES


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
