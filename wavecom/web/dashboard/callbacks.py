"""Callbacks: a client's endpoints that are sent events, how each stands, and what came of each try."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from wavecom.core.account import CLIENT_NAME_RULE, account_of, is_client_name
from wavecom.core.callback_administration import NewCallback
from wavecom.core.callbacks import Callback, CallbackState
from wavecom.core.client_events import EVENT_TYPES, PROMISED
from wavecom.core.lanes import Channel
from wavecom.core.outbound_addresses import parse
from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.callbacks import id_in_path
from wavecom.web.api.field_errors import problems
from wavecom.web.api.schemas.callback import CallbackChangeSchema, NewCallbackSchema, statuses
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.field_form import FieldForm
from wavecom.web.dashboard.fields import Field, whole_number_within
from wavecom.web.dashboard.words import CHANNELS

SHOWN_DELIVERIES = 50
#: How far back what was missed can be sent again, at the farthest as long as events are there.
MISSED_HOURS = (1, 24, 72, PROMISED.days * 24)

_CLIENT = Field(name="client", label="Client", pointer="/client", is_required=True)
_MODE = Field(name="mode", label="Mode", pointer="/mode", choices=(("live", "Live"), ("test", "Test")))
_NEW = (
    Field(
        name="url",
        label="Address of your endpoint",
        pointer="/url",
        hint="https, at a public address.",
        is_required=True,
    ),
    Field(name="name", label="Name", pointer="/name", is_marked_optional=True),
    Field(
        name="event",
        label="Events",
        pointer="/events",
        hint="None chosen means all.",
        choices=tuple((each, each) for each in EVENT_TYPES),
        takes_several=True,
    ),
    Field(
        name="channel",
        label="Channels",
        pointer="/channels",
        hint="None chosen means all.",
        choices=tuple((channel.value, CHANNELS[channel]) for channel in Channel),
        takes_several=True,
    ),
)


def callbacks() -> str:
    """The callbacks that the viewer may see."""
    found = pages().services.callbacks.all(viewer().client)
    return render_template("dashboard/callbacks.html", callbacks=found)


def add_callback() -> str | tuple[str, int]:
    """A form for a new callback, and what it asks for; the answer shows the secret, once."""
    fields = (_CLIENT, _MODE, *_NEW) if viewer().client is None else _NEW
    form = FieldForm.filled(fields, request.form)
    if request.method == "GET":
        return render_template("dashboard/callback_new.html", form=form)
    services = pages().services
    typed = form.typed()
    wrong: list[Problem] = []
    account = viewer().client or ""
    if viewer().client is None:
        account = account_of(typed.get("client", ""), typed.get("mode") != "test")
        if not is_client_name(typed.get("client", "")):
            wrong.append(Problem("/client", f"must be the name of a client: {CLIENT_NAME_RULE}", "invalid"))
    try:
        loaded = NewCallbackSchema(services.settings.callback_private_hosts).load(_wanted(form))
    except ValidationError as error:
        wrong += problems(error)
    if wrong:
        return render_template("dashboard/callback_new.html", form=form.refused(wrong)), 422
    try:
        created = services.callbacks.create(
            viewer().actor.name,
            NewCallback(
                account=account,
                url=loaded["url"],
                name=loaded["name"],
                statuses=statuses(loaded["events"]),
                channels=frozenset(loaded["channels"]),
            ),
        )
    except InvalidRequestError as error:
        return render_template("dashboard/callback_new.html", form=form.refused(error.problems)), 422
    return _shown(created, secret=created.newest_secret)


def edit_callback(callback_id: str) -> Response | str | tuple[str, int]:
    """A form for the address, the name and the filters of a callback, and the change."""
    services = pages().services
    known = services.callbacks.get(id_in_path(callback_id), viewer().client)
    fields = _NEW
    if not viewer().reads_messages:
        # The rest of an address may hold a secret: who may not read it can write another.
        hint = f"https, at a public address. Left empty it stays as it is, at {parse(known.url).origin}."
        fields = (replace(_NEW[0], hint=hint, is_required=False, is_marked_optional=True), *_NEW[1:])
    if request.method == "GET":
        return _edited(known, FieldForm.filled(fields, _typed(known, with_url=viewer().reads_messages)))
    form = FieldForm.filled(fields, request.form)
    wanted = _wanted(form)
    wrong: list[Problem] = []
    if "url" not in wanted and viewer().reads_messages:
        wrong.append(Problem("/url", "is missing", "required"))
    try:
        loaded = CallbackChangeSchema(services.settings.callback_private_hosts).load(wanted)
    except ValidationError as error:
        wrong += problems(error)
    if wrong:
        return _edited(known, form.refused(wrong)), 422
    # Who empties the name takes it away.
    loaded.setdefault("name", "")
    found = CallbackChangeSchema.changes(loaded)
    changes = {name: value for name, value in found.items() if value != getattr(known, name)}
    if changes:
        try:
            services.callbacks.change(viewer().actor.name, known.callback_id, viewer().client, changes)
        except InvalidRequestError as error:
            return _edited(known, form.refused(error.problems)), 422
        flash("Changed. What is sent from now on goes by it.", "good")
    return redirect(url_for("dashboard.callback", callback_id=known.callback_id), 303)


def _wanted(form: FieldForm) -> dict[str, Any]:
    """What a form of ``_NEW`` asks for, as the API would have it."""
    typed = form.typed()
    wanted: dict[str, Any] = {name: typed[name] for name in ("url", "name") if name in typed}
    return wanted | {f"{name}s": form.chosen(name) for name in ("event", "channel")}


def _typed(known: Callback, *, with_url: bool) -> dict[str, str]:
    """A callback as it would be typed into a form of ``_NEW``."""
    typed = {"name": known.name, "channel": ",".join(sorted(each.value for each in known.channels))}
    typed["event"] = ",".join(name for name, status in EVENT_TYPES.items() if status in known.statuses)
    return typed | ({"url": known.url} if with_url else {})


def _edited(known: Callback, form: FieldForm) -> str:
    return render_template("dashboard/callback_edit.html", callback=replace(known, secrets=()), form=form)


def callback(callback_id: str) -> str:
    """One callback: how it stands, what was sent, and what can be done."""
    return _shown(pages().services.callbacks.get(id_in_path(callback_id), viewer().client))


def change_callback(callback_id: str) -> Response | str | tuple[str, int]:
    """Pause it or let it go on, test it, give it a new secret, send an event again, or delete it."""
    administration, client, actor = pages().services.callbacks, viewer().client, viewer().actor.name
    known = administration.get(id_in_path(callback_id), client)
    match request.form.get("action"):
        case "pause":
            administration.change(actor, known.callback_id, client, {"state": CallbackState.PAUSED})
            flash("Paused. Events are kept for 7 days, and sent when it goes on.", "good")
        case "activate":
            administration.change(actor, known.callback_id, client, {"state": CallbackState.ACTIVE})
            flash("Active. What waits is sent now.", "good")
        case "test":
            administration.test(known.callback_id, client)
            flash("A test event is on its way. What came of it stands below in a moment: load this page again.", "good")
        case "rotate":
            rotated = administration.rotate(actor, known.callback_id, client)
            return _shown(rotated, secret=rotated.newest_secret)
        case "resend":
            administration.resend(known.callback_id, client, request.form.get("event", ""))
            flash("Sent again, with the same id.", "good")
        case "resend_missed":
            hours = whole_number_within(request.form.get("hours", ""), 1, MISSED_HOURS[-1])
            if hours is None:
                return _shown(known), 422
            count = _send_missed(known, hours)
            flash(f"{count} events that it has not taken are sent again, each with the same id.", "good")
        case "delete":
            administration.remove(actor, known.callback_id, client)
            flash("Deleted. Nothing more is sent to it.", "good")
            return redirect(url_for("dashboard.callbacks"), 303)
        case _:
            return _shown(known), 422
    return redirect(url_for("dashboard.callback", callback_id=known.callback_id), 303)


def _send_missed(known: Callback, hours: int) -> int:
    services = pages().services
    since = services.clock.now() - timedelta(hours=hours)
    count, position = 0, 0
    while True:
        resent = services.callbacks.resend_since(known.callback_id, viewer().client, since, after=position)
        count += resent.count
        if resent.position is None:
            return count
        position = resent.position


def _shown(known: Callback, secret: str | None = None) -> str:
    deliveries = pages().services.callbacks.deliveries(known.callback_id, viewer().client, SHOWN_DELIVERIES)
    return render_template(
        "dashboard/callback.html",
        callback=replace(known, secrets=()),
        # The rest of an address may hold a secret of the client's, and an answer quote a recipient.
        origin=parse(known.url).origin,
        deliveries=deliveries,
        secret=secret,
        may_manage=viewer().may_manage,
        missed_hours=MISSED_HOURS,
    )
