"""How long nothing happened, as the drill measures it."""

from __future__ import annotations

import pytest

from tests.faults.moments import Pause, longest_pause


@pytest.mark.parametrize(
    ("times", "pause"),
    [
        pytest.param([9, 10, 11, 14, 15, 19], Pause(4, 5), id="between two events"),
        pytest.param([8, 13, 15, 17, 19], Pause(5, -2), id="from the last event before the time that is looked at"),
        pytest.param([9, 11, 12], Pause(8, 2), id="to the end, if nothing comes any more"),
        pytest.param([11, 12, 16, 19, 40], Pause(4, 2), id="what comes after the end does not count"),
        pytest.param([1, 2, 9, 12, 14, 16, 18, 19], Pause(3, -1), id="pauses that were over before do not count"),
        pytest.param([], Pause(10, 0), id="all of the time, without an event"),
        pytest.param([16, 9, 19, 11], Pause(5, 1), id="in any order"),
    ],
)
def test_the_longest_pause_is(times: list[float], pause: Pause) -> None:
    assert longest_pause(times, since=10, until=20) == pause
