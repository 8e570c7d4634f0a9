"""Hours of the day where somebody lives: whether a moment lies within them, and when the next one does that may. Pure.

Hours are asked of the time that a clock on the wall shows at a moment. So a change of the clocks needs no rule of its
own: an hour that is left out has no moments, and one that comes twice is within its hours both times.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

MINUTES_OF_A_DAY: Final = 24 * 60
#: Two weeks: a window of one day of the week whose only hour the change of the clocks leaves out comes a week later.
_SEARCHED_DAYS: Final = 16
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")


@dataclass(frozen=True, slots=True)
class DailyHours:
    """From minute ``start`` of a day (0 to 1439) until before minute ``end`` (1 to 1440), never the whole day.

    Over midnight where ``end`` comes before ``start``. Raises ``ValueError`` for any others.
    """

    start: int
    end: int

    def __post_init__(self) -> None:
        if not (0 <= self.start < MINUTES_OF_A_DAY and 0 < self.end <= MINUTES_OF_A_DAY):
            raise ValueError("hours are from 00:00 to 24:00")
        if self.end - self.start in {0, MINUTES_OF_A_DAY}:
            raise ValueError("hours are shorter than a day")

    @property
    def is_over_midnight(self) -> bool:
        """Whether they end on the day after the one on which they begin."""
        return self.end < self.start

    def holds(self, minute: int) -> bool:
        """Whether this minute of the day lies within."""
        if self.is_over_midnight:
            return minute >= self.start or minute < self.end
        return self.start <= minute < self.end


@dataclass(frozen=True, slots=True)
class SendWindow:
    """Hours of some days of the week (0: Monday), in which something may be sent. Not over midnight."""

    days: frozenset[int]
    hours: DailyHours


@dataclass(frozen=True, slots=True)
class AllowedHours:
    """When something may be sent to somebody: within one of the windows, where there are any, and never while quiet."""

    quiet: DailyHours | None = None
    windows: tuple[SendWindow, ...] = ()

    def is_quiet(self, local: datetime) -> bool:
        """Whether the clock on the wall shows a time of the quiet hours."""
        return self.quiet is not None and self.quiet.holds(_minute_of(local))

    def allows(self, local: datetime) -> bool:
        """Whether something may be sent when the clock on the wall shows ``local``."""
        if self.is_quiet(local):
            return False
        minute, day = _minute_of(local), local.weekday()
        return not self.windows or any(day in each.days and each.hours.holds(minute) for each in self.windows)

    def first(self, now: datetime, zone: ZoneInfo) -> datetime | None:
        """The first moment from ``now`` on (aware UTC) that is allowed in ``zone``; None: there is none."""
        here = now.astimezone(zone)
        if self.allows(here):
            return now
        edges = {0} | {window.hours.start for window in self.windows}
        if self.quiet is not None:
            edges.add(self.quiet.end)
        # Two days at a time: where the clocks go back over midnight, the end of a day comes after the next one's start.
        found: list[datetime] = []
        for offset in range(-1, _SEARCHED_DAYS):
            of_next_day = [
                moment
                for moment in _beginnings(here.date() + timedelta(days=offset), edges, zone)
                if moment > now and self.allows(moment.astimezone(zone))
            ]
            if found:
                return min(*found, *of_next_day)
            found = of_next_day
        return min(found, default=None)


def _beginnings(day: date, edges: set[int], zone: ZoneInfo) -> Iterator[datetime]:
    """The moments of a day at which something may begin that was not allowed: the edges, each time that the clock shows
    them, and the moment at which the clock changes."""
    midnight = datetime.combine(day, time())
    for edge in edges:
        for fold in (0, 1):
            yield (midnight + timedelta(minutes=edge)).replace(tzinfo=zone, fold=fold).astimezone(UTC)
    start = midnight.replace(tzinfo=zone).astimezone(UTC)
    end = (midnight + timedelta(days=1)).replace(tzinfo=zone, fold=1).astimezone(UTC)
    if _offset(start, zone) != _offset(end, zone):
        yield _change(start, end, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The first second between two moments at which the clock has changed."""
    offset = _offset(before, zone)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _minute_of(local: datetime) -> int:
    return local.hour * 60 + local.minute


def minute_of_day(text: str) -> int | None:
    """The minute of the day that ``22:30`` names, 1440 for ``24:00``; None for anything else."""
    if not _CLOCK.fullmatch(text):
        return None
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def clock_text(minute: int) -> str:
    """The reverse of ``minute_of_day``."""
    return f"{minute // 60:02}:{minute % 60:02}"


@functools.cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def is_time_zone(name: str) -> bool:
    """Whether the IANA database has a zone of this name, such as ``Europe/Zurich``."""
    return name in _zone_names()


@functools.lru_cache(maxsize=600)
def zone_of(name: str) -> ZoneInfo:
    """The zone of a name that ``is_time_zone``; of one that this machine does not know (any more) UTC.

    A message an hour or two beside its time is better than none at all.
    """
    return ZoneInfo(name if is_time_zone(name) else "UTC")
