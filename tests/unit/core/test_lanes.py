"""Lanes: each has one queue and one routing key, and a test account's jobs are in test lanes whatever else they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.native_delayed_delivery import calculate_routing_key

from tests.factories import make_job
from wavecom.broker import topology
from wavecom.core.account import account_of
from wavecom.core.lanes import LANES, LIVE_QUEUES, QUEUES, Channel, Lane, Priority
from wavecom.core.ports import TEST_SANDBOX, Permit

lanes = st.sampled_from(LANES)
clients = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(lanes, st.integers(1, 2**27 - 1))
def test_a_lane_has_one_routing_key_and_the_key_leads_back_to_it_however_long_its_delay(
    lane: Lane, delay_seconds: int
) -> None:
    key = topology.routing_key(lane)

    assert topology.lane_of(key) == lane
    assert topology.lane_of(calculate_routing_key(delay_seconds, key)) == lane
    assert [each for each in LANES if topology.routing_key(each) == key] == [lane]


@given(lanes)
def test_a_lane_leads_through_one_queue_which_live_and_test_lanes_never_share(lane: Lane) -> None:
    sharing = [each for each in LANES if each.queue == lane.queue]

    assert all(each.is_test for each in sharing) if lane.is_test else sharing == [lane]
    assert QUEUES.count(lane.queue) == 1
    assert (lane.queue in LIVE_QUEUES) is not lane.is_test
    assert topology.queue_of(lane) == topology.queue_name(lane.queue)
    assert [queue.name for queue in topology.DELIVERY_QUEUES].count(topology.queue_of(lane)) == 1


@given(clients, st.sampled_from(Channel), st.sampled_from(Priority), st.booleans())
def test_a_job_of_a_test_account_has_a_test_lane_and_one_of_a_live_account_a_live_one(
    client: str, channel: Channel, priority: Priority, is_live: bool
) -> None:
    job = make_job(client=account_of(client, is_live), type=channel, priority=priority)

    assert job.lane == (channel, priority, not is_live)
    assert job.delivery_message().lane is job.lane, "one object for all of a lane"
    assert Permit(TEST_SANDBOX).serves(job.lane) is not is_live
    assert Permit("provider").serves(job.lane) is is_live


def test_wire_names_of_lanes_stay() -> None:
    # What is in queues and in the store was put there by this name, and workers of the last release still listen to it.
    test, live = Lane(Channel.SMS, Priority.NORMAL, is_test=True), Lane(Channel.SMS, Priority.NORMAL)

    assert (topology.queue_of(live), topology.routing_key(live)) == ("notifications.sms.normal",) * 2
    assert topology.queue_of(test) == "notifications.test"
    assert topology.routing_key(test) == "notifications.test.sms.normal"
    assert (live.queue, test.queue) == ("sms.normal", "test")
