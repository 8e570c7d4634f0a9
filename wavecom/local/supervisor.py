"""Keeps services running: starts again what dies, after growing pauses, and ends everything in order."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wavecom.errors import ConfigurationError
from wavecom.local.interrupts import Interrupts
from wavecom.local.logs import cap, tail
from wavecom.local.service import Service

LONGEST_PAUSE_SECONDS = 30
#: A service that has lived this long was sound; its next death is a new story.
SOUND_SECONDS = 60
#: A worker that is to end finishes its calls first, which takes 25 seconds, on a busy machine more; then it is stuck.
RETIRE_SECONDS = 120
_CAP_LOGS_SECONDS = 60


@dataclass(slots=True)
class RestartDelays:
    """How long to wait before each restart of one service: 1, 2, 4 … 30 s, and 1 s again after a sound life."""

    deaths: int = 0

    def next_pause(self, seconds: float) -> int:
        """The pause after a life of ``seconds``."""
        self.deaths = 1 if seconds >= SOUND_SECONDS else self.deaths + 1
        return int(min(2 ** (self.deaths - 1), LONGEST_PAUSE_SECONDS))


@dataclass(slots=True)
class _Watched:
    service: Service
    pauses: RestartDelays
    restart_at: float | None = None
    #: When it was asked to end for good; None: it is to run.
    retired_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownPhase:
    """Services that end together. ``until_seconds`` after the start of the shutdown, what still runs is killed."""

    services: Sequence[Service]
    until_seconds: float


class Supervisor:
    """``say`` takes lines for the user. Used from one thread, the one that lives longest."""

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._now = now
        self._watched: list[_Watched] = []
        self._logs_capped_at = now()

    @property
    def services(self) -> list[Service]:
        """All services that are watched, in the order of their start."""
        return [watched.service for watched in self._watched]

    def start(self, service: Service) -> None:
        """Launch it and watch it from now on. Raises ``ConfigurationError`` when it can't be launched at all."""
        service.launch()
        self._watched.append(_Watched(service, RestartDelays()))

    def deaths(self, service: Service) -> int:
        """How often it has died since it last lived soundly."""
        return self._find(service).pauses.deaths

    def retire(self, service: Service) -> None:
        """Ask it to end, and start it no more; returns at once. ``services`` has it until it has ended."""
        self._find(service).retired_at = self._now()
        service.terminate()

    def is_retired(self, service: Service) -> bool:
        """Whether it was asked to end for good and still runs."""
        return any(each.service is service and each.retired_at is not None for each in self._watched)

    def watch(self) -> None:
        """Notice what has died, start what is due; to be called often."""
        for watched in [*self._watched]:
            if watched.retired_at is not None:
                self._await_end(watched, watched.retired_at)
                continue
            if watched.service.is_running:
                continue
            if watched.restart_at is None:
                self._plan_restart(watched)
            elif self._now() >= watched.restart_at:
                self._restart(watched)
        if self._now() - self._logs_capped_at >= _CAP_LOGS_SECONDS:
            self._logs_capped_at = self._now()
            for service in self.services:
                cap(service.log)

    def stop(self, phases: Sequence[ShutdownPhase], interrupts: Interrupts) -> bool:
        """End the phases one after the other. Another interrupt kills everything; returns whether there was none."""
        started_at = self._now()
        interrupts_at_start = interrupts.count
        self._watched.clear()
        is_impatient = False
        for phase in phases:
            for service in phase.services:
                service.terminate()
            while running := [service for service in phase.services if service.is_running]:
                is_impatient = interrupts.count > interrupts_at_start
                if is_impatient or self._now() - started_at >= phase.until_seconds:
                    for service in running:
                        self._say(f"{service.title} did not end in time and was killed.")
                        service.kill()
                    break
                interrupts.pause(0.1)
            for service in phase.services:
                service.kill()  # what it may have left beside it
        return not is_impatient

    def _find(self, service: Service) -> _Watched:
        return next(watched for watched in self._watched if watched.service is service)

    def _await_end(self, watched: _Watched, retired_at: float) -> None:
        service = watched.service
        if service.is_running and self._now() - retired_at >= RETIRE_SECONDS:
            self._say(f"{service.title} did not end in {RETIRE_SECONDS} s and was killed.")
            service.kill()
        if not service.is_running:
            service.kill()  # what it may have left beside it
            self._watched.remove(watched)
            self._say(f"{service.title} has ended: it is not needed now.")

    def _plan_restart(self, watched: _Watched) -> None:
        service = watched.service
        pause = watched.pauses.next_pause(self._now() - service.started_at)
        watched.restart_at = self._now() + pause
        self._say(
            f"{service.title} {_how_it_ended(service.exit_code)}; it starts again in {pause} s.{_ending(service)}"
        )

    def _restart(self, watched: _Watched) -> None:
        watched.restart_at = None
        try:
            watched.service.launch()
        except (ConfigurationError, OSError) as error:
            # Uninstalled under us, no memory for a process, no file descriptor left: it may come back.
            pause = watched.pauses.next_pause(0)
            watched.restart_at = self._now() + pause
            self._say(f"{watched.service.title} can't be started ({error}); next try in {pause} s.")
        else:
            self._say(f"{watched.service.title} started again.")


def _how_it_ended(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = f"signal {-exit_code}"
        return f"was ended by {name}"
    return f"ended with exit code {exit_code}"


def _ending(service: Service) -> str:
    end = tail(service.log, lines=8)
    if not end:
        return ""
    indented = "\n".join(f"    {line}" for line in end.splitlines())
    return f" The end of {service.log}:\n{indented}"
