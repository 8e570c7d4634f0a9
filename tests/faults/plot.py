"""The timeline of one scenario as a picture: three curves, and what was broken when."""

from __future__ import annotations

from harness.plot import Curve, Span, lines, per_second_points
from tests.faults.drill import ScenarioResult

_CURVES = {
    "accepted": ("accepted a second", "#1f6feb"),
    "calls": ("calls to providers a second", "#8b949e"),
    "settled": ("settled a second", "#1a7f37"),
}


def timeline(outcome: ScenarioResult) -> str:
    """The picture."""
    seconds = max([10, *(second for curve in outcome.curves.values() for second in curve)]) + 1
    curves = [Curve(*_CURVES[name], per_second_points(counts, seconds)) for name, counts in outcome.curves.items()]
    spans = [Span(*trouble) for trouble in outcome.troubles]
    return lines(outcome.scenario.what, curves, spans=spans, shade="something is broken on purpose")
