"""Dead letters: notifications that failed for good and wait for somebody to decide; by reason, provider and hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flask import render_template, request

from wavecom.core.audit import FailureReason
from wavecom.core.dead_letters import DeadLetterFilter
from wavecom.core.lanes import Channel
from wavecom.core.ports import Interval
from wavecom.core.states import Status
from wavecom.web.dashboard.chart import ChartStep, stacked_bars
from wavecom.web.dashboard.context import pages
from wavecom.web.dashboard.field_form import FieldForm
from wavecom.web.dashboard.fields import Field
from wavecom.web.dashboard.words import CHANNELS, code_explanation

_HOURS: Final = 24
#: How old the chart may be that all pages share.
_SECONDS: Final = 30.0
FIELDS: Final = (
    Field(name="errorCode", label="Error code", pointer="/errorCode"),
    Field(name="provider", label="Provider", pointer="/provider"),
    Field(
        name="type",
        label="Type",
        pointer="/type",
        choices=(("", "Any"), *((channel.value, CHANNELS[channel]) for channel in Channel)),
    ),
    Field(name="client", label="Client", pointer="/client", hint="acme, or acme:test"),
    Field(name="failedSince", label="Failed from (UTC)", pointer="/failedSince", kind="datetime-local"),
    Field(name="failedBefore", label="Failed before (UTC)", pointer="/failedBefore", kind="datetime-local"),
)


@dataclass(frozen=True, slots=True)
class ReasonGroup:
    """Dead letters that have their reason in common. ``query``: the filter that finds just these."""

    code: str
    explanation: str
    provider: str
    count: int
    query: Mapping[str, str]


def dead_letters() -> str:
    """How many there are, by reason and provider, and what can be done with those of a filter."""
    form = form_of(request.args)
    tally = _tally(filter_of(form))
    groups = [_group(reason, count, form) for reason, count in tally.items()]
    groups.sort(key=lambda group: (-group.count, group.code, group.provider))
    steps = pages().snapshots.get("failed by hour", _SECONDS, _failed_by_hour)
    return render_template(
        "dashboard/dead_letters.html",
        form=form,
        groups=groups,
        total=sum(group.count for group in groups),
        chart=stacked_bars([ChartStep(0, count) for _, count in steps]),
        since=steps[0][0],
        before=steps[-1][0] + timedelta(hours=1),
        typed=form.typed(),
    )


def _tally(where: DeadLetterFilter) -> Mapping[FailureReason, int]:
    """The count of each reason, some seconds old: during an incident there are many, and many look."""
    known = pages().tallies.get(repr(where))
    if known is None:
        known = pages().services.dead_letters.repository.tally(where)
        pages().tallies.put(repr(where), known)
    return known


def form_of(typed: Mapping[str, str]) -> FieldForm:
    """The filter's form, filled; a type that there is not is none."""
    known = {name: value for name, value in typed.items() if name != "type" or value in set(Channel)}
    return FieldForm.filled(FIELDS, known)


def filter_of(form: FieldForm) -> DeadLetterFilter:
    """What the form asks for."""
    typed: dict[str, Any] = form.typed()
    return DeadLetterFilter(
        error_code=typed.get("errorCode"),
        provider=typed.get("provider"),
        type=Channel(typed["type"]) if "type" in typed else None,
        client=typed.get("client"),
        failed_since=_moment(typed.get("failedSince")),
        failed_before=_moment(typed.get("failedBefore")),
    )


def _moment(text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        return None


def _group(reason: FailureReason, count: int, form: FieldForm) -> ReasonGroup:
    own = {"errorCode": reason.code} | ({"provider": reason.provider} if reason.provider else {})
    return ReasonGroup(reason.code, code_explanation(reason.code), reason.provider or "", count, form.typed() | own)


def _failed_by_hour() -> list[tuple[datetime, int]]:
    """From counters: how many live notifications failed in each of the last hours."""
    services = pages().services
    since = Interval.HOUR.start_of(services.clock.now()) - timedelta(hours=_HOURS - 1)
    before = since + timedelta(hours=_HOURS)
    series = services.stats.series(since, before, Interval.HOUR, is_test=False)
    hours = [since + timedelta(hours=number) for number in range(_HOURS)]
    return [(hour, sum(counts.get(Status.FAILED, 0) for counts in series.get(hour, {}).values())) for hour in hours]
