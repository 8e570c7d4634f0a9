"""Buttons of a notification's page: cancel, retry, settle; each on a page of its own that asks once more.

What the API offers under the same names, by the same use cases and rules. Works without a script; what is done is
written down with the key or the operator who did it.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from wavecom.core.bulk_operations import BulkOptions
from wavecom.core.engine import is_in_doubt
from wavecom.core.ids import is_uuid
from wavecom.core.job import Job, JobId
from wavecom.core.states import WAITING, Status
from wavecom.errors import ConflictError, JobNotFoundError, RateLimitedError
from wavecom.web.api.field_errors import problems
from wavecom.web.api.schemas.action import REASON_LIMIT, SettleSchema
from wavecom.web.dashboard import fallbacks
from wavecom.web.dashboard.context import pages, viewer

_SETTLE = SettleSchema()


@dataclass(frozen=True, slots=True)
class JobAction:
    """Something that can be done to a notification. ``question`` is the heading of its page, ``done`` what follows."""

    name: str
    word: str
    question: str
    says: str
    done: str
    is_severe: bool = False


CANCEL = JobAction(
    "cancel",
    "Cancel",
    "Cancel this notification?",
    "It will never be sent. That can’t be taken back.",
    "Cancelled. It will never be sent.",
    is_severe=True,
)
RETRY = JobAction(
    "retry",
    "Retry",
    "Send this notification again?",
    "It starts from the beginning, with all its attempts and 72 hours from now on.",
    "Queued again, from the start.",
)
SETTLE = JobAction(
    "settle",
    "Settle by hand",
    "What became of this notification?",
    "Nobody knows whether it was sent. If you have found out, for example from the provider, say so here: it is "
    "closed, and your reason stands in its history.",
    "Closed by hand.",
)
Answer = Response | tuple[str, int] | tuple[str, int, dict[str, str]]


def possible(job: Job) -> tuple[JobAction, ...]:
    """What can be done to it as it is now."""
    found = []
    if job.status is Status.FAILED or is_in_doubt(job):
        found.append(RETRY)
    if job.status is Status.UNCONFIRMED:
        found.append(SETTLE)
    if job.status in WAITING and not job.may_have_been_sent:
        found.append(CANCEL)
    return tuple(found)


def visible(job_id: str) -> Job:
    """The notification, whole. Raises ``JobNotFoundError`` for one that this viewer may not see."""
    found = pages().services.jobs.get(JobId(job_id.lower()), viewer().client) if is_uuid(job_id) else None
    if found is None:
        raise JobNotFoundError("There is no notification with this id that this login may see.")
    return found


def cancel(job_id: str) -> Answer:
    """Ask, then cancel; a fallback, too."""
    try:
        return _page(CANCEL, job_id)
    except JobNotFoundError as error:
        return fallbacks.cancel(job_id, error)


def retry(job_id: str) -> Answer:
    """Ask, then start it again."""
    return _page(RETRY, job_id)


def settle(job_id: str) -> Answer:
    """Ask what became of it, then close it."""
    return _page(SETTLE, job_id)


def _page(action: JobAction, job_id: str) -> Answer:
    job = visible(job_id)
    if request.method == "GET":
        return _form(action, job, 200)
    lacking = _lacking(action, job)
    if lacking:
        return _form(action, job, 422, lacking)
    try:
        _do(action, job.job_id)
    except RateLimitedError as error:
        page, status = _form(action, job, 429, f"{error} Try again in {error.retry_after_seconds} seconds.")
        return page, status, {"Retry-After": str(error.retry_after_seconds)}
    except ConflictError as error:
        # Somebody was faster, or it has gone on by itself: the page shows how it stands now.
        flash(str(error), "warn")
    else:
        flash(action.done, "good")
    return redirect(url_for("dashboard.notification", job_id=job.job_id), 303)


def _lacking(action: JobAction, job: Job) -> str:
    if action is RETRY and is_in_doubt(job) and not request.form.get("acceptDuplicate"):
        return "Tick the box if it may be sent a second time; otherwise leave it as it is."
    if action is SETTLE:
        if request.form.get("outcome") not in {"delivered", "failed"}:
            return "Choose what became of it."
        try:
            _SETTLE.load({"outcome": request.form["outcome"], "reason": request.form.get("reason", "").strip()})
        except ValidationError as error:
            return f"Say how you know: the text {problems(error)[0].message}."
    return ""


def _do(action: JobAction, job_id: JobId) -> None:
    services, actor = pages().services, viewer().actor
    client = viewer().client
    options = BulkOptions(operator=actor.name, client=client)
    if action is RETRY:
        # A message that somebody asked for: it counts as one that is sent.
        services.dead_letters.replay_one(
            job_id,
            options,
            lambda: services.acceptance.charge(actor, 1),
            accepts_duplicate=bool(request.form.get("acceptDuplicate")),
        )
    elif action is SETTLE:
        is_delivered = request.form["outcome"] == "delivered"
        services.dead_letters.settle_one(
            job_id, options, is_delivered=is_delivered, reason=request.form["reason"].strip()
        )
    elif client is None:
        services.dead_letters.cancel_one(job_id, options)
    else:
        services.operations.cancel(job_id, client, by=actor.name)


def _form(action: JobAction, job: Job, status: int, error: str = "") -> tuple[str, int]:
    is_possible = action in possible(job)
    page = render_template(
        "dashboard/action.html",
        action=action,
        job=job,
        error=error,
        is_possible=is_possible,
        asks_duplicate=action is RETRY and is_in_doubt(job),
        typed=request.form,
        reason_limit=REASON_LIMIT,
    )
    return page, status if is_possible or status != 200 else 409
