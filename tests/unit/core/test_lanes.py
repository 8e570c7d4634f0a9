"""Lanes: each has one queue and one routing key, and a test account's jobs are in test lanes whatever else they are."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from kombu.transport.native_delayed_delivery import calculate_routing_key

from tests.factories import make_job, make_job_id
from wavecom.broker import topology
from wavecom.core.account import account_of
from wavecom.core.job import JobId
from wavecom.core.lanes import LANES, LIVE_QUEUES, QUEUES, REGION_NAME, Channel, Lane, Priority, QueueLayout, interned
from wavecom.core.ports import TEST_SANDBOX, Permit
from wavecom.setting_values import MOST_PARTITIONS

lanes = st.builds(
    lambda lane, region: interned(lane.channel, lane.priority, lane.is_test, region),
    st.sampled_from(LANES),
    st.one_of(st.just(""), st.from_regex(REGION_NAME, fullmatch=True)),
)
partitions = st.integers(0, MOST_PARTITIONS - 1)
clients = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(lanes, partitions, st.integers(1, 2**27 - 1))
def test_a_lane_has_one_routing_key_and_the_key_leads_back_to_it_however_long_its_delay(
    lane: Lane, partition: int, delay_seconds: int
) -> None:
    key = topology.routing_key(lane, partition)

    assert topology.address_of(key) == (lane, partition)
    assert topology.address_of(calculate_routing_key(delay_seconds, key)) == (lane, partition)
    name = topology.queue_name(lane.queue, partition)
    assert topology.first_partition(name) == topology.queue_of(lane)
    assert topology.is_delivery_queue(name)
    assert not any(map(topology.is_delivery_queue, (topology.DEAD_QUEUE, topology.PERIODIC_QUEUE, f"x{name}")))


@given(lanes, partitions, lanes, partitions)
def test_no_routing_key_is_the_end_of_another(lane: Lane, partition: int, other: Lane, others_partition: int) -> None:
    # Celery binds "#.<key>" for delayed messages: one would go into two queues.
    key, others_key = topology.routing_key(lane, partition), topology.routing_key(other, others_partition)

    assert (lane, partition) == (other, others_partition) or not f".{others_key}".endswith(f".{key}")


@given(st.uuids(), st.integers(1, MOST_PARTITIONS))
def test_a_job_has_one_partition_among_so_many(job_id: UUID, count: int) -> None:
    assert 0 <= topology.partition_of(JobId(str(job_id)), count) < count


def test_jobs_are_spread_over_the_partitions() -> None:
    jobs = [make_job_id() for _ in range(4000)]

    found = Counter(topology.partition_of(job_id, 4) for job_id in jobs)

    assert all(800 < found[partition] < 1200 for partition in range(4)), found


@given(st.sampled_from(LANES))
def test_a_lane_leads_through_one_queue_which_live_and_test_lanes_never_share(lane: Lane) -> None:
    sharing = [each for each in LANES if each.queue == lane.queue]

    assert all(each.is_test for each in sharing) if lane.is_test else sharing == [lane]
    assert QUEUES.count(lane.queue) == 1
    assert (lane.queue in LIVE_QUEUES) is not lane.is_test
    assert topology.queue_of(lane) == topology.queue_name(lane.queue)
    assert [queue.name for queue in topology.DELIVERY_QUEUES].count(topology.queue_of(lane)) == 1


@given(st.integers(1, MOST_PARTITIONS), st.lists(st.sampled_from(["eu", "us", "us-2"]), unique=True))
def test_a_layout_has_each_queue_of_each_region_and_partition_once(count: int, regions: list[str]) -> None:
    names = [queue.name for queue in topology.delivery_queues(QueueLayout(count, tuple(regions)))]

    assert len(names) == len(set(names)) == len(QUEUES) * count * (len(regions) + 1)
    assert names[: len(QUEUES)] == [queue.name for queue in topology.DELIVERY_QUEUES]


@given(clients, st.sampled_from(Channel), st.sampled_from(Priority), st.booleans())
def test_a_job_of_a_test_account_has_a_test_lane_and_one_of_a_live_account_a_live_one(
    client: str, channel: Channel, priority: Priority, is_live: bool
) -> None:
    job = make_job(client=account_of(client, is_live), type=channel, priority=priority)

    assert job.lane == Lane(channel, priority, not is_live)
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


def test_wire_names_of_partitions_and_regions_stay() -> None:
    job_id = JobId("018f3f2e-7b1c-7d3a-9b5e-0123456789ab")
    live, test = (interned(Channel.SMS, Priority.NORMAL, is_test, "eu") for is_test in (False, True))

    assert [topology.partition_of(job_id, count) for count in (1, 4, 8, 32)] == [0, 0, 0, 16]
    assert topology.routing_key(live, 3) == topology.queue_name(live.queue, 3) == "notifications.eu.sms.normal.3"
    assert topology.routing_key(test, 3) == "notifications.eu.test.sms.normal.3"
    assert topology.queue_name(test.queue, 3) == "notifications.eu.test.3"
