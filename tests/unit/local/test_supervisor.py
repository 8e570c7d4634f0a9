"""The supervisor: what dies comes back after growing pauses, and everything ends in order and in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from wavecom.errors import ConfigurationError, Problem
from wavecom.local.interrupts import Interrupts
from wavecom.local.service import Service
from wavecom.local.supervisor import RETIRE_SECONDS, RestartDelays, ShutdownPhase, Supervisor


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class ScriptedService(Service):
    """A service without a process: it lives and dies as the test says."""

    def __init__(self, title: str, clock: Clock, events: list[str], log: Path, *, is_stubborn: bool = False) -> None:
        super().__init__(title, log=log, environment={})
        self._clock = clock
        self._events = events
        self._is_stubborn = is_stubborn
        self._exit_code: int | None = None
        self._started_at = 0.0
        self._is_alive = False
        self.launch_error: Exception | None = None

    def _command(self) -> Sequence[str]:
        raise AssertionError("it has no program")

    @property
    def is_running(self) -> bool:
        return self._is_alive

    @property
    def exit_code(self) -> int | None:
        return self._exit_code

    @property
    def started_at(self) -> float:
        return self._started_at

    def launch(self) -> None:
        if self.launch_error:
            raise self.launch_error
        self._events.append(f"{self.title} starts")
        self._started_at, self._is_alive, self._exit_code = self._clock(), True, None

    def die(self, exit_code: int) -> None:
        self._is_alive, self._exit_code = False, exit_code

    def terminate(self) -> None:
        self._events.append(f"{self.title} is asked to end")
        if not self._is_stubborn:
            self.die(0)

    def kill(self) -> None:
        if self._is_alive:
            self._events.append(f"{self.title} is killed")
            self.die(-9)


class TickingInterrupts(Interrupts):
    """Pauses move the clock instead of waiting."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.interrupt_at: float | None = None

    def pause(self, seconds: float) -> None:
        self._clock.seconds += seconds
        if self.interrupt_at is not None and self._clock.seconds >= self.interrupt_at:
            self.count += 1
            self.interrupt_at = None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def interrupts(clock: Clock) -> Iterator[TickingInterrupts]:
    with TickingInterrupts(clock) as interrupts:
        yield interrupts


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def supervisor(clock: Clock, said: list[str]) -> Supervisor:
    return Supervisor(said.append, clock)


@pytest.fixture
def worker(clock: Clock, events: list[str], tmp_path: Path) -> ScriptedService:
    return ScriptedService("worker1", clock, events, tmp_path / "worker1.log")


