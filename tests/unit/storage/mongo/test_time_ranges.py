from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW, later
from wavecom.storage.mongo.time_ranges import TimeRanges

TIMES = st.integers(-(10**9), 10**9).map(later)


def _holds(condition: dict[str, Any], at: datetime) -> bool:
    bounds = condition["at"]
    return bounds.get("$gte", at) <= at and not bounds.get("$lt", at + timedelta(days=1)) <= at


@given(at=TIMES, since=st.none() | TIMES, before=st.none() | TIMES, now=TIMES)
def test_every_time_is_in_one_window_when_it_is_meant_and_in_none_when_not(
    at: datetime, since: datetime | None, before: datetime | None, now: datetime
) -> None:
    is_meant = (since is None or since <= at) and (before is None or at < before)

    matching = [window for window in TimeRanges("at", since, before, now) if _holds(window, at)]

    assert len(matching) == is_meant


@pytest.mark.parametrize("since", [None, later(-90)])
@pytest.mark.parametrize("before", [None, later(-30), later(days=300)])
def test_windows_go_back_from_the_newest_and_are_few(since: datetime | None, before: datetime | None) -> None:
    made = [window["at"] for window in TimeRanges("at", since, before, NOW)]

    starts = [window["$gte"] for window in made if "$gte" in window]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] >= NOW - timedelta(seconds=90)
    assert len(made) <= 11


class _Reading:
    """A clock that moves by what each read takes."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def _lengths(windows: TimeRanges, reading: _Reading, seconds: list[float]) -> list[float]:
    made = []
    for bounds, took in zip(windows, seconds, strict=False):
        made.append(bounds["at"])
        reading.now += took
    ends = [NOW, *(each["$gte"] for each in made if "$gte" in each)]
    return [(end - start).total_seconds() for end, start in itertools.pairwise(ends)]


def test_a_window_that_takes_long_to_read_is_followed_by_one_of_the_same_length() -> None:
    reading = _Reading()
    windows = TimeRanges("at", None, None, NOW, monotonic=reading.monotonic)

    lengths = _lengths(windows, reading, [0.001, 0.001, 0.2, 0.2, 0.001, 0.001])

    assert lengths == [0.25, 2, 16, 16, 16, 128]


def test_a_store_that_is_far_away_is_read_in_as_few_windows_as_any() -> None:
    reading = _Reading()
    windows = TimeRanges("at", None, None, NOW, budget_seconds=0.25, monotonic=reading.monotonic)

    lengths = _lengths(windows, reading, [0.3] * 20)

    assert len(lengths) == 10
    assert windows.stopped_at is None


def test_a_list_that_has_read_too_much_says_from_where_on_it_has_not() -> None:
    reading = _Reading()
    windows = TimeRanges("at", None, None, NOW, budget_seconds=0.25, monotonic=reading.monotonic)

    lengths = _lengths(windows, reading, [0.001, 0.1, 0.1, 0.1, 0.1])

    assert lengths == [0.25, 2, 2, 2]
    assert windows.stopped_at == NOW - timedelta(seconds=6.25)


def test_a_list_within_a_range_ends_with_the_range() -> None:
    windows = TimeRanges("at", later(-1), None, NOW, budget_seconds=0.0)

    assert [bounds["at"] for bounds in windows][-1]["$gte"] == later(-1)
    assert windows.stopped_at is None


@pytest.mark.parametrize("before", [datetime.min.replace(tzinfo=UTC), datetime(1, 3, 1, tzinfo=UTC)])
def test_before_the_first_years_of_our_era_there_is_nothing_and_no_error(before: datetime) -> None:
    made = [bounds["at"] for bounds in TimeRanges("at", None, before, NOW)]

    assert made[0]["$lt"] == before
    assert "$gte" not in made[-1]
