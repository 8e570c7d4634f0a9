"""Campaigns: the list, one with its progress, a form that makes one of a file, and what people decide about one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from flask import Response, abort, flash, redirect, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response as Redirect

from wavecom.core.account import CLIENT_NAME_RULE, account_of, is_client_name
from wavecom.core.actor import OPERATOR, Actor
from wavecom.core.campaigns.administration import CampaignAdministration
from wavecom.core.campaigns.model import Campaign, CampaignStatus, RowFormat
from wavecom.core.lanes import Channel
from wavecom.errors import (
    CampaignNotFoundError,
    CampaignStatusError,
    ForbiddenError,
    InvalidRequestError,
    LostRaceError,
    Problem,
)
from wavecom.web.api.campaign_rows import rejected_csv, row_check
from wavecom.web.api.campaign_shapes import cursor_after, id_in_path, position_of
from wavecom.web.api.field_errors import problems
from wavecom.web.api.schemas.campaign import CampaignSchema
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.field_form import FieldForm
from wavecom.web.dashboard.fields import Field, json_value, utc, whole_number
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.words import CHANNELS

_PAGE_SIZE: Final = 50
_PART: Final = 64 * 1024
_SCHEMA: Final = CampaignSchema()
_CLIENT: Final = Field(name="client", label="Client", pointer="/client", is_required=True)
_MODE: Final = Field(name="mode", label="Mode", pointer="/mode", choices=(("live", "Live"), ("test", "Test")))
_NEW: Final = (
    Field(name="name", label="Name", pointer="/name", hint="What people call it.", is_required=True),
    Field(
        name="type",
        label="Type",
        pointer="/notification/type",
        choices=tuple((channel.value, CHANNELS[channel]) for channel in Channel),
    ),
    Field(
        name="template",
        label="Template",
        pointer="/notification/template",
        hint="Its variables are the columns of the file. Leave it out where you give a payload.",
        is_marked_optional=True,
    ),
    Field(
        name="payload",
        label="Payload (JSON)",
        pointer="/notification/payload",
        hint='The same for all, such as {"text": "Our spring offer begins today."}',
        rows=3,
        is_code=True,
        is_marked_optional=True,
        read=json_value,
    ),
    Field(
        name="rowsPerSecond",
        label="Rows a second",
        pointer="/pace/rowsPerSecond",
        hint="Left out, they go as fast as they can.",
        is_marked_optional=True,
        read=whole_number,
    ),
    Field(
        name="startAt",
        label="Not before (UTC)",
        pointer="/startAt",
        kind="datetime-local",
        read=utc,
        is_marked_optional=True,
    ),
    Field(
        name="rows",
        label="File of recipients",
        pointer="/rows",
        kind="file",
        hint="CSV whose first line names the columns (email, phone, locale, variables), or NDJSON; at most 14 MiB. "
        "Larger ones are uploaded with the API, or with wavecom campaigns.",
        is_required=True,
    ),
)
_SAID: Final = {
    "start": "Started.",
    "approve": "Approved: its rows are sent from now on.",
    "pause": "Paused: no further row is sent.",
    "resume": "It goes on.",
    "cancel": "No further row is sent, and what waits is being cancelled.",
}


def campaigns() -> str:
    """A page of the list, the newest first."""
    cursor = request.args.get("cursor")
    after = None
    if cursor:
        try:
            after = position_of(cursor)
        except ValueError:
            abort(404)
    found = _administration().newest(viewer().client, _PAGE_SIZE, after)
    older = None
    if len(found) == _PAGE_SIZE:
        older = url_for("dashboard.campaigns", cursor=cursor_after(found[-1]))
    newest = url_for("dashboard.campaigns") if cursor else None
    return render_template("dashboard/campaigns.html", campaigns=found, older=older, newest=newest)


def campaign(campaign_id: str) -> str:
    """One of them."""
    return render_template("dashboard/campaign.html", **_context(campaign_id))


def campaign_live(campaign_id: str) -> Response:
    """The part of its page that changes."""
    return fragment(render_template("dashboard/_campaign.html", **_context(campaign_id)))


def campaign_export(campaign_id: str) -> Response:
    """Its rejected rows as CSV."""
    campaign_id = _visible(campaign_id).campaign_id
    return rejected_csv(_administration(), campaign_id, owner=f"page {viewer().session_id}")


def add_campaign() -> Redirect | str | tuple[str, int]:
    """A form for a new campaign with its rows, which then waits to be started."""
    fields = (_CLIENT, _MODE, *_NEW) if viewer().client is None else _NEW
    form = FieldForm.filled(fields, request.form)
    if request.method == "GET":
        return render_template("dashboard/campaign_new.html", form=form)
    made: Campaign | None = None
    is_whole = False
    try:
        actor = _actor(form)
        made = _administration().create(actor, _SCHEMA.load(_body(form)))
        _upload(actor, made)
        is_whole = True
    except ValidationError as error:
        return _refused(form, problems(error))
    except InvalidRequestError as error:
        return _refused(form, list(error.problems))
    finally:
        if made is not None and not is_whole:
            # Of a file that can't be read, or did not come whole, nothing is to be left.
            _administration().cancel(actor, made.campaign_id, actor.client)
    flash("Its rows are here. Look at what was rejected, then start it.", "good")
    return redirect(url_for("dashboard.campaign", campaign_id=made.campaign_id), 303)


def change_campaign(campaign_id: str) -> Redirect:
    """Start, approve, pause, resume or cancel it."""
    administration = _administration()
    known = _visible(campaign_id)
    acts: dict[str, Callable[[Actor, str, str | None], Campaign]] = {
        "start": administration.start,
        "approve": administration.approve,
        "pause": administration.pause,
        "resume": administration.resume,
        "cancel": administration.cancel,
    }
    action = request.form.get("action", "")
    if action not in acts:
        abort(422)
    try:
        acts[action](replace(viewer().actor, client=known.account), known.campaign_id, known.account)
        flash(_SAID[action], "good")
    except (CampaignStatusError, ForbiddenError, LostRaceError) as error:
        flash(str(error), "bad")
    return redirect(url_for("dashboard.campaign", campaign_id=known.campaign_id), 303)


def _administration() -> CampaignAdministration:
    return pages().services.campaigns


def _visible(campaign_id: str) -> Campaign:
    try:
        return _administration().get(id_in_path(campaign_id), viewer().client)
    except CampaignNotFoundError:
        abort(404)


def _context(campaign_id: str) -> dict[str, Any]:
    known = _visible(campaign_id)
    return {
        "campaign": known,
        "is_over": known.finished_at is not None and known.outcomes.is_last,
        "may_approve": _administration().may_approve(replace(viewer().actor, client=known.account), known),
        "statuses": CampaignStatus,
    }


def _refused(form: FieldForm, wrong: list[Problem]) -> tuple[str, int]:
    return render_template("dashboard/campaign_new.html", form=form.refused(wrong)), 422


def _actor(form: FieldForm) -> Actor:
    """On whose behalf. Raises ``InvalidRequestError``."""
    if viewer().client is not None:
        return viewer().actor
    typed = form.typed()
    client = typed.get("client", "")
    if client != OPERATOR and not is_client_name(client):
        raise InvalidRequestError([Problem("/client", f"must be the name of a client: {CLIENT_NAME_RULE}", "invalid")])
    return replace(viewer().actor, client=account_of(client, typed.get("mode") != "test"))


def _body(form: FieldForm) -> dict[str, Any]:
    """What the form says, as the API would be told. Raises ``InvalidRequestError``."""
    body: dict[str, Any] = {}
    for field in form.fields:
        if field.name in {"client", "mode", "rows"}:
            continue
        try:
            value = field.read(field.value)
        except ValueError as error:
            raise InvalidRequestError([Problem(field.pointer, str(error), "invalid")]) from error
        if value is None:
            continue
        *path, name = field.pointer.strip("/").split("/")
        place = body
        for part in path:
            place = place.setdefault(part, {})
        place[name] = value
    return body


def _upload(actor: Actor, made: Campaign) -> None:
    files = [file for file in request.files.getlist("rows") if file.filename]
    if not files:
        raise InvalidRequestError([Problem("/rows", "is missing; choose a file of recipients", "required")])
    if len(files) > 1:
        raise InvalidRequestError([Problem("/rows", "must be one file; make a campaign of each", "too_many")])
    [file] = files
    is_json = (file.filename or "").lower().endswith((".ndjson", ".jsonl", ".json"))
    services = pages().services
    services.campaigns.note_upload(actor, made)
    services.campaign_uploads.receive(
        made,
        0,
        iter(partial(file.stream.read, _PART), b""),
        RowFormat.NDJSON if is_json else RowFormat.CSV,
        row_check(actor, pages().schema, services.templates, services.recipients, services.acceptance),
        is_last=True,
    )
