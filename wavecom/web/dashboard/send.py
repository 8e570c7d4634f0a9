"""The form that sends a notification: checked by the API's own schema, accepted by the same use case."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    OverloadedError,
    Problem,
    RateLimitedError,
    StoreError,
)
from wavecom.web.api.sending import SendResponse
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.fields import place
from wavecom.web.dashboard.send_form import SendForm, new_id
from wavecom.web.limit_headers import limit_headers

_REUSED = (
    "This form was sent before with other contents. "
    "Send it again to make this a new notification; the first one is in the list."
)
_AWAY = (
    "The store does not answer now. Everything you typed is still here: send it again in a few seconds. "
    "Sending this form twice never makes two notifications."
)
_LATER = "Everything you typed is still here: send it again in {} seconds."


def send() -> ResponseReturnValue:
    """Show the form of ``?type=``; send what was typed into it. Raises ``ForbiddenError`` for who may not send."""
    try:
        channel = Channel(request.args.get("type", Channel.EMAIL.value))
    except ValueError:
        abort(404)
    if request.method == "GET":
        if "type" not in request.args and not _served(channel):
            channel = next(filter(_served, Channel), channel)
        return _page(SendForm.blank(channel), 200)
    form = SendForm.filled(channel, request.form)
    try:
        answer = _accept(form)
    except InvalidRequestError as error:
        return _page(form.refused(error.problems), 422)
    except IdempotencyMismatchError:
        fresh = SendForm(form.channel, new_id(), form.groups)
        return _page(fresh.refused([Problem("", _REUSED)]), 409)
    except RateLimitedError as error:
        page, status = _page(form.refused([Problem("", f"{error} {_LATER.format(error.retry_after_seconds)}")]), 429)
        return page, status, {"Retry-After": str(error.retry_after_seconds), **limit_headers(error.limits)}
    except (StoreError, OverloadedError):
        return _page(form.refused([Problem("", _AWAY)]), 503)
    if answer.is_replay:
        flash("This form was sent before. Here is its notification; no second one was made.", "warn")
    else:
        flash("Accepted. WaveCom keeps the notification and delivers it.", "good")
    return redirect(url_for("dashboard.notification", job_id=answer.job_id), 303)


def _accept(form: SendForm) -> SendResponse:
    body, unread = form.request(request.files.getlist("attachments"))
    try:
        checked = pages().schema.read(body)
    except InvalidRequestError as error:
        pages().services.acceptance.charge_refused(viewer().actor)
        raise InvalidRequestError(_merged(form, unread, error.problems)) from error
    if unread:
        pages().services.acceptance.charge_refused(viewer().actor)
        raise InvalidRequestError(unread)
    return pages().sending.send(viewer().actor, checked, f"page:{form.id}")


def _merged(form: SendForm, unread: list[Problem], problems: tuple[Problem, ...]) -> list[Problem]:
    """What could not be read was left out of the body: that it is missing there says nothing."""
    spoken_for = {problem.where for problem in unread}
    fields = form.fields
    placed = [(problem, place(problem, fields)[0]) for problem in problems]
    return unread + [problem for problem, field in placed if field is None or field.pointer not in spoken_for]


def _page(form: SendForm, status: int) -> tuple[str, int]:
    channels = {channel: _served(channel) for channel in Channel}
    return render_template("dashboard/send.html", form=form, channels=channels), status


def _served(channel: Channel) -> bool:
    """Whether what this viewer sends over it is delivered."""
    return pages().services.submission.serves_lane(Lane.of(channel, Priority.NORMAL, viewer().actor.client))
