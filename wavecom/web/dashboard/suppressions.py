"""The suppression list: who is sent nothing more and why; adding to it, and lifting an entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flask import flash, redirect, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from wavecom.core.account import CLIENT_NAME_RULE, account_of, is_client_name
from wavecom.core.actor import OPERATOR
from wavecom.core.lanes import Channel
from wavecom.core.suppressions import Suppression, SuppressionScope, SuppressionSource, SuppressionState
from wavecom.errors import Problem
from wavecom.web.api.field_errors import problems
from wavecom.web.api.schemas.suppression import REASON_LIMIT, SuppressionQuery, SuppressionSchema
from wavecom.web.api.suppressions import encoded, id_in_path
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.field_form import FieldForm
from wavecom.web.dashboard.fields import Field, utc
from wavecom.web.dashboard.words import CHANNELS, SUPPRESSION_SCOPES, SUPPRESSION_SOURCES, SUPPRESSION_STATES

PAGE_SIZE = 50
_ANY = ("", "Any")
_QUERY = SuppressionQuery()
_TYPES = tuple((channel.value, CHANNELS[channel]) for channel in Channel)

_FILTERS = (
    Field(name="recipient", label="Recipient, in full", pointer="/recipient"),
    Field(name="type", label="Type", pointer="/type", choices=(_ANY, *_TYPES)),
    Field(
        name="source",
        label="Source",
        pointer="/source",
        choices=(_ANY, *((source.value, SUPPRESSION_SOURCES[source]) for source in SuppressionSource)),
    ),
    Field(
        name="state",
        label="State",
        pointer="/state",
        choices=(_ANY, *((state.value, SUPPRESSION_STATES[state].word) for state in SuppressionState)),
    ),
)
_CLIENT = Field(name="client", label="Client", pointer="/client", is_required=True)
_MODE = Field(name="mode", label="Mode", pointer="/mode", choices=(("live", "Live"), ("test", "Test")))
_NEW = (
    Field(name="type", label="Type", pointer="/type", choices=_TYPES),
    Field(
        name="recipient",
        label="Recipient",
        pointer="/recipient",
        hint="An e-mail address, a phone number with its country code, or a push token.",
        is_required=True,
    ),
    Field(
        name="scope",
        label="Which messages",
        pointer="/scope",
        choices=tuple((scope.value, SUPPRESSION_SCOPES[scope]) for scope in SuppressionScope),
    ),
    Field(
        name="reason",
        label="Reason",
        pointer="/reason",
        hint="In a few words, without personal data.",
        is_marked_optional=True,
    ),
    Field(
        name="expiresAt",
        label="Until (UTC)",
        pointer="/expiresAt",
        kind="datetime-local",
        read=utc,
        is_marked_optional=True,
    ),
)


def suppressions() -> str | tuple[str, int]:
    """A page of the list, narrowed by the filters in the query."""
    is_operator = viewer().client is None
    form = FieldForm.filled((*_FILTERS, replace(_CLIENT, is_required=False)) if is_operator else _FILTERS, request.args)
    query = {name: [value] for name, value in form.read(_FILTERS).items()}
    cursor = request.args.get("cursor")
    try:
        wanted = _QUERY.load(query | {"limit": [str(PAGE_SIZE)]} | ({"cursor": [cursor]} if cursor else {}))
    except ValidationError as error:
        return _list(form.refused(problems(error)), None), 422
    # As it is written (acme), or as entries have it (acme:test).
    account = viewer().client or form.typed().get("client")
    page = pages().services.suppressions.search(wanted.for_account(account), PAGE_SIZE, wanted.after)
    older = None if page.next is None else url_for("dashboard.suppressions", **form.typed(), cursor=encoded(page.next))
    newest = url_for("dashboard.suppressions", **form.typed()) if cursor else None
    return _list(form, page.entries, older, newest)


def suppression(suppression_id: str) -> str:
    """One entry with its history, and a form that lifts it."""
    return _entry(_visible(suppression_id))


def add_suppression() -> Response | str | tuple[str, int]:
    """A form for a new entry, and what it asks for."""
    fields = (_CLIENT, _MODE, *_NEW) if viewer().client is None else _NEW
    form = FieldForm.filled(fields, request.form)
    if request.method == "GET":
        return render_template("dashboard/suppression_new.html", form=form)
    services = pages().services
    schema = SuppressionSchema(services.clock.now)
    wrong: list[Problem] = []
    typed = form.typed()
    account = viewer().client or ""
    if viewer().client is None:
        client = typed.get("client", "")
        account = account_of(client, typed.get("mode") != "test")
        if client != OPERATOR and not is_client_name(client):
            wrong.append(Problem("/client", f"must be the name of a client: {CLIENT_NAME_RULE}", "invalid"))
    try:
        wanted = schema.load(form.read(_NEW))
    except ValidationError as error:
        wrong += problems(error)
    if wrong:
        return render_template("dashboard/suppression_new.html", form=form.refused(wrong)), 422
    [result] = services.suppressions.add([schema.new(wanted, account, viewer().actor.name)])
    flash("In force within a second." if result.is_new else "It was on the list before.", "good")
    return redirect(url_for("dashboard.suppression", suppression_id=result.suppression_id), 303)


def lift_suppression(suppression_id: str) -> Response | tuple[str, int]:
    """Lift an entry, and say why."""
    entry = _visible(suppression_id)
    reason = request.form.get("reason", "").strip()
    if not reason or len(reason) > REASON_LIMIT:
        return _entry(entry, f"Say why, in at most {REASON_LIMIT} characters."), 422
    pages().services.suppressions.lift(entry.suppression_id, viewer().client, by=viewer().actor.name, reason=reason)
    flash("Lifted. The recipient may be sent to again.", "good")
    return redirect(url_for("dashboard.suppression", suppression_id=entry.suppression_id), 303)


def _visible(suppression_id: str) -> Suppression:
    return pages().services.suppressions.get(id_in_path(suppression_id), viewer().client)


def _list(
    form: FieldForm, entries: Sequence[Suppression] | None, older: str | None = None, newest: str | None = None
) -> str:
    return render_template(
        "dashboard/suppressions.html",
        form=form,
        entries=entries,
        older=older,
        newest=newest,
        now=pages().services.clock.now(),
    )


def _entry(entry: Suppression, error: str = "") -> str:
    state = entry.state(pages().services.clock.now())
    return render_template(
        "dashboard/suppression.html",
        entry=entry,
        state=state,
        may_lift=viewer().may_manage and state is SuppressionState.ACTIVE,
        error=error,
        typed=request.form,
        reason_limit=REASON_LIMIT,
    )
