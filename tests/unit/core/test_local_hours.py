"""Hours where somebody lives: over midnight, and in the nights in which the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.recipients import hours
from wavecom.core.local_hours import (
    AllowedHours,
    DailyHours,
    SendWindow,
    clock_text,
    is_time_zone,
    minute_of_day,
    zone_of,
)

ZURICH = "Europe/Zurich"


@pytest.mark.parametrize(
    ("text", "minute"),
    [("00:00", 0), ("07:30", 450), ("23:59", 1439), ("24:00", 1440), ("24:01", None), ("7:30", None), ("", None)],
)
def test_a_time_of_the_day_is_read_as_minutes(text: str, minute: int | None) -> None:
    assert minute_of_day(text) == minute
    assert minute is None or clock_text(minute) == text


@pytest.mark.parametrize(("start", "end"), [(0, 1440), (480, 480), (-1, 5), (1440, 5), (5, 0), (5, 1441)])
def test_hours_are_less_than_a_day_and_within_one(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="hours are"):
        DailyHours(start, end)


def test_hours_over_midnight_hold_both_ends_of_the_day() -> None:
    night = hours("22:00", "07:00")

    assert [night.holds(each) for each in (1319, 1320, 1439, 0, 419, 420)] == [False, True, True, True, True, False]


@pytest.mark.parametrize(
    ("zone", "quiet", "now", "first"),
    [
        # 02:30 does not exist: the first moment after the quiet hours is that at which the clocks go from 02 to 03.
        (ZURICH, ("22:00", "02:30"), "2026-03-29T00:59:00", "2026-03-29T01:00:00"),
        # 02:30 comes twice, and so do the quiet minutes before it.
        (ZURICH, ("22:00", "02:30"), "2026-10-25T00:29:00", "2026-10-25T00:30:00"),
        (ZURICH, ("22:00", "02:30"), "2026-10-25T01:00:00", "2026-10-25T01:30:00"),
        # The clocks change at midnight: 00:30 does not exist.
        ("America/Santiago", ("22:00", "00:30"), "2026-09-06T03:59:00", "2026-09-06T04:00:00"),
        # At midnight it is 23:00 again.
        ("Africa/Cairo", ("12:00", "23:30"), "2026-10-29T21:00:00", "2026-10-29T21:30:00"),
        # By half an hour.
        ("Australia/Lord_Howe", ("22:00", "01:45"), "2026-04-04T15:00:00", "2026-04-04T15:15:00"),
    ],
)
def test_quiet_hours_that_end_while_the_clocks_change(zone: str, quiet: tuple[str, str], now: str, first: str) -> None:
    allowed = AllowedHours(hours(*quiet))

    assert allowed.first(_utc(now), ZoneInfo(zone)) == _utc(first)


def test_a_window_whose_only_hour_is_left_out_opens_a_week_later() -> None:
    sundays = AllowedHours(windows=(SendWindow(frozenset({6}), hours("02:00", "03:00")),))

    assert sundays.first(_utc("2026-03-28T12:00:00"), ZoneInfo(ZURICH)) == _utc("2026-04-05T00:00:00")


def test_a_window_within_the_quiet_hours_never_opens() -> None:
    never = AllowedHours(hours("08:00", "20:00"), (SendWindow(frozenset({0, 1}), hours("09:00", "18:00")),))

    assert never.first(_utc("2026-03-28T12:00:00"), ZoneInfo(ZURICH)) is None


def test_what_is_allowed_now_waits_for_no_full_minute() -> None:
    now = _utc("2026-03-28T12:00:00").replace(second=17, microsecond=5)

    assert AllowedHours(hours("22:00", "07:00")).first(now, ZoneInfo(ZURICH)) == now


def test_a_zone_that_nobody_knows_is_utc() -> None:
    assert not is_time_zone("Europe/Atlantis")
    assert not is_time_zone("../../etc/passwd")
    assert is_time_zone("Asia/Kathmandu")
    assert zone_of("Europe/Atlantis") == ZoneInfo("UTC")


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_wait_until_tomorrow_takes_no_look_at_two_weeks() -> None:
    class CountingZone(ZoneInfo):
        looks = 0

        def utcoffset(self, moment: datetime | None) -> timedelta | None:
            CountingZone.looks += 1
            return super().utcoffset(moment)

    allowed = AllowedHours(hours("21:00", "08:00"))
    found = allowed.first(datetime(2026, 3, 14, 21, 30, tzinfo=UTC), CountingZone.no_cache(ZURICH))

    assert found == datetime(2026, 3, 15, 7, tzinfo=UTC)
    assert CountingZone.looks < 60