def test_pauses_grow_to_thirty_seconds_and_start_over_after_a_minute_of_life() -> None:
    pauses = RestartDelays()

    assert [pauses.next_pause(5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert pauses.next_pause(60) == 1
    assert pauses.next_pause(59) == 2


def test_a_dead_service_starts_again_after_its_pause_and_not_before(
    supervisor: Supervisor, worker: ScriptedService, clock: Clock, events: list[str]
) -> None:
    supervisor.start(worker)
    worker.die(-9)

    supervisor.watch()
    clock.seconds += 0.9
    supervisor.watch()
    assert events == ["worker1 starts"]
    clock.seconds += 0.1
    supervisor.watch()

    assert events == ["worker1 starts", "worker1 starts"]


def test_a_death_is_told_with_its_cause_the_pause_and_the_end_of_the_log(
    supervisor: Supervisor, worker: ScriptedService, said: list[str]
) -> None:
    worker.log.write_text("first line\nlast words\n")
    supervisor.start(worker)

    worker.die(-9)
    supervisor.watch()
    supervisor.watch()

    assert len(said) == 1
    assert said[0].splitlines() == [
        f"worker1 was ended by SIGKILL; it starts again in 1 s. The end of {worker.log}:",
        "    first line",
        "    last words",
    ]


def test_a_service_that_can_not_be_launched_again_is_tried_again(
    supervisor: Supervisor, worker: ScriptedService, clock: Clock, said: list[str]
) -> None:
    supervisor.start(worker)
    worker.die(1)
    supervisor.watch()
    worker.launch_error = ConfigurationError([Problem("Redis", "is not installed")])

    clock.seconds += 1
    supervisor.watch()
    worker.launch_error = None
    clock.seconds += 2
    supervisor.watch()

    assert worker.is_running
    assert "can't be started" in said[1]
    assert said[2] == "worker1 started again."


def test_phases_end_one_after_the_other(
    supervisor: Supervisor, clock: Clock, events: list[str], interrupts: TickingInterrupts, tmp_path: Path
) -> None:
    web, worker, server = (
        ScriptedService(name, clock, events, tmp_path / name) for name in ("web", "worker", "server")
    )
    for service in (server, worker, web):
        supervisor.start(service)
    events.clear()

    was_patient = supervisor.stop(
        [ShutdownPhase(services=[service], until_seconds=5) for service in (web, worker, server)], interrupts
    )

    assert was_patient
    assert events == ["web is asked to end", "worker is asked to end", "server is asked to end"]


def test_what_does_not_end_in_time_is_killed_and_named(
    supervisor: Supervisor, clock: Clock, said: list[str], interrupts: TickingInterrupts, tmp_path: Path
) -> None:
    stubborn = ScriptedService("worker1", clock, [], tmp_path / "log", is_stubborn=True)
    supervisor.start(stubborn)
    started_at = clock()

    was_patient = supervisor.stop([ShutdownPhase(services=[stubborn], until_seconds=5)], interrupts)

    assert was_patient
    assert not stubborn.is_running
    assert 5 <= clock() - started_at < 5.5
    assert said == ["worker1 did not end in time and was killed."]


def test_a_second_interrupt_kills_at_once(
    supervisor: Supervisor, clock: Clock, interrupts: TickingInterrupts, tmp_path: Path
) -> None:
    stubborn = [ScriptedService(name, clock, [], tmp_path / name, is_stubborn=True) for name in ("web", "worker1")]
    for service in stubborn:
        supervisor.start(service)
    interrupts.count = 1
    interrupts.interrupt_at = clock() + 1
    started_at = clock()

    was_patient = supervisor.stop(
        [ShutdownPhase(services=[service], until_seconds=60) for service in stubborn], interrupts
    )

    assert not was_patient
    assert not any(service.is_running for service in stubborn)
    assert clock() - started_at < 2


def test_what_ended_during_the_shutdown_is_not_started_again(
    supervisor: Supervisor, worker: ScriptedService, interrupts: TickingInterrupts
) -> None:
    supervisor.start(worker)

    supervisor.stop([ShutdownPhase(services=[worker], until_seconds=5)], interrupts)
    supervisor.watch()

    assert not worker.is_running


def test_a_log_that_has_grown_too_large_is_put_aside(
    supervisor: Supervisor, worker: ScriptedService, clock: Clock
) -> None:
    supervisor.start(worker)
    with worker.log.open("wb") as file:
        file.truncate(33 * 1024 * 1024)

    clock.seconds += 61
    supervisor.watch()

    assert worker.log.stat().st_size == 0
    assert worker.log.with_name("worker1.log.1").stat().st_size == 33 * 1024 * 1024


def test_a_service_that_is_retired_ends_and_starts_no_more(
    supervisor: Supervisor, worker: ScriptedService, clock: Clock, said: list[str], events: list[str]
) -> None:
    supervisor.start(worker)

    supervisor.retire(worker)
    assert supervisor.services == [worker], "it is ended with the others if all end now"
    supervisor.watch()
    clock.seconds += 60
    supervisor.watch()

    assert events == ["worker1 starts", "worker1 is asked to end"]
    assert said == ["worker1 has ended: it is not needed now."]
    assert supervisor.services == []


def test_a_retired_service_has_time_for_the_work_in_its_hand(
    supervisor: Supervisor, clock: Clock, said: list[str], events: list[str], tmp_path: Path
) -> None:
    stubborn = ScriptedService("worker1", clock, events, tmp_path / "log", is_stubborn=True)
    supervisor.start(stubborn)
    supervisor.retire(stubborn)

    clock.seconds += RETIRE_SECONDS - 1
    supervisor.watch()
    assert supervisor.is_retired(stubborn)
    clock.seconds += 1
    supervisor.watch()

    assert events[-1] == "worker1 is killed"
    assert not supervisor.is_retired(stubborn)
    assert said == [
        f"worker1 did not end in {RETIRE_SECONDS} s and was killed.",
        "worker1 has ended: it is not needed now.",
    ]
