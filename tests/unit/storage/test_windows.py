from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW, later
from wavecom.storage.mongo.windows import windows

TIMES = st.integers(-(10**9), 10**9).map(later)


def _holds(condition: dict[str, Any], at: datetime) -> bool:
    bounds = condition["at"]
    return bounds.get("$gte", at) <= at and not bounds.get("$lt", at + timedelta(days=1)) <= at


@given(at=TIMES, since=st.none() | TIMES, before=st.none() | TIMES, now=TIMES)
def test_every_time_is_in_one_window_when_it_is_meant_and_in_none_when_not(
    at: datetime, since: datetime | None, before: datetime | None, now: datetime
) -> None:
    is_meant = (since is None or since <= at) and (before is None or at < before)

    matching = [window for window in windows("at", since, before, now) if _holds(window, at)]

    assert len(matching) == is_meant


@pytest.mark.parametrize("since", [None, later(-90)])
@pytest.mark.parametrize("before", [None, later(-30), later(days=300)])
def test_windows_go_back_from_the_newest_and_are_few(since: datetime | None, before: datetime | None) -> None:
    made = [window["at"] for window in windows("at", since, before, NOW)]

    starts = [window["$gte"] for window in made if "$gte" in window]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] >= NOW - timedelta(seconds=90)
    assert len(made) <= 9


@pytest.mark.parametrize("before", [datetime.min.replace(tzinfo=UTC), datetime(4, 1, 1, tzinfo=UTC)])
def test_before_the_first_years_of_our_era_there_is_nothing_and_no_error(before: datetime) -> None:
    made = [window["at"] for window in windows("at", None, before, NOW)]

    assert made[0]["$lt"] == before
    assert "$gte" not in made[-1]
