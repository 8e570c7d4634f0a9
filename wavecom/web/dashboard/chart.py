"""Small charts, of stacked bars or of lines, as numbers; templates/dashboard/_chart.html draws them as SVG.

The drawing is stretched to the page's width, so texts stand beside it in HTML and keep their size on a phone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

#: The width of a step.
SLOT = 10
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
                bars.append(ChartBar(series, index * SLOT + 1, round(floor, 2), SLOT - 2, round(height, 2)))
    return Chart(tuple(bars), top, max(len(steps), 1) * SLOT)


def _round_up(value: int) -> int:
    return next(figure for figure in _round_figures() if figure >= value)


def _round_figures() -> Iterator[int]:
    """2, 4, 6, 8, 10, 12, 16, 20, …, 80, 100, 120, …: even, so that the middle line has a whole figure too."""
    yield from (2, 4, 6, 8)
    power = 1
    while True:
        yield from (figure * power for figure in (10, 12, 16, 20, 24, 30, 40, 50, 60, 80))
        power *= 10


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines of figures over steps of time: for each series the points of its unbroken pieces, in a view box's units.

    ``top`` is the figure at the upper edge, in milliseconds.
    """

    pieces: tuple[tuple[str, ...], ...]
    top: int
    width: int
    height: int = _HEIGHT


def lines(series: Sequence[Sequence[float | None]]) -> LineChart:
    """Draw seconds, to a scale that ends at a round figure of milliseconds; where there is none the line is broken."""
    top = _round_up(max((ceil(value * 1000) for values in series for value in values if value is not None), default=0))
    width = max((len(values) for values in series), default=1) * SLOT
    return LineChart(tuple(_pieces(values, top) for values in series), top, max(width, SLOT))


def _pieces(values: Sequence[float | None], top: int) -> tuple[str, ...]:
    pieces: list[list[str]] = [[]]
    for index, value in enumerate(values):
        if value is None:
            pieces.append([])
            continue
        y = round(_HEIGHT - value * 1000 / top * _HEIGHT, 2)
        # A step's figure holds for the whole step: a single one is a line too.
        pieces[-1] += [f"{index * SLOT},{y}", f"{(index + 1) * SLOT},{y}"]
    return tuple(" ".join(piece) for piece in pieces if piece)
