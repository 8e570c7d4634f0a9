"""A small stacked bar chart as numbers; templates/dashboard/_chart.html draws it as SVG.

The drawing is stretched to the page's width, so texts stand beside it in HTML and keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SLOT = 10
_HEIGHT = 100


@dataclass(frozen=True, slots=True)
class ChartStep:
    """One step of time: ``one`` is drawn below, ``two`` on top of it."""

    one: int
    two: int


@dataclass(frozen=True, slots=True)
class ChartBar:
    """A rectangle of one series, in the chart's own units."""

    series: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything in the units of a ``width`` × ``height`` view box; ``top`` is the figure at its upper edge."""

    bars: tuple[ChartBar, ...]
    top: int
    width: int
    height: int = _HEIGHT


def stacked_bars(steps: Sequence[ChartStep]) -> Chart:
    """Draw ``steps`` from left to right, to a scale that ends at a round, even figure."""
    top = _round_up(max((step.one + step.two for step in steps), default=0))
    bars: list[ChartBar] = []
    for index, step in enumerate(steps):
        floor = float(_HEIGHT)
        for series, value in (("one", step.one), ("two", step.two)):
            if value:
                height = value / top * _HEIGHT
                floor -= height
                bars.append(ChartBar(series, index * _SLOT + 1, round(floor, 2), _SLOT - 2, round(height, 2)))
    return Chart(tuple(bars), top, max(len(steps), 1) * _SLOT)


def _round_up(value: int) -> int:
    return next(figure for figure in _round_figures() if figure >= value)


def _round_figures() -> Iterator[int]:
    """2, 4, 6, 8, 10, 12, 16, 20, …, 80, 100, 120, …: even, so that the middle line has a whole figure too."""
    yield from (2, 4, 6, 8)
    power = 1
    while True:
        yield from (figure * power for figure in (10, 12, 16, 20, 24, 30, 40, 50, 60, 80))
        power *= 10
