"""Pictures for reports as SVG, drawn by hand: lines over time, and bars made of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#1f6feb", "#1a7f37", "#9a6700", "#8250df", "#cf222e", "#0a7ea4", "#8b949e", "#57606a")

_WIDTH, _HEIGHT = 920, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 34, 30
#: About the width of one, so that words in the legend do not run into each other.
_LETTER = 6.2
_STEPS = (0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line, and the words for it in the legend."""

    words: str
    colour: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted from ``since`` until ``until``; shaded."""

    words: str
    since: float
    until: float


def lines(title: str, curves: Sequence[Curve], *, spans: Sequence[Span] = (), shade: str = "", unit: str = "s") -> str:
    """The picture of ``curves`` over an axis in ``unit``; ``shade`` says what shaded spans mean."""
    right = max([10.0, *(x for curve in curves for x, _ in curve.points)])
    top = max([0.001, *(y for curve in curves for _, y in curve.points)])
    top = max(top, 10.0) if unit == "s" else top
    scale = _Scale(right + 1 if unit == "s" else right, top)
    parts = [
        *_opening(title, _HEIGHT),
        *(_shade(span, scale) for span in spans),
        *_axes(scale, unit),
        *(_line(curve, scale) for curve in curves),
        *_legend([(curve.words, curve.colour) for curve in curves], shade if spans else ""),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def bars(title: str, rows: Mapping[str, Mapping[str, float]], colours: Mapping[str, str], unit: str) -> str:
    """A bar for each row, made of its parts in the order of ``colours``."""
    left, bar, gap = 230, 22, 10
    most = max([0.001, *(sum(parts.values()) for parts in rows.values())])
    per_unit = (_WIDTH - left - 90) / most
    height = 50 + len(rows) * (bar + gap)
    drawn = [*_opening(title, height), *_legend(list(colours.items()), "")]
    for number, (name, parts) in enumerate(rows.items()):
        y, x = 40 + number * (bar + gap), float(left)
        drawn.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end" fill="#24292f">{escape(name)}</text>')
        for part, colour in colours.items():
            value = parts.get(part, 0.0)
            drawn.append(
                f'<rect x="{x:.1f}" y="{y}" width="{value * per_unit:.1f}" height="{bar}" fill="{colour}">'
                f"<title>{escape(part)}: {value:.3f} {escape(unit)}</title></rect>"
            )
            x += value * per_unit
        total = f"{sum(parts.values()):.2f} {escape(unit)}"
        drawn.append(f'<text x="{x + 6:.1f}" y="{y + 15}" fill="#24292f">{total}</text>')
    return "\n".join([*drawn, "</svg>"]) + "\n"


class _Scale:
    def __init__(self, right: float, top: float) -> None:
        self.right = right
        self.top = top

    def x(self, value: float) -> float:
        return round(_LEFT + value / self.right * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - value / self.top * (_HEIGHT - _TOP - _BOTTOM), 1)


def _opening(title: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
        f' font-size="11" role="img"><title>{escape(title)}</title>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]


def _shade(span: Span, scale: _Scale) -> str:
    left, right = scale.x(span.since), scale.x(min(span.until, scale.right))
    return (
        f'<rect x="{left}" y="{_TOP}" width="{max(1.5, right - left):.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"'
        f' fill="#cf222e" fill-opacity="0.16"><title>{escape(span.words)}: {span.since:.1f} to {span.until:.1f} s'
        "</title></rect>"
    )


def _axes(scale: _Scale, unit: str) -> list[str]:
    parts = []
    step = _step(scale.right)
    for number in range(int(scale.right / step) + 1):
        x = scale.x(number * step)
        words = f"{_short(number * step)} {unit}".strip()
        parts.append(f'<text x="{x}" y="{_HEIGHT - 12}" text-anchor="middle" fill="#57606a">{words}</text>')
    for share in (0, 0.5, 1):
        y, words = scale.y(scale.top * share), _short(scale.top * share)
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" fill="#57606a">{words}</text>')
    return parts


def _step(right: float) -> float:
    """A round number that divides the axis into at most twelve parts."""
    for step in (5, 10, 20, 30, 60, 120, 300):
        if right / step <= 12:
            return step
    power = 1
    while True:
        for part in _STEPS:
            if right / (part * power) <= 12 and part * power >= 300:
                return part * power
        power *= 10


def _short(value: float) -> str:
    return f"{value:.3g}" if value < 10 else f"{value:.0f}"


def _line(curve: Curve, scale: _Scale) -> str:
    points = " ".join(f"{scale.x(x)},{scale.y(y)}" for x, y in curve.points)
    return f'<polyline points="{points}" fill="none" stroke="{curve.colour}" stroke-width="1.6"/>'


def _legend(entries: Sequence[tuple[str, str]], shade: str) -> list[str]:
    parts = []
    x = _LEFT
    for words, colour in entries:
        parts.append(f'<rect x="{x}" y="12" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 19}" y="18" fill="#24292f">{escape(words)}</text>')
        x += 44 + round(_LETTER * len(words))
    if shade:
        parts.append(f'<rect x="{x}" y="8" width="14" height="12" fill="#cf222e" fill-opacity="0.16"/>')
        parts.append(f'<text x="{x + 19}" y="18" fill="#24292f">{escape(shade)}</text>')
    return parts


def per_second_points(counts: Mapping[int, int], seconds: int) -> list[tuple[float, float]]:
    """Counts per second as points of a curve, in the middle of their seconds; nothing counted is 0."""
    return [(second + 0.5, float(counts.get(second, 0))) for second in range(seconds)]
