"""The first page: what is there now, how the last hour went, and whether the servers are up.

Two kinds of figures, kept apart. What is there now is counted among the notifications, and leads to the list of just
those. What became of how many in the last hour comes from kept counters; it counts events, so one that failed, was
retried and delivered is in two of them, and no list shows the same.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Redirect

from wavecom.core import ports
from wavecom.core.account import client_of
from wavecom.core.ports import JobFilter
from wavecom.core.provider_administration import ProviderStatus
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.web.dashboard.chart import ChartStep, stacked_bars
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.formatting import thousands
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.words import STATUSES, Appearance, mode_word
from wavecom.web.health import OK

HOUR = timedelta(hours=1)
STEP = timedelta(minutes=5)

#: What is there now: all that is not done, and what failed and waits for somebody to decide.
NOW = (
    Status.SCHEDULED,
    Status.QUEUED,
    Status.PROCESSING,
    Status.RETRYING,
    Status.SENT,
    Status.UNCONFIRMED,
    Status.FAILED,
)
#: More of one status than this are "1,000+": nobody waits for an exact figure of a backlog.
NOW_LIMIT = 1_000
#: What became of how many in the last hour: the final statuses.
ENDED = (Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.CANCELLED)
#: Accounts that the operator's page tells apart.
_ACCOUNTS_LIMIT = 20
#: What the chart shows: final statuses, so that no notification is counted twice.
GOOD = (Status.DELIVERED,)
BAD = (Status.FAILED, Status.EXPIRED)


#: Name of a check → what people call it, and what it is for.
SERVERS = {
    "mongodb": ("MongoDB", "keeps every notification"),
    "rabbitmq": ("RabbitMQ", "wakes the workers"),
    "redis": ("Redis", "shares limits and breakers"),
}


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """One of the servers and whether it answers."""

    name: str
    role: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class StatusCount:
    """How many notifications are, or became, ``status``; ``link`` leads to them."""

    status: Status
    look: Appearance
    #: None: there was no time to count them.
    value: int | None
    link: str = ""

    @property
    def text(self) -> str:
        """The figure, or that there are more than were counted."""
        if self.value is None:
            return "–"
        return thousands(self.value) if self.value <= NOW_LIMIT or not self.link else f"{thousands(NOW_LIMIT)}+"


@dataclass(frozen=True, slots=True)
class AccountTotals:
    """How the last hour went for one account: ended well, ended badly, and everything else that happened."""

    name: str
    good: int
    bad: int
    other: int
    link: str


@dataclass(frozen=True, slots=True)
class TimeStep:
    """One step of the chart, with its beginning."""

    at: datetime
    one: int
    two: int


def home() -> Redirect:
    """``/`` is the status page."""
    return redirect(url_for("dashboard.status"))


def status() -> str:
    """The whole page."""
    return render_template("dashboard/status.html", **_overview())


def status_live() -> Response:
    """The part of it that changes."""
    return fragment(render_template("dashboard/_status.html", **_overview()))


def _overview() -> dict[str, Any]:
    now = pages().services.clock.now()
    is_test = _mode()
    # Counters are kept by whole minutes: the one that is running counts too.
    before = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    since = before - HOUR
    context: dict[str, Any] = {"since": since, "before": before, "step_minutes": STEP // timedelta(minutes=1)}
    context |= {"providers": _providers(), "servers": _servers(), "is_test": is_test, "now": None, "accounts": []}
    try:
        context["now"] = _there_now(is_test)
        steps = _totals(since, before, is_test)
        if viewer().client is None:
            context["accounts"] = _accounts(since, before)
    except StoreError:
        return context | {"counts": None}
    sums = {each: sum(totals[each] for _, totals in steps) for each in ENDED}
    total = sum(sum(totals.values()) for _, totals in steps) + sum(count.value != 0 for count in context["now"])
    bars = [TimeStep(at, _sum(totals, GOOD), _sum(totals, BAD)) for at, totals in steps]
    return context | {
        "counts": [StatusCount(each, STATUSES[each], value) for each, value in sums.items()],
        "total": total,
        "steps": bars,
        "chart": stacked_bars([ChartStep(bar.one, bar.two) for bar in bars]),
    }


def _servers() -> list[ServerStatus]:
    results = pages().readiness.results()
    return [ServerStatus(*SERVERS.get(name, (name, "")), is_up=result == OK) for name, result in results.items()]


def _providers() -> list[ProviderStatus]:
    """All of them, for the operator: providers are everybody's, and nobody's client's business."""
    return pages().services.providers.statuses() if viewer().client is None else []


def _mode() -> bool | None:
    """For the operator, whether test accounts are shown or live ones; a key has one account, and no choice."""
    return None if viewer().client is not None else request.args.get("mode") == "test"


def _there_now(is_test: bool | None) -> list[StatusCount]:
    query: dict[str, Any] = {} if is_test is None else {"mode": "test" if is_test else "live"}
    found = []
    for each in NOW:
        where = viewer().narrowed(JobFilter(statuses=frozenset({each}), is_test=is_test))
        link = url_for("dashboard.notifications", status=each.value, **query)
        found.append(StatusCount(each, STATUSES[each], pages().services.jobs.count(where, NOW_LIMIT + 1), link))
    return found


def _accounts(since: datetime, before: datetime) -> list[AccountTotals]:
    """Those that had anything in the last hour, the busiest first."""
    found = []
    for name, counts in pages().services.stats.by_account(since, before).items():
        good, bad = _sum(Counter(counts), GOOD), _sum(Counter(counts), BAD)
        link = url_for("dashboard.notifications", client=client_of(name), mode=mode_word(name))
        found.append(AccountTotals(name, good, bad, sum(counts.values()) - good - bad, link))
    found.sort(key=lambda account: (-account.good - account.bad - account.other, account.name))
    return found[:_ACCOUNTS_LIMIT]


def _totals(since: datetime, before: datetime, is_test: bool | None) -> list[tuple[datetime, Counter[Status]]]:
    totals: list[tuple[datetime, Counter[Status]]] = [
        (since + STEP * index, Counter()) for index in range(HOUR // STEP)
    ]
    minutes = pages().services.stats.series(since, before, ports.Interval.MINUTE, viewer().client, is_test=is_test)
    for minute, by_channel in minutes.items():
        for counts in by_channel.values():
            totals[(minute - since) // STEP][1].update(counts)
    return totals


def _sum(totals: Counter[Status], statuses: tuple[Status, ...]) -> int:
    return sum(totals[each] for each in statuses)
