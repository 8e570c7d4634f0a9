from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.web.dashboard.chart import ChartStep, stacked_bars

STEPS = st.lists(st.builds(ChartStep, st.integers(0, 10**9), st.integers(0, 10**9)), max_size=60)


@given(STEPS)
def test_every_bar_is_inside_the_chart_and_to_scale(steps: list[ChartStep]) -> None:
    chart = stacked_bars(steps)

    assert chart.top % 2 == 0
    assert all(step.one + step.two <= chart.top for step in steps)
    for bar in chart.bars:
        assert 0 <= bar.x < bar.x + bar.width <= chart.width
        assert -0.02 <= bar.y <= bar.y + bar.height <= chart.height + 0.02


def test_the_second_series_stands_on_the_first() -> None:
    one, two = stacked_bars([ChartStep(6, 4)]).bars

    assert (one.y, one.height) == (40, 60)
    assert (two.y, two.height) == (0, 40)


def test_nothing_draws_nothing() -> None:
    assert stacked_bars([ChartStep(0, 0), ChartStep(0, 0)]).bars == ()
    assert stacked_bars([]).bars == ()


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 2), (1, 2), (2, 2), (3, 4), (9, 10), (11, 12), (101, 120), (233, 240), (81_000, 100_000)]
)
def test_the_scale_ends_at_a_round_even_figure(highest: int, top: int) -> None:
    assert stacked_bars([ChartStep(highest, 0)]).top == top
