"""Copies of the workers come and go as decided: the lowest free number comes, the highest goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_until
from wavecom.core.autoscaling import GroupLoad, ScalingDecision, ScalingMemory, ScalingPolicy, decide
from wavecom.errors import BrokerError, ConfigurationError, Problem
from wavecom.local.programs import PROGRAMS, Program, ProgramService
from wavecom.local.scaling import WorkerScaling, title_of
from wavecom.local.supervisor import Supervisor

WORKER, HIGH = (next(each for each in PROGRAMS if each.name == name) for name in ("worker", "worker-high"))


class StillService(ProgramService):
    """A copy of a program without a process."""

    is_alive = False
    is_stubborn = False

    @property
    def is_running(self) -> bool:
        return self.is_alive

    def launch(self) -> None:
        self.is_alive = True

    def terminate(self) -> None:
        self.is_alive = self.is_stubborn

    def kill(self) -> None:
        self.is_alive = False


class Environment:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: list[str] = []
        self.supervisor = Supervisor(self.said.append)
        self.wanted: dict[str, int] = {}
        self.trouble: BrokerError | None = None
        self.refusal: ConfigurationError | None = None
        self.scaling = WorkerScaling(self.decide, self.supervisor, self.start, self.said.append, look_seconds=0.01)

    def decide(self) -> dict[str, ScalingDecision]:
        if self.trouble:
            raise self.trouble
        return {
            name: decide(GroupLoad(at=0, workers=0, queues=[]), ScalingPolicy(least=count, most=count), ScalingMemory())
            for name, count in self.wanted.items()
        }

    def start(self, program: Program, number: int) -> None:
        if self.refusal:
            raise self.refusal
        title = title_of(program, number)
        self.supervisor.start(StillService(program, title=title, log=self.folder / title, environment={}))

    @property
    def titles(self) -> list[str]:
        return [service.title for service in self.supervisor.services]

    def bring_to(self, titles: list[str], **wanted: int) -> None:
        self.wanted = {name.replace("_", "-"): count for name, count in wanted.items()}

        def is_so() -> bool:
            self.scaling.adjust()
            self.supervisor.watch()
            return sorted(self.titles) == titles

        wait_until(is_so)


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    environment = Environment(tmp_path)
    environment.start(WORKER, 1)
    environment.start(HIGH, 1)
    yield environment
    environment.scaling.close()


def service(environment: Environment, title: str) -> Any:
    return next(each for each in environment.supervisor.services if each.title == title)


def test_copies_come_and_go_and_the_first_stays(environment: Environment) -> None:
    environment.bring_to(["worker-high", "worker1", "worker2", "worker3"], worker=3, worker_high=1)
    environment.bring_to(["worker-high", "worker-high2", "worker1"], worker=1, worker_high=2)

    assert environment.said[0].startswith("worker: 3 in place of 1, for 0 wait and 0/s come")
    assert "worker3 has ended: it is not needed now." in environment.said


def test_a_copy_that_still_ends_keeps_its_name(environment: Environment) -> None:
    environment.bring_to(["worker-high", "worker1", "worker2"], worker=2)
    service(environment, "worker2").is_stubborn = True
    environment.wanted = {"worker": 1}
    wait_until(
        lambda: environment.scaling.adjust() or environment.supervisor.is_retired(service(environment, "worker2"))
    )

    environment.bring_to(["worker-high", "worker1", "worker2", "worker3"], worker=2)


def test_a_broker_that_can_not_be_asked_changes_nothing_and_is_told_once(environment: Environment) -> None:
    environment.trouble = BrokerError("RabbitMQ's management API can't be used (ConnectTimeout).")

    wait_until(lambda: environment.scaling.adjust() or environment.said)
    environment.scaling.adjust()
    environment.trouble = None
    wait_until(lambda: environment.scaling.adjust() or len(environment.said) > 1)

    assert environment.said == [
        "The number of workers stays as it is: RabbitMQ's management API can't be used (ConnectTimeout).",
        "Workers follow the load again.",
    ]


def test_a_copy_that_can_not_be_started_is_tried_again(environment: Environment) -> None:
    environment.refusal = ConfigurationError([Problem("worker", "there is no memory")])
    environment.wanted = {"worker": 2}
    wait_until(lambda: environment.scaling.adjust() or any("can't be started" in line for line in environment.said))

    environment.refusal = None
    environment.bring_to(["worker-high", "worker1", "worker2"], worker=2)
