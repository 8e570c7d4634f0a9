"""Sends a notification's message once more, to another address: a notification of its own, of the same client.

Its idempotency key tells where it came from, and makes a form that is sent twice one notification.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.core.actor import Actor
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.new_notification import NewNotification
from wavecom.core.other_recipient import for_other_recipient
from wavecom.errors import (
    ChannelNotServedError,
    IdempotencyMismatchError,
    InvalidRequestError,
    OverloadedError,
    RateLimitedError,
    RefusedError,
    StoreError,
)
from wavecom.web.api.schemas.action import REASON_LIMIT
from wavecom.web.api.schemas.notification import NotificationRequest, fingerprint
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.job_actions import visible
from wavecom.web.dashboard.send_form import new_id

#: What the address is called in ``to``, and what its form's label says. Nobody types the token of a device.
_ADDRESSES: Final = {Channel.EMAIL: ("email", "E-mail address"), Channel.SMS: ("phone", "Telephone number")}
#: A payload that is right, to have the API's own schema check an address.
_PAYLOADS: Final[Mapping[Channel, dict[str, str]]] = {
    Channel.EMAIL: {"subject": "s", "text": "t"},
    Channel.SMS: {"text": "t"},
}
_KEY: Final = "elsewhere"
_FORM_ID = re.compile(r"[0-9a-f-]{8,64}")
#: Of an idempotency key that was made here; any client may choose one that only looks like it.
_ORIGIN = re.compile(rf"{_KEY}:([0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}):{_FORM_ID.pattern}")


def is_possible(job: Job) -> bool:
    """Whether its message can go elsewhere as it is: large attachments are kept only as long as who came with them."""
    return job.type in _ADDRESSES and not job.payload.get("attachments")


def origin_of(job: Job) -> JobId | None:
    """The notification whose message this one sends once more."""
    found = _ORIGIN.fullmatch(job.idempotency_key or "")
    return JobId(found[1]) if found else None


def send_elsewhere(job_id: str) -> Response | tuple[str, int]:
    """Ask for the address and the reason, then send."""
    job = visible(job_id)
    if not is_possible(job):
        return _form(job, "Only a mail without attachments, or a text message, can be sent elsewhere.", 409)
    if request.method == "GET":
        return _form(job, "", 200)
    reason, form_id = request.form.get("reason", "").strip(), request.form.get("form_id", "")
    if not reason or len(reason) > REASON_LIMIT or not reason.isprintable():
        return _form(job, f"Say why, in 1 to {REASON_LIMIT} characters on one line.", 422)
    if not _FORM_ID.fullmatch(form_id):
        return _form(job, "This form is not as it was made. Open it again.", 422)
    actor = Actor(client=job.client, name=viewer().actor.name)
    services = pages().services
    try:
        new = _new(job, actor, request.form.get("address", "").strip(), form_id)
        sent = services.dead_letters.send_elsewhere(
            job.job_id, lambda: JobId(services.acceptance.accept(actor, new).job_id), actor.name, reason
        )
    except ChannelNotServedError as error:
        return _form(job, str(error), 409)
    except InvalidRequestError as error:
        problem = error.problems[0]
        what = "The address" if problem.where.startswith("/to") else problem.where
        return _form(job, f"{what} {problem.message}.", 422)
    except IdempotencyMismatchError:
        return _form(job, "This form was sent before, to another address. Open it again to send to one more.", 409)
    except RateLimitedError as error:
        return _form(job, str(error), 429)
    except RefusedError as error:
        return _form(job, str(error), 409)
    except (StoreError, OverloadedError):
        return _form(job, "The store does not answer now. Send this form again in a few seconds.", 503)
    flash("Accepted, as a notification of its own.", "good")
    return redirect(url_for("dashboard.notification", job_id=sent), 303)


def _new(job: Job, actor: Actor, address: str, form_id: str) -> NewNotification:
    """Raises ``InvalidRequestError`` for an address that is none."""
    name, _ = _ADDRESSES[job.type]
    checked = pages().schema.read({"type": job.type.value, "to": {name: address}, "payload": dict(_PAYLOADS[job.type])})
    assert isinstance(checked, NotificationRequest)  # noqa: S101 - it has a payload, and no time that may have passed
    to: Mapping[str, Any] = checked.to_notification(actor, None).to
    services = pages().services
    return for_other_recipient(
        job,
        to,
        services.clock.now(),
        idempotency_key=f"{_KEY}:{job.job_id}:{form_id}",
        fingerprint=fingerprint(to),
        created_by=actor.name,
        links=services.unsubscribe_links,
    )


def _form(job: Job, error: str, status: int) -> tuple[str, int]:
    page = render_template(
        "dashboard/send_elsewhere.html",
        job=job,
        error=error,
        label=_ADDRESSES.get(job.type, ("", ""))[1],
        is_possible=is_possible(job),
        form_id=request.form.get("form_id") or new_id(),
        typed=request.form,
        reason_limit=REASON_LIMIT,
    )
    return page, status
