"""Operations on many notifications: tried out, started at a pace, watched, stopped and resumed.

What runs them is ``core.bulk_runner``, as for ``wavecom dead-letters``: each has one audit entry, which says how far it
came, and all that is shown of an operation comes from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from flask import Response, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Redirect

from wavecom.core.audit import AuditAction
from wavecom.core.background_operations import OperationsBusyError, Run
from wavecom.core.bulk_cancellation import BulkCancellation
from wavecom.core.bulk_operations import BulkOperation, BulkOperationState, BulkOptions, NotResumableError
from wavecom.core.dead_letter_operations import DeadLetters
from wavecom.core.dead_letters import DeadLetterFilter
from wavecom.web.api.schemas.action import REASON_LIMIT
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.dead_letters import filter_of, form_of
from wavecom.web.dashboard.field_form import FieldForm
from wavecom.web.dashboard.fields import whole_number_within
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.words import audit_word

_MOST_RATE: Final = 1000
_USUAL_RATE: Final = 50
#: No operation is of more.
_MOST: Final = 10**9
_LIST: Final = 20
WORDS: Final = {AuditAction.REPLAY: "Start again", AuditAction.DISCARD: "Put aside"}
_SAYS: Final = {
    AuditAction.REPLAY: "Each starts from the beginning, with all its attempts. Those that may have been sent already "
    "are left alone.",
    AuditAction.DISCARD: "They stay failed, and are no dead letters any more.",
}
#: The last part of their addresses; "replay" is taken by the API, whose words no address may end with.
_NAMES: Final = {"again": AuditAction.REPLAY, "aside": AuditAction.DISCARD}


@dataclass(frozen=True, slots=True)
class OperationForm:
    """What was typed, and what is wrong with it."""

    rate: str = str(_USUAL_RATE)
    limit: str = ""
    reason: str = ""
    accepts_duplicate: bool = False
    problem: str = ""


def new_operation(action: str) -> Redirect | str | tuple[str, int]:
    """How many it would be, and a form that tries it out or starts it."""
    wanted = _NAMES.get(action) or abort(404)
    form = form_of(request.values)
    if request.method == "GET":
        return _form(wanted, form, OperationForm()), 200
    run = _runner(wanted, filter_of(form), accepts_duplicate=bool(request.form.get("acceptDuplicate")))
    return start(run, lambda typed: _form(wanted, form, typed))


def start(run: Run, page: Callable[[OperationForm], str]) -> Redirect | tuple[str, int]:
    """Start the operation that ``run`` runs, as the request's form says; ``page`` makes the form again, if it is wrong.

    Shows the operation's page, which follows it.
    """
    typed = OperationForm(
        request.form.get("rate", "").strip(),
        request.form.get("limit", "").strip(),
        request.form.get("reason", "").strip(),
        bool(request.form.get("acceptDuplicate")),
    )
    problem, rate = _problem(typed), _rate(typed.rate)
    if problem or rate is None:
        return page(replace(typed, problem=problem)), 422
    options = BulkOptions(
        operator=viewer().actor.name,
        rate_per_second=rate,
        limit=whole_number_within(typed.limit, 1, _MOST),
        is_dry_run="dryRun" in request.form,
        reason=typed.reason,
        operation_id=pages().new_id(),
    )
    try:
        pages().services.background.start(options, run)
    except OperationsBusyError as error:
        return page(replace(typed, problem=str(error))), 409
    return redirect(url_for("dashboard.operation", operation_id=options.operation_id), 303)


def operations() -> str:
    """The last ones, newest first."""
    audit = pages().services.audit
    actions = (*WORDS, AuditAction.CANCEL)
    # One notification is cancelled without a page like this.
    found = [
        entry
        for action in actions
        for entry in audit.newest(action=action.value, limit=_LIST)
        if action is not AuditAction.CANCEL or "statuses" in entry.get("filters", {})
    ]
    found.sort(key=lambda entry: entry["startedAt"], reverse=True)
    return render_template("dashboard/operations.html", entries=found[:_LIST], word_of=audit_word)


def operation(operation_id: str) -> str:
    """One of them, with buttons that stop or resume it."""
    return render_template("dashboard/operation.html", **_context(operation_id))


def operation_live(operation_id: str) -> Response:
    """The part of its page that changes."""
    return fragment(render_template("dashboard/_operation.html", **_context(operation_id)))


def stop_operation(operation_id: str) -> Redirect:
    """Ask for it to stop; it does after the batch that is under way."""
    _existing(operation_id)
    pages().services.stop_requests.add(operation_id, viewer().actor.name, pages().services.clock.now())
    flash("It stops after the notifications that are under way.", "good")
    return redirect(url_for("dashboard.operation", operation_id=operation_id), 303)


def resume_operation(operation_id: str) -> Redirect:
    """Go on where it ended, as an operation of its own, at the same pace or another."""
    services = pages().services
    rate = request.form.get("rate", "")
    options = BulkOptions(
        operator=viewer().actor.name,
        rate_per_second=_rate(rate) or _USUAL_RATE,
        operation_id=pages().new_id(),
    )
    found = services.dead_letters.operation(operation_id)
    is_cancelling = found is not None and found.action is AuditAction.CANCEL
    operations: DeadLetters | BulkCancellation = services.cancellation if is_cancelling else services.dead_letters
    try:
        first = operations.resumable(operation_id)
        if _may_be_running(first):
            flash("Only one that was stopped, killed or has failed can be resumed. Stop it first.", "warn")
            return redirect(url_for("dashboard.operation", operation_id=operation_id), 303)
        services.background.start(options, lambda given, on_progress: operations.resume(first, given, on_progress))
    except (NotResumableError, OperationsBusyError) as error:
        flash(str(error), "warn")
        return redirect(url_for("dashboard.operations"), 303)
    return redirect(url_for("dashboard.operation", operation_id=options.operation_id), 303)


def _runner(action: AuditAction, where: DeadLetterFilter, *, accepts_duplicate: bool) -> Run:
    # Looked up now: the operation's thread has no request.
    dead_letters = pages().services.dead_letters
    if action is AuditAction.DISCARD:
        return lambda options, on_progress: dead_letters.discard(where, options, on_progress)
    return lambda options, on_progress: dead_letters.replay(
        where, options, on_progress, accepts_duplicate=accepts_duplicate
    )


def _problem(typed: OperationForm) -> str:
    if _rate(typed.rate) is None:
        return f"The pace is a whole number from 1 to {_MOST_RATE} a second."
    if typed.limit and whole_number_within(typed.limit, 1, _MOST) is None:
        return f"At most how many is a whole number from 1 to {_MOST}, or empty for all."
    if not typed.reason or len(typed.reason) > REASON_LIMIT or not typed.reason.isprintable():
        return f"Say why, in 1 to {REASON_LIMIT} characters on one line."
    return ""


def _rate(text: str) -> int | None:
    return whole_number_within(text, 1, _MOST_RATE)


def _form(action: AuditAction, form: FieldForm, typed: OperationForm) -> str:
    name = next(name for name, each in _NAMES.items() if each is action)
    expected = pages().services.dead_letters.expected(filter_of(form))
    return render_template(
        "dashboard/operation_new.html",
        action=action,
        word=WORDS[action],
        question=f"{WORDS[action]} {expected:,} notification{'' if expected == 1 else 's'}?",
        says=_SAYS[action],
        everything="All dead letters there are",
        address=url_for("dashboard.new_operation", action=name),
        back=url_for("dashboard.dead_letters"),
        form=form,
        typed=typed,
        may_start=True,
        reason_limit=REASON_LIMIT,
    )


def _may_be_running(found: BulkOperation) -> bool:
    """Whether resuming it would run it a second time beside itself."""
    is_stopped = pages().services.stop_requests.has(found.operation_id)
    return found.state is BulkOperationState.FINISHED or (found.state is BulkOperationState.RUNNING and not is_stopped)


def _existing(operation_id: str) -> BulkOperation:
    return pages().services.dead_letters.operation(operation_id) or abort(404)


def _context(operation_id: str) -> dict[str, Any]:
    found = pages().services.dead_letters.operation(operation_id)
    is_stopping = found is not None and (
        found.state is BulkOperationState.RUNNING and pages().services.stop_requests.has(operation_id)
    )
    return {
        "operation_id": operation_id,
        "operation": found,
        "is_stopping": is_stopping,
        "word": audit_word(found.action.value) if found is not None else "",
        "can_resume": found is not None
        and not found.is_dry_run
        and (is_stopping or found.state in {BulkOperationState.INTERRUPTED, BulkOperationState.FAILED}),
    }
