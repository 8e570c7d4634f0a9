"""Processors that processes share, for the simulation: each piece of work gets its weight's part, a core at most."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class _Work:
    left_seconds: float
    weight: float
    then: Callable[[], None]
    speed: float = 0.0


class SimulatedMachine:
    """``cores`` processors. Work in seconds of processor time; it does not know the time, only how much passes."""

    def __init__(self, cores: float) -> None:
        self._cores = cores
        self._work: list[_Work] = []
        #: Processor time used so far.
        self.used_seconds = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether there is work."""
        return bool(self._work)

    def begin(self, seconds: float, weight: float, then: Callable[[], None]) -> None:
        """Work that takes ``seconds`` of processor time; ``then`` is called by who takes what is done."""
        self._work.append(_Work(max(seconds, 1e-9), weight, then))
        self._share()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        for work in self._work:
            done = work.speed * seconds
            work.left_seconds -= done
            self.used_seconds += done

    def next_end(self, now: float) -> float | None:
        """When the next piece of work ends if none comes; None without work."""
        return min((now + work.left_seconds / work.speed for work in self._work), default=None)

    def take_done(self) -> list[Callable[[], None]]:
        """What is to be called of the work that is done, which is forgotten."""
        done = [work for work in self._work if work.left_seconds <= 1e-9]
        self._work = [work for work in self._work if work.left_seconds > 1e-9]
        self._share()
        return [work.then for work in done]

    def _share(self) -> None:
        """Part the cores by weight. What one can't use, because it has a core for itself, goes to the others."""
        cores, waiting = self._cores, sorted(self._work, key=lambda work: -work.weight)
        weights = sum(work.weight for work in waiting)
        for work in waiting:
            work.speed = min(1.0, cores * work.weight / weights)
            cores -= work.speed
            weights -= work.weight
