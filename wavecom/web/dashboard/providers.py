"""Providers: how each stands, and levers that tell what follows before it is done. All is audited, with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.core.consequences import Consequence
from wavecom.core.measurements import Buckets, MeasuredKey
from wavecom.core.overview import rate_window
from wavecom.core.ports import Interval
from wavecom.core.provider_administration import LONGEST_PAUSE, ProviderChange, ProviderView
from wavecom.core.provider_figures import (
    RECEIPTS_WINDOW,
    CallFigures,
    ReceiptFigures,
    calls_by_provider,
    receipts_by_provider,
)
from wavecom.errors import InvalidRequestError, ProviderNotFoundError, UnavailableError
from wavecom.web.api.schemas.action import REASON_LIMIT
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.fields import whole_number_within

#: How old the figures may be that all open pages share.
_SECONDS: Final = 2.0
_MOST_WEIGHT: Final = 1000
_USUAL_MINUTES: Final = 30


@dataclass(frozen=True, slots=True)
class ProviderLever:
    """Something that can be done to a provider. ``says``: what it does, for people."""

    name: str
    word: str
    says: str
    done: str


LEVERS: Final = {
    each.name: each
    for each in (
        ProviderLever(
            "pause",
            "Pause",
            "Nobody calls it for so long: its breaker is held open by hand. Calls that are under way end. "
            "Then it is called again, slowly at first.",
            "is paused, in all workers within a second.",
        ),
        ProviderLever(
            "drain",
            "Drain",
            "It gets no messages while the others of its step can be called, and stays as the last resort.",
            "is drained: its weight is 0.",
        ),
        ProviderLever(
            "weight",
            "Change weight",
            "Its share of each step that it stands in with others. Empty: as the providers file says.",
            "has another weight, in all workers within a second.",
        ),
        ProviderLever(
            "resume",
            "Resume",
            "Ends a pause, closes the breaker and forgets how often it opened. Calls begin slowly.",
            "may be called again, slowly at first.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """One provider with its figures; None where nothing was measured."""

    view: ProviderView
    calls: CallFigures
    receipts: ReceiptFigures | None
    limit: float | None
    file_weights: tuple[float, ...]

    @property
    def headroom(self) -> float | None:
        """Calls a second that its limit leaves; None: it has no limit."""
        return None if self.limit is None else max(0.0, self.limit - self.calls.rate)


@dataclass(frozen=True, slots=True)
class LeverForm:
    """What was typed into the form of a lever, and what is wrong with it."""

    minutes: str
    weight: str
    reason: str
    problem: str = ""


def providers() -> str:
    """All of them, in the order of the providers file."""
    services = pages().services
    calls, receipts = _calls(), _receipts()
    rows = [
        ProviderRow(
            view,
            calls.get(view.name, CallFigures()),
            receipts.get(view.name),
            services.providers.limit_of(view.name),
            services.providers.file_weights(view.name),
        )
        for view in services.providers.all()
    ]
    return render_template(
        "dashboard/providers.html", rows=rows, levers=list(LEVERS.values()), now=services.clock.now()
    )


def provider_lever(name: str, lever: str) -> Response | str | tuple[str, int]:
    """Say what follows, ask for a reason, then do it."""
    wanted = LEVERS.get(lever) or abort(404)
    typed = LeverForm(
        request.values.get("minutes", str(_USUAL_MINUTES)).strip(),
        request.values.get("weight", "").strip(),
        request.values.get("reason", "").strip(),
    )
    change, problem = _change(wanted, typed)
    try:
        if change is None:
            return _form(name, wanted, replace(typed, problem=problem), None)
        if request.method == "GET":
            return _form(name, wanted, typed, change, 200)
        if not typed.reason or len(typed.reason) > REASON_LIMIT or not typed.reason.isprintable():
            problem = f"Say why, in 1 to {REASON_LIMIT} characters on one line."
            return _form(name, wanted, replace(typed, problem=problem), change)
        pages().services.providers.change(name, change, actor=viewer().actor.name)
    except ProviderNotFoundError:
        abort(404)
    except InvalidRequestError as error:
        return _form(name, wanted, replace(typed, problem=f"It {error.problems[0].message}."), change)
    flash(f"{name} {wanted.done}", "good")
    return redirect(url_for("dashboard.providers"), 303)


def _change(lever: ProviderLever, typed: LeverForm) -> tuple[ProviderChange | None, str]:
    """What the form asks for, or what is wrong with it."""
    reason = typed.reason
    match lever.name:
        case "pause":
            longest = LONGEST_PAUSE // timedelta(minutes=1)
            minutes = whole_number_within(typed.minutes, 1, longest)
            if minutes is None:
                return None, f"Minutes are a whole number from 1 to {longest}."
            until = pages().services.clock.now() + timedelta(minutes=minutes)
            return ProviderChange(reason=reason, sets_pause=True, paused_until=until), ""
        case "resume":
            return ProviderChange(reason=reason, sets_pause=True), ""
        case "drain":
            return ProviderChange(reason=reason, sets_weight=True, weight=0), ""
        case _:
            if not typed.weight:
                return ProviderChange(reason=reason, sets_weight=True), ""
            weight = whole_number_within(typed.weight, 0, _MOST_WEIGHT)
            if weight is None:
                return None, f"A weight is a whole number from 0 to {_MOST_WEIGHT}, or empty."
            return ProviderChange(reason=reason, sets_weight=True, weight=weight), ""


def _form(
    name: str, lever: ProviderLever, typed: LeverForm, change: ProviderChange | None, status: int = 422
) -> str | tuple[str, int]:
    services = pages().services
    view = next((each for each in services.providers.all() if each.name == name), None) or abort(404)
    page = render_template(
        "dashboard/provider_lever.html",
        view=view,
        lever=lever,
        typed=typed,
        reason_limit=REASON_LIMIT,
        calls_now=_calls().get(name, CallFigures()).rate,
        file_weights=services.providers.file_weights(name),
        consequences=_consequences(name, lever, change),
    )
    return page, status


def _consequences(name: str, lever: ProviderLever, change: ProviderChange | None) -> list[Consequence] | None:
    """What follows; None where that can't be told."""
    if change is None or lever.name == "resume":
        return None
    weight = change.weight
    if change.sets_weight and weight is None:
        weights = pages().services.providers.file_weights(name)
        if not weights:
            return None
        weight = weights[0]
    rates = {provider: figures.rate for provider, figures in _calls().items()}
    return pages().services.providers.preview(name, weight, rates)


def _calls() -> Mapping[str, CallFigures]:
    """Of the last one to two minutes."""

    def read() -> Mapping[str, CallFigures]:
        services = pages().services
        now = services.clock.now()
        since, before = rate_window(now)
        measured: Mapping[Any, Mapping[MeasuredKey, Buckets]] = services.measurements.between(
            since, before, Interval.MINUTE
        )
        return calls_by_provider(measured, (now - since).total_seconds())

    return pages().snapshots.get("provider calls", _SECONDS, read)


def _receipts() -> Mapping[str, ReceiptFigures]:
    """Empty while Redis, which counts them, does not answer."""

    def read() -> Mapping[str, ReceiptFigures]:
        services = pages().services
        now = services.clock.now()
        try:
            return receipts_by_provider(services.receipt_counts.between(now - RECEIPTS_WINDOW, now))
        except UnavailableError:
            return {}

    return pages().snapshots.get("provider receipts", _SECONDS, read)
