"""What the moments of many events say: how many come a second, and how long none comes. Pure; all in seconds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Pause:
    """The longest time without an event; ``began``: after the ``since`` that was asked for, negative: before it."""

    seconds: float
    began: float


def longest_pause(times: Iterable[float], since: float, until: float) -> Pause:
    """The longest pause that overlaps the time from ``since`` to ``until``: between two of ``times``, or to an end.

    It begins at the last event before ``since`` and not at ``since``: what is under way when something breaks would
    hide that nothing comes after it.
    """
    inside = sorted(at for at in times if at < until)
    before = [at for at in inside if at <= since]
    edges = [before[-1] if before else since, *(at for at in inside if at > since), until]
    seconds, began = max((after - at, at) for at, after in pairwise(edges))
    return Pause(round(seconds, 1), round(began - since, 1))


def takeover(successes: Sequence[float], since: float, until: float, rate: float) -> float | None:
    """Seconds from ``since`` until the first two seconds in which ``successes`` came at ``rate``; None: never."""
    start = since
    while start + 2 <= until:
        if sum(start <= at < start + 2 for at in successes) >= 2 * rate:
            return round(start - since, 1)
        start += 0.1
    return None


def busiest_second(times: Sequence[float]) -> int:
    """The most of ``times``, which are in order, that fall into one second."""
    busiest, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 1:
            first += 1
        busiest = max(busiest, last - first + 1)
    return busiest


def per_second(times: Sequence[float], since: float) -> dict[int, int]:
    """How many of ``times`` fall into each second from ``since`` on."""
    counts: defaultdict[int, int] = defaultdict(int)
    for at in times:
        counts[int(at - since)] += 1
    return dict(counts)
