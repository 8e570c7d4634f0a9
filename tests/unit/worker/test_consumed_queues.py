"""Which queues a worker consumes while it runs: its own, their partitions, and those that it takes over and leaves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery

from tests.fakes import FakeTimer
from tests.memory_storage import MemoryAttendance
from wavecom.broker import topology
from wavecom.broker.delivery_queues import DeliveryQueues
from wavecom.core.lanes import LaneQueue, QueueLayout
from wavecom.core.region_attendance import Attendance, ConsumedLanes
from wavecom.core.regions import Region, Regions
from wavecom.worker import consumed_queues
from wavecom.worker.consumed_queues import ConsumedQueuesStep

REGIONS = Regions({"eu": Region(name="eu", takeover=("us",)), "us": Region(name="us")}, "us")
OWN = {"notifications.us.sms.high", "notifications.sms.high"}
TAKEN = "notifications.eu.sms.high"


class Worker:
    """A Celery consumer as the step knows it; ``fails``: the broker refuses new consumers."""

    def __init__(self) -> None:
        self.timer = FakeTimer()
        self.app = Celery("tests", set_as_current=False)
        self.app.conf.task_queues = topology.TASK_QUEUES
        self.app.amqp.queues.select(["notifications.sms.high", topology.CALLBACKS_QUEUE])
        self.added: list[str] = []
        self.fails = False
        self.declared = 0

    def add_task_queue(self, name: str) -> None:
        if self.fails:
            raise OSError("the channel is closed")
        self.app.amqp.queues.select_add(name)
        self.added.append(name)

    def cancel_task_queue(self, name: str) -> None:
        self.app.amqp.queues.deselect(name)

    def declare(self) -> None:
        self.declared += 1

    @property
    def consumed(self) -> set[str]:
        return set(self.app.amqp.queues.consume_from)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    worker = Worker()
    board = MemoryAttendance(worker.timer.monotonic)
    attendance = Attendance(board, limit_seconds=60, monotonic=worker.timer.monotonic)
    lanes = ConsumedLanes(REGIONS, "us", board, attendance)
    queues = DeliveryQueues(QueueLayout(1, ("eu", "us")))
    services: Any = SimpleNamespace(consumed_lanes=lanes, queues=queues, delay_queues=worker)
    monkeypatch.setattr(consumed_queues, "services", lambda: services)
    monkeypatch.setattr(consumed_queues, "_consumed", set())
    monkeypatch.setattr(consumed_queues.internals, "replace_delay_queue_setup", lambda _declare: None)
    ConsumedQueuesStep(worker).start(worker)

    def pass_time(seconds: int) -> None:
        for _ in range(0, seconds, 5):
            lanes.refresh(is_consuming=True)
            worker.timer.pass_time(5)

    return SimpleNamespace(worker=worker, board=board, pass_time=pass_time)


def test_a_worker_consumes_its_region_and_takes_over_and_leaves_another(environment: SimpleNamespace) -> None:
    worker = environment.worker
    own = OWN | {topology.CALLBACKS_QUEUE}
    assert worker.consumed == own

    environment.pass_time(70)
    assert worker.consumed == own | {TAKEN}
    assert worker.declared == 1

    environment.board.note([LaneQueue("eu.sms.high")])
    environment.pass_time(10)
    assert worker.consumed == own
    assert consumed_queues.consumed_queues() == sorted(own)


def test_a_broker_that_refuses_for_a_moment_keeps_nobody_from_taking_over_later(environment: SimpleNamespace) -> None:
    worker = environment.worker
    worker.fails = True
    with pytest.raises(OSError, match="the channel is closed"):
        environment.pass_time(70)

    worker.fails = False
    environment.pass_time(10)

    assert TAKEN in worker.consumed
    assert TAKEN in consumed_queues.consumed_queues()
