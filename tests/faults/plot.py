"""The timeline of one scenario as an SVG picture, drawn by hand: three curves, and what was broken when."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from tests.faults.drill import Outcome

_WIDTH, _HEIGHT = 920, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 34, 30
_COLOURS = {"accepted": "#1f6feb", "calls": "#8b949e", "settled": "#1a7f37"}
_WORDS = {"accepted": "accepted a second", "calls": "calls to providers a second", "settled": "settled a second"}


def timeline(outcome: Outcome) -> str:
    """The picture."""
    seconds = max([10, *(second for curve in outcome.curves.values() for second in curve)]) + 1
    most = max([10, *(count for curve in outcome.curves.values() for count in curve.values())])
    scale = _Scale(seconds, most)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif"'
        f' font-size="11" role="img"><title>{escape(outcome.scenario.what)}</title>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
        *_troubles(outcome, scale),
        *_axes(scale),
        *(_curve(name, curve, scale) for name, curve in outcome.curves.items()),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Scale:
    def __init__(self, seconds: int, most: int) -> None:
        self.seconds = seconds
        self.most = most

    def x(self, second: float) -> float:
        return round(_LEFT + second / self.seconds * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, count: float) -> float:
        return round(_HEIGHT - _BOTTOM - count / self.most * (_HEIGHT - _TOP - _BOTTOM), 1)


def _troubles(outcome: Outcome, scale: _Scale) -> list[str]:
    parts = []
    for what, since, until in outcome.troubles:
        left, right = scale.x(since), scale.x(min(until, scale.seconds))
        width = max(1.5, right - left)
        parts.append(
            f'<rect x="{left}" y="{_TOP}" width="{width:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}" fill="#cf222e"'
            f' fill-opacity="0.16"><title>{escape(what)}: {since:.1f} to {until:.1f} s</title></rect>'
        )
    return parts


def _axes(scale: _Scale) -> list[str]:
    parts = []
    step = next(step for step in (5, 10, 20, 30, 60, 120, 300) if scale.seconds / step <= 12 or step == 300)
    for second in range(0, scale.seconds, step):
        x = scale.x(second)
        parts.append(f'<text x="{x}" y="{_HEIGHT - 12}" text-anchor="middle" fill="#57606a">{second} s</text>')
    for share in (0, 0.5, 1):
        y = scale.y(scale.most * share)
        parts.append(f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="#d0d7de"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end" fill="#57606a">{scale.most * share:.0f}</text>'
        )
    return parts


def _curve(name: str, curve: Mapping[int, int], scale: _Scale) -> str:
    points = " ".join(f"{scale.x(second + 0.5)},{scale.y(curve.get(second, 0))}" for second in range(scale.seconds))
    return f'<polyline points="{points}" fill="none" stroke="{_COLOURS[name]}" stroke-width="1.6"/>'


def _legend() -> list[str]:
    parts = []
    x = _LEFT
    for name, colour in _COLOURS.items():
        parts.append(f'<rect x="{x}" y="12" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 19}" y="18" fill="#24292f">{_WORDS[name]}</text>')
        x += 200
    parts.append(f'<rect x="{x}" y="8" width="14" height="12" fill="#cf222e" fill-opacity="0.16"/>')
    parts.append(f'<text x="{x + 19}" y="18" fill="#24292f">something is broken on purpose</text>')
    return parts
