"""The first page: how the last hour went and whether the servers are up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Response, redirect, render_template, url_for
from werkzeug.wrappers import Response as Redirect

from wavecom.core import ports
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.web.dashboard.chart import Step, stacked_bars
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.words import STATUSES, Look
from wavecom.web.health import OK

HOUR = timedelta(hours=1)
STEP = timedelta(minutes=5)

#: What is counted. A claim is not: processing lasts milliseconds, and counting it would cost every delivery.
COUNTED = tuple(status for status in STATUSES if status is not Status.PROCESSING)
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
class Server:
    """One of the servers and whether it answers."""

    name: str
    role: str
    is_up: bool


@dataclass(frozen=True, slots=True)
class Count:
    """How many notifications became ``status``."""

    status: Status
    look: Look
    value: int


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
    # Counters are kept by whole minutes: the one that is running counts too.
    before = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    since = before - HOUR
    context: dict[str, Any] = {"since": since, "before": before, "step_minutes": STEP // timedelta(minutes=1)}
    context["servers"] = _servers()
    try:
        steps = _totals(since, before)
    except StoreError:
        return context | {"counts": None}
    sums = {each: sum(totals[each] for _, totals in steps) for each in COUNTED}
    bars = [TimeStep(at, _sum(totals, GOOD), _sum(totals, BAD)) for at, totals in steps]
    return context | {
        "counts": [Count(each, STATUSES[each], value) for each, value in sums.items()],
        "total": sum(sums.values()),
        "steps": bars,
        "chart": stacked_bars([Step(bar.one, bar.two) for bar in bars]),
    }


def _servers() -> list[Server]:
    results = pages().readiness.results()
    return [Server(*SERVERS.get(name, (name, "")), is_up=result == OK) for name, result in results.items()]


def _totals(since: datetime, before: datetime) -> list[tuple[datetime, Counter[Status]]]:
    totals: list[tuple[datetime, Counter[Status]]] = [
        (since + STEP * index, Counter()) for index in range(HOUR // STEP)
    ]
    minutes = pages().services.stats.series(since, before, ports.Step.MINUTE, viewer().client)
    for minute, by_channel in minutes.items():
        for counts in by_channel.values():
            totals[(minute - since) // STEP][1].update(counts)
    return totals


def _sum(totals: Counter[Status], statuses: tuple[Status, ...]) -> int:
    return sum(totals[each] for each in statuses)
