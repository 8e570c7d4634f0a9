"""Messages at the worker, for which no provider may be called for long."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from tests.fakes import FakeTimer
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.worker.held_messages import HOLD_LIMIT_SECONDS, HeldMessage, HeldMessages

HIGH = Lane(Channel.SMS, Priority.HIGH)
NORMAL = Lane(Channel.SMS, Priority.NORMAL)


class Gate:
    """Admits while it is open, and notes whom; raises its errors first, one by one."""

    def __init__(self) -> None:
        self.is_open = False
        self.admitted: list[int] = []
        self.asked: list[int] = []
        self.errors: list[Exception] = []

    def admit(self, lane: Lane, message: HeldMessage) -> float | None:
        self.asked.append(message.tag)
        if self.errors:
            raise self.errors.pop()
        if not self.is_open:
            return 0.5
        self.admitted.append(message.tag)
        return None


class Environment:
    def __init__(self) -> None:
        self.timer = FakeTimer()
        self.gate = Gate()
        self.dropped: list[JobId] = []
        self.soon: list[float] = []
        self.held = HeldMessages(
            self.timer,
            self._call_soon,
            admit=self.gate.admit,
            drop=lambda held: self.dropped.append(held.job_id),
            monotonic=self.timer.monotonic,
        )

    def add(self, tag: int, lane: Lane = NORMAL, *, since: float | None = None) -> None:
        since = self.timer.now if since is None else since
        self.held.add(lane, HeldMessage(since, JobId(f"job-{tag}"), "", object(), tag))

    def _call_soon(self, schedule: Callable[[float], None], seconds: float) -> None:
        self.soon.append(seconds)
        schedule(seconds)


@pytest.fixture
def environment() -> Environment:
    return Environment()


def test_a_message_that_is_admitted_is_not_held(environment: Environment) -> None:
    environment.gate.is_open = True

    environment.add(1)

    assert environment.gate.admitted == [1]
    assert len(environment.held) == 0
    assert environment.timer.pending == []


def test_what_is_held_is_admitted_in_its_order_and_higher_lanes_first(environment: Environment) -> None:
    for tag, lane in ((1, NORMAL), (2, NORMAL), (3, HIGH)):
        environment.add(tag, lane)
    assert environment.held.tags() == {1, 2, 3}
    assert environment.held.lanes() == [HIGH, NORMAL]

    environment.gate.is_open = True
    environment.timer.pass_time(0.5)

    assert environment.gate.admitted == [3, 1, 2]
    assert len(environment.held) == 0


def test_lanes_of_regions_are_held_too_and_stand_beside_those_of_their_kind(environment: Environment) -> None:
    of_eu, urgent_of_us = NORMAL._replace(region="eu"), HIGH._replace(region="us")
    test_of_eu = NORMAL._replace(region="eu", is_test=True)
    for tag, lane in enumerate((test_of_eu, of_eu, NORMAL, of_eu, urgent_of_us)):
        environment.add(tag, lane)

    assert environment.held.lanes() == [urgent_of_us, NORMAL, of_eu, test_of_eu]
    environment.gate.is_open = True
    environment.timer.pass_time(0.5)

    assert environment.gate.admitted == [4, 2, 1, 3, 0]


def test_a_message_behind_another_of_its_lane_does_not_overtake_it(environment: Environment) -> None:
    environment.add(1)
    environment.gate.is_open = True

    environment.add(2)
    assert environment.gate.asked == [1]
    environment.timer.pass_time(0.5)

    assert environment.gate.admitted == [1, 2]


def test_permits_that_come_back_bring_one_try(environment: Environment) -> None:
    environment.add(1)
    environment.gate.is_open = True

    for _ in range(3):
        environment.held.on_permit_freed()
    environment.timer.pass_time(0.1)

    assert len(environment.soon) == 1
    assert environment.gate.admitted == [1]


def test_a_permit_that_comes_back_wakes_nobody_when_nothing_is_held(environment: Environment) -> None:
    environment.held.on_permit_freed()

    assert environment.soon == []


@pytest.mark.parametrize("seconds", [HOLD_LIMIT_SECONDS + 1, 24 * 3600])
def test_a_delivery_message_held_for_too_long_is_done_with_and_not_given_back(
    environment: Environment, seconds: float
) -> None:
    # Whatever is given back is counted by the broker, which makes a dead letter of the hundredth time.
    environment.add(1, since=environment.timer.now - seconds)
    environment.add(2, since=environment.timer.now - 5)

    environment.timer.pass_time(0.5)

    assert environment.dropped == ["job-1"]
    assert environment.held.tags() == {2}


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a bug")])
def test_a_message_that_meets_an_error_at_admission_is_held_and_tried_again(
    environment: Environment, error: Exception
) -> None:
    environment.gate.errors = [error]

    with capture_logs() as logs:
        environment.add(1)

    assert environment.held.tags() == {1}
    assert [entry["event"] for entry in logs] == ["admission_failed"]
    environment.gate.is_open = True
    environment.timer.pass_time(1)
    assert environment.gate.admitted == [1]


def test_an_error_at_a_later_try_leaves_all_held_and_another_try_due(environment: Environment) -> None:
    environment.add(1)
    environment.gate.errors = [RuntimeError("a bug")]

    with capture_logs() as logs:
        environment.timer.pass_time(0.5)

    assert environment.held.tags() == {1}
    assert [entry["event"] for entry in logs] == ["admission_failed"]
    environment.gate.is_open = True
    environment.timer.pass_time(1)
    assert environment.gate.admitted == [1]


def test_what_is_forgotten_is_not_admitted(environment: Environment) -> None:
    environment.add(1)

    environment.held.clear()
    environment.gate.is_open = True
    environment.timer.pass_time(10)

    assert environment.gate.admitted == []
    assert len(environment.held) == 0
