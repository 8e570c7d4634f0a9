"""How fast the machine's cores are at the moment: a fixed piece of work, timed again and again.

The cores of a virtual machine share theirs with neighbours that nobody sees: for seconds at a time the same
instructions take twice the processor time, and no counter of the kernel tells.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

#: 2 ms every 300 ms: less than one hundredth of a core.
_PAUSE_SECONDS = 0.3
_TURNS = 20_000
_CALIBRATION_PAUSE_SECONDS = 0.02

#: Does a fixed piece of work; answers the seconds of processor time that it took.
Work = Callable[[], float]


@dataclass(frozen=True, slots=True)
class CoreSpeed:
    """Pieces of work per second of processor time: on average over a while, and the most that was ever seen."""

    mean: float
    best: float

    @property
    def speed(self) -> float:
        """How fast the cores were on average, 1 being as fast as they can; what cost 1 ms takes 1 / speed."""
        return min(1.0, self.mean / self.best)


class SpeedProbe:
    """A context manager: a thread that does ``work`` every ``pause_seconds``.

    A thread of the benchmark's own process, which sleeps while it measures and whose time counts as nobody's.
    """

    def __init__(self, work: Work | None = None, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self._work = work or do_work
        self._pause_seconds = pause_seconds
        #: When (monotonic), and pieces of work per second.
        self._readings: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="speed", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def calibrate(self, seconds: float) -> CoreSpeed:
        """Look closely for so long, while nothing else is to be done, so that the best is known from the beginning."""
        began = time.monotonic()
        while time.monotonic() - began < seconds:
            self._read()
            time.sleep(_CALIBRATION_PAUSE_SECONDS)
        return self.between(began, time.monotonic())

    def between(self, since: float, until: float) -> CoreSpeed:
        """Between these moments (monotonic); where none of its readings fell in between, at this moment."""
        return self.during([(since, until)])

    def during(self, spans: Sequence[tuple[float, float]]) -> CoreSpeed:
        """During all of these spans; where none of its readings fell into any, at this moment."""
        paces = [pace for at, pace in self._readings if any(since <= at <= until for since, until in spans)]
        paces = paces or [self._read()]
        return CoreSpeed(sum(paces) / len(paces), max(pace for _, pace in self._readings))

    def _run(self) -> None:
        while not self._ended.wait(self._pause_seconds):
            self._read()

    def _read(self) -> float:
        pace = 1 / self._work()
        self._readings.append((time.monotonic(), pace))
        return pace


def do_work() -> float:
    """What the interpreter does all day: names, small numbers, short texts, a dictionary that fits every cache."""
    began = time.thread_time()
    counts: dict[int, int] = {}
    for number in range(_TURNS):
        counts[number & 63] = counts.get(number & 63, 0) + len(str(number))
    return time.thread_time() - began
