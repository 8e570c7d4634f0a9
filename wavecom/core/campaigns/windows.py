"""Send windows of campaigns: the hours of which days, by the clocks of one time zone, in which rows may be sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from wavecom.core.local_hours import AllowedHours, SendWindow, zone_of


@dataclass(frozen=True, slots=True)
class CampaignWindow:
    """A window, and the name of the zone whose clocks it goes by (``core/local_hours`` has the rules)."""

    window: SendWindow
    zone_name: str

    @property
    def zone(self) -> ZoneInfo:
        """The zone."""
        return zone_of(self.zone_name)

    def is_open(self, now: datetime) -> bool:
        """Whether rows may be sent ``now`` (aware UTC)."""
        return self._hours.allows(now.astimezone(self.zone))

    def opens_at(self, now: datetime) -> datetime | None:
        """When rows may be sent next, ``now`` while it is open; None: never."""
        return self._hours.first(now, self.zone)

    def open_seconds(self, now: datetime, until: datetime) -> float:
        """For about how long it is open between two moments: to the hour by which clocks change, if they do then."""
        zone = self.zone
        day = now.astimezone(zone).date()
        last = until.astimezone(zone).date()
        total = 0.0
        while day <= last:
            if day.weekday() in self.window.days:
                midnight = datetime.combine(day, datetime.min.time(), zone)
                begin = (midnight + timedelta(minutes=self.window.hours.start)).astimezone(UTC)
                end = (midnight + timedelta(minutes=self.window.hours.end)).astimezone(UTC)
                total += max(0.0, (min(end, until) - max(begin, now)).total_seconds())
            day += timedelta(days=1)
        return total

    @property
    def _hours(self) -> AllowedHours:
        return AllowedHours(windows=(self.window,))
