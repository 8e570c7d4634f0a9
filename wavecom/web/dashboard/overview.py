"""The overview for people who run WaveCom: what is late, for whom, since when, whose fault. From counters alone.

The same for everybody, but for the audit's last entries, so it is made once or twice for all open pages of a process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from flask import Response, render_template, request, url_for

from wavecom.core.lanes import Channel
from wavecom.core.measurements import Buckets, Measured, MeasuredKey, Percentiles, added, percentiles
from wavecom.core.overview import LaneOverview, Overview
from wavecom.core.ports import Interval
from wavecom.core.roles import Permission
from wavecom.core.states import Status
from wavecom.core.stats import Counts
from wavecom.errors import StoreError
from wavecom.web.dashboard.chart import ChartStep, LineChart, lines, stacked_bars
from wavecom.web.dashboard.chart_marks import MARKED, marks
from wavecom.web.dashboard.chart_marks import MOST as MOST_MARKS
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.page_stream import stream_of
from wavecom.web.dashboard.words import audit_word

#: How old what all pages share may be.
NOW_SECONDS: Final = 2.0
#: How old the marks in the charts may be.
MARKS_SECONDS: Final = 10.0
_ACTIONS: Final = 8
_BAD: Final = (Status.FAILED, Status.EXPIRED)


@dataclass(frozen=True, slots=True)
class ChartRange:
    """A time that the charts look back over: ``count`` steps, read from counters kept by ``interval``."""

    name: str
    word: str
    step: timedelta
    count: int
    interval: Interval
    #: How old its charts may be.
    seconds: float

    def begin(self, now: datetime) -> datetime:
        """The beginning of the first step; the last one is under way."""
        grain = Interval.DAY if self.step >= timedelta(days=1) else self.interval
        return grain.start_of(now) + grain.length - self.step * self.count


RANGES: Final = {
    each.name: each
    for each in (
        ChartRange("hour", "Hour", timedelta(minutes=5), 12, Interval.MINUTE, 5),
        ChartRange("day", "Day", timedelta(hours=1), 24, Interval.HOUR, 30),
        ChartRange("week", "Week", timedelta(hours=6), 28, Interval.HOUR, 120),
        ChartRange("month", "30 days", timedelta(days=1), 30, Interval.HOUR, 600),
    )
}


@dataclass(frozen=True, slots=True)
class OverviewStep:
    """One step of the charts: what settled in it, and how long it took until a provider had taken it."""

    at: datetime
    delivered: int
    failed: int
    until_taken: Percentiles


@dataclass(frozen=True, slots=True)
class ChannelRate:
    """What entered and left, a second; the links lead to the lists behind the figures."""

    channel: Channel
    accepted: float
    delivered: float
    failed: float
    links: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LaneRow:
    """A lane with the list of what waits in it."""

    overview: LaneOverview
    channel: Channel
    priority: str
    link: str


@dataclass(frozen=True, slots=True)
class AuditDeed:
    """One entry of the audit in a line."""

    at: datetime
    who: str
    word: str
    what: str


def overview() -> str:
    """The whole page."""
    chosen = _range()
    body = _body(chosen, _sees_audit())
    return render_template("dashboard/overview.html", body=body, chosen=chosen, ranges=list(RANGES.values()))


def overview_live() -> Response:
    """The part of it that changes."""
    return fragment(_body(_range(), _sees_audit()))


def overview_stream() -> Response:
    """The same, sent when it changes."""
    chosen, sees_audit = _range(), _sees_audit()
    # Who may see the audit no longer is sent nothing more; his browser asks again and gets the other one.
    permission = Permission.SEE_AUDIT if sees_audit else Permission.SEE_SYSTEM
    return stream_of(f"overview {chosen.name} {permission}", lambda: _body(chosen, sees_audit), permission)


def _range() -> ChartRange:
    return RANGES.get(request.args.get("range", ""), RANGES["hour"])


def _sees_audit() -> bool:
    return viewer().may(Permission.SEE_AUDIT)


def _body(chosen: ChartRange, sees_audit: bool) -> str:
    # Two of each: the audit is not for everybody who may see the rest.
    return pages().snapshots.get(
        ("overview", chosen.name, sees_audit),
        NOW_SECONDS,
        lambda: render_template("dashboard/_overview.html", **_context(chosen, sees_audit=sees_audit)),
    )


def _context(chosen: ChartRange, *, sees_audit: bool) -> dict[str, Any]:
    services = pages().services
    now = services.read_overview()
    context: dict[str, Any] = {
        "now": now,
        "channels": [_rates(channel, now) for channel in Channel] if now.rates else [],
        "lanes": [_lane(lane) for lane in now.lanes],
        "chosen": chosen,
        "failed_link": url_for("dashboard.notifications", status=Status.FAILED.value, mode="live"),
        "steps": [],
        "actions": [],
    }
    try:
        steps = pages().snapshots.get(("charts", chosen.name), chosen.seconds, lambda: _steps(chosen))
        acted = pages().snapshots.get(("marks", chosen.name), MARKS_SECONDS, lambda: _acted(steps[0].at))
        entries = services.audit.newest(limit=_ACTIONS) if sees_audit else []
    except StoreError:
        return context
    return context | {
        "steps": steps,
        "settled": stacked_bars([ChartStep(each.delivered, each.failed) for each in steps]),
        "latency": _latency(steps),
        "marks": marks(acted, steps[0].at, chosen.step, chosen.count),
        "actions": [_deed(entry) for entry in entries],
        "until": steps[-1].at + chosen.step,
    }


def _acted(since: datetime) -> list[dict[str, Any]]:
    """The newest audit entries since then, of each action that is marked in the charts."""
    newest = pages().services.audit.newest
    return [entry for action in sorted(MARKED) for entry in newest(action=action, since=since, limit=MOST_MARKS)]


def _rates(channel: Channel, now: Overview) -> ChannelRate:
    rates = now.rates.get(channel, {})

    def link(status: Status | None) -> str:
        return url_for(
            "dashboard.notifications", type=channel.value, status=None if status is None else status.value, mode="live"
        )

    return ChannelRate(
        channel,
        accepted=now.accepted.get(channel, 0.0),
        delivered=rates.get(Status.DELIVERED, 0.0),
        failed=sum(rates.get(status, 0.0) for status in _BAD),
        links={"accepted": link(None), "delivered": link(Status.DELIVERED), "failed": link(Status.FAILED)},
    )


def _lane(lane: LaneOverview) -> LaneRow:
    channel, _, priority = lane.lane.partition(".")
    link = url_for("dashboard.notifications", type=channel, priority=priority, status=Status.QUEUED.value, mode="live")
    return LaneRow(lane, Channel(channel), priority, link)


def _steps(chosen: ChartRange) -> list[OverviewStep]:
    services = pages().services
    since = chosen.begin(services.clock.now())
    before = since + chosen.step * chosen.count
    counted = services.stats.series(since, before, chosen.interval, is_test=False)
    measured = services.measurements.between(since, before, chosen.interval)
    settled: list[Counter[Status]] = [Counter() for _ in range(chosen.count)]
    taken: list[list[Buckets]] = [[] for _ in range(chosen.count)]
    for at, counts in counted.items():
        settled[(at - since) // chosen.step].update(_of_all_channels(counts))
    for at, histograms in measured.items():
        taken[(at - since) // chosen.step] += _taken(histograms)
    return [
        OverviewStep(
            since + chosen.step * number,
            settled[number][Status.DELIVERED],
            sum(settled[number][status] for status in _BAD),
            percentiles(added(taken[number])),
        )
        for number in range(chosen.count)
    ]


def _of_all_channels(counts: Counts) -> Counter[Status]:
    found: Counter[Status] = Counter()
    for by_status in counts.values():
        found.update(by_status)
    return found


def _taken(histograms: Mapping[MeasuredKey, Buckets]) -> list[Buckets]:
    return [buckets for key, buckets in histograms.items() if key.measured is Measured.TAKEN]


def _latency(steps: list[OverviewStep]) -> LineChart:
    found = [each.until_taken for each in steps]
    return lines([[each.p50 for each in found], [each.p95 for each in found], [each.p99 for each in found]])


def _deed(entry: Mapping[str, Any]) -> AuditDeed:
    what = next((str(entry[name]) for name in ("provider", "user", "client", "viewer") if entry.get(name)), "")
    reason = entry.get("reason") or entry.get("filters", {}).get("reason")
    return AuditDeed(
        entry["startedAt"],
        str(entry.get("operator", "")),
        audit_word(str(entry.get("action", ""))),
        f"{what}: {reason}" if what and reason else what or str(reason or ""),
    )
