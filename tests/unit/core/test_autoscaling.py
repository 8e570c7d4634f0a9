"""Workers follow the load: enough of them soon, no more than help, and never up and down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavecom.core.autoscaling import (
    LANE_GROUPS,
    GroupLoad,
    QueueLoad,
    ScalingDecision,
    ScalingMemory,
    ScalingPolicy,
    channel_limit,
    decide,
    left_by_others,
)
from wavecom.core.lanes import LANES, Channel, Lane, Priority
from wavecom.core.queue_rates import QueueCounters, QueueRates

STEP_SECONDS = 3
#: A worker consumes so long after it was asked for.
START_STEPS = 2
EMAIL = Lane(Channel.EMAIL, Priority.NORMAL).queue
POLICY = ScalingPolicy(most=8, assumed_worker_per_second=100)


@dataclass
class Fleet:
    """Workers before a queue, and the autoscaler that looks at them every three seconds."""

    policy: ScalingPolicy = POLICY
    worker_per_second: float = 100
    #: What all workers together carry at most, whatever the reason.
    most_per_second: float = float("inf")
    limits: dict[Channel, float] = field(default_factory=dict)
    workers: int = 1
    waiting: float = 0
    published: float = 0
    acked: float = 0
    steps: int = 0
    decisions: list[ScalingDecision] = field(default_factory=list)
    _rates: QueueRates = field(default_factory=QueueRates)
    _memory: ScalingMemory = field(default_factory=ScalingMemory)
    _starting: list[tuple[int, int]] = field(default_factory=list)

    def play(self, arrivals_per_second: Iterable[float]) -> Fleet:
        for arrivals in arrivals_per_second:
            self._work(arrivals * STEP_SECONDS)
            self._decide()
        return self

    def _work(self, arrivals: float) -> None:
        self.steps += 1
        self.workers = max([count for at, count in self._starting if at <= self.steps], default=self.workers)
        self._starting = [(at, count) for at, count in self._starting if at > self.steps]
        limit = min(self.limits.get(Channel.EMAIL, float("inf")), self.most_per_second)
        carried = min(self.waiting + arrivals, min(self.workers * self.worker_per_second, limit) * STEP_SECONDS)
        self.waiting += arrivals - carried
        self.published += arrivals
        self.acked += carried

    def _decide(self) -> None:
        at = float(self.steps * STEP_SECONDS)
        counters = QueueCounters(
            waiting=int(self.waiting),
            published=int(self.published),
            acked=int(self.acked),
            consumers=self.workers,
        )
        self._rates.note(at, {EMAIL: counters})
        load = GroupLoad(at=at, workers=self.workers, queues=[self._rates.load(EMAIL)], limits=self.limits)
        decision = decide(load, self.policy, self._memory)
        self._memory = decision.memory
        self.decisions.append(decision)
        if decision.desired > self.workers:
            self._starting.append((self.steps + START_STEPS, decision.desired))
        elif decision.desired < self.workers:
            self.workers, self._starting = decision.desired, []

    @property
    def desired(self) -> list[int]:
        return [decision.desired for decision in self.decisions]


rates = st.floats(0, 2_000)
#: Pieces of a day: a rate, and for how many steps.
curves = st.lists(st.tuples(rates, st.integers(1, 50)), min_size=1, max_size=6)


def flat(curve: list[tuple[float, int]]) -> list[float]:
    return [rate for rate, steps in curve for _ in range(steps)]


@given(curve=curves, capacity=st.floats(20, 400))
@settings(max_examples=25, deadline=None)
def test_whatever_the_load_the_number_stays_within_bounds_and_does_not_flap(
    curve: list[tuple[float, int]], capacity: float
) -> None:
    desired = Fleet(worker_per_second=capacity).play(flat(curve)).desired

    assert all(POLICY.least <= number <= POLICY.most for number in desired)
    risen_at = -POLICY.quiet_seconds
    for step, (before, after) in enumerate(pairwise(desired), start=1):
        at = step * STEP_SECONDS
        if after > before:
            risen_at = at
        elif after < before:
            assert at - risen_at >= POLICY.quiet_seconds


@given(curve=curves, capacity=st.floats(20, 400), rate=st.floats(1, 1_000))
@settings(max_examples=25, deadline=None)
def test_after_whatever_came_before_a_steady_load_is_carried_if_the_most_workers_can(
    curve: list[tuple[float, int]], capacity: float, rate: float
) -> None:
    fleet = Fleet(worker_per_second=capacity).play([*flat(curve), *[rate] * 200])

    assert fleet.workers * capacity >= rate * 0.999 or fleet.workers == POLICY.most


@given(curve=curves, capacity=st.floats(100, 400))
@settings(max_examples=25, deadline=None)
def test_after_a_quiet_time_the_least_are_left(curve: list[tuple[float, int]], capacity: float) -> None:
    fleet = Fleet(worker_per_second=capacity).play(flat(curve))
    while fleet.waiting >= 1:
        fleet.play([0])

    fleet.play([0] * int((POLICY.quiet_seconds + 60) / STEP_SECONDS))

    assert fleet.desired[-1] == POLICY.least


@given(curve=curves, limit=st.floats(0, 300))
@settings(max_examples=25, deadline=None)
def test_no_worker_is_asked_for_that_a_limit_would_idle(curve: list[tuple[float, int]], limit: float) -> None:
    fleet = Fleet(limits={Channel.EMAIL: limit}).play(flat(curve))

    # 100/s each, as assumed.
    assert max(fleet.desired) <= max(1, -(-limit // 99))


def test_a_backlog_that_is_gone_in_time_brings_no_worker() -> None:
    assert max(Fleet(waiting=5_000).play([0] * 20).desired) == 1


def test_a_burst_brings_workers_with_the_first_look() -> None:
    fleet = Fleet(waiting=20_300).play([0])

    assert fleet.desired == [4]
    assert "20,000 wait and 0/s come: 333/s are wanted" in fleet.decisions[0].reason
    assert "a worker carries 100/s, so 4 needed" in fleet.decisions[0].reason


def test_what_a_worker_really_carries_counts_once_it_was_seen() -> None:
    fleet = Fleet(worker_per_second=50, waiting=3_000).play([40] * 60)

    assert fleet.desired[0] == 1, "a worker is taken to carry 100/s"
    assert fleet.decisions[-1].worker_per_second == pytest.approx(50, rel=0.2)
    assert fleet.desired[-1] == 2


def test_more_workers_that_carry_no_more_are_taken_back_and_not_tried_again_for_a_while() -> None:
    policy = ScalingPolicy(most=8, assumed_worker_per_second=1_000)
    fleet = Fleet(policy, most_per_second=100).play([150] * 100)

    assert max(fleet.desired) > 1
    assert fleet.desired[-1] == 1
    assert "more than 1 carried no more: the limit is elsewhere" in fleet.decisions[-1].reason


def test_a_number_that_was_there_before_is_kept_for_the_quiet_time() -> None:
    desired = Fleet(workers=5).play([0] * 60).desired

    assert desired[:39] == [5] * 39
    assert desired[-1] == 1


def test_work_that_nobody_acknowledges_is_no_measure() -> None:
    decision = Fleet(waiting=500, most_per_second=0).play([0] * 20).decisions[-1]

    assert decision.worker_per_second == POLICY.assumed_worker_per_second
    assert decision.drain_seconds is None


def test_a_group_has_what_the_others_leave_of_a_limit() -> None:
    high = QueueLoad(channel=Channel.SMS, waiting=0, arrivals_per_second=30, acks_per_second=30)
    tests = QueueLoad(channel=None, waiting=0, arrivals_per_second=5, acks_per_second=5)

    assert left_by_others({Channel.SMS: 100, Channel.PUSH: 10}, [high, tests]) == {Channel.SMS: 70, Channel.PUSH: 10}


@pytest.mark.parametrize(("rates", "limit"), [([], 0), ([10, 5], 15), ([10, None], None), ([None], None)])
def test_a_channel_takes_what_its_providers_take_together(rates: list[float | None], limit: float | None) -> None:
    assert channel_limit(rates) == limit


def test_every_lane_belongs_to_one_group() -> None:
    assert sorted(lane for group in LANE_GROUPS for lane in group.lanes) == sorted(LANES)


def test_more_at_least_than_at_most_is_refused() -> None:
    with pytest.raises(ValueError, match="least is 0 to most"):
        ScalingPolicy(least=3, most=2)
