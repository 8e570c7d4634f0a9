"""Messages at the step, for which no provider may be called for long."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import pytest
from structlog.testing import capture_logs

from wavecom.core.job import JobId
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.worker.ack_tracker import AckTracker
from wavecom.worker.delivery_consumer import HOLD_LIMIT_SECONDS, DeliveryConsumerStep, HeldMessage

LANE = Lane(Channel.SMS, Priority.NORMAL)


class BrokerChannel:
    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.rejected: list[int] = []

    def basic_ack(self, tag: int, multiple: bool = False) -> None:
        self.acknowledged.append(tag)

    def basic_reject(self, tag: int, requeue: bool) -> None:
        self.rejected.append(tag)


class RecordingDebouncer:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    def schedule(self, seconds: float) -> None:
        self.seconds.append(seconds)


class ClosedGateStep(DeliveryConsumerStep):
    """No provider may be called, ever."""

    def __init__(self, channel: BrokerChannel) -> None:
        self._held = {LANE: deque()}
        self._ack_tracker = AckTracker()
        self._channel: Any = channel
        self.debouncer = RecordingDebouncer()
        self._drain_debouncer: Any = self.debouncer
        self._is_drain_requested = False
        self.errors: list[Exception] = []

    def hold(self, tag: int, seconds: float) -> None:
        self._ack_tracker.receive(tag)
        held = HeldMessage(
            time.monotonic() - seconds, JobId(f"job-{tag}"), "notifications.sms.normal", self._channel, tag
        )
        self._held[LANE].append(held)

    def drain(self) -> None:
        """What the debouncer calls."""
        self._drain()

    def held_tags(self) -> list[int]:
        return [held.tag for held in self._held[LANE]]

    def _admit_one(self, lane: Lane, held: HeldMessage) -> float | None:
        if self.errors:
            raise self.errors.pop()
        return 0.5


@pytest.mark.parametrize("seconds", [HOLD_LIMIT_SECONDS + 1, 24 * 3600])
def test_a_delivery_message_held_for_too_long_is_done_with_and_not_given_back(seconds: float) -> None:
    # Whatever is given back is counted by the broker, which makes a dead letter of the hundredth time.
    channel = BrokerChannel()
    step = ClosedGateStep(channel)
    step.hold(1, seconds)
    step.hold(2, 5)

    step.drain()

    assert channel.acknowledged == [1]
    assert channel.rejected == []
    assert step.held_tags() == [2]
    assert step.debouncer.seconds == [0.5]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("a bug")])
def test_a_message_that_meets_an_error_at_admission_is_held_and_tried_again(error: Exception) -> None:
    channel = BrokerChannel()
    step = ClosedGateStep(channel)
    step.errors = [error]

    with capture_logs() as logs:
        step.handle(channel, 1, "notifications.sms.normal", JobId("job-1"))

    assert step.held_tags() == [1]
    assert step.debouncer.seconds == [1.0]
    assert [entry["event"] for entry in logs] == ["admission_failed"]
