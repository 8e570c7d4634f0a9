"""Cancelling all notifications that wait and match the list's filters, by an operation that can be stopped."""

from __future__ import annotations

from flask import render_template, request, url_for
from marshmallow import ValidationError
from werkzeug.wrappers import Response

from wavecom.core.audit import AuditAction
from wavecom.core.bulk_cancellation import COUNT_LIMIT, waiting
from wavecom.core.ports import JobFilter
from wavecom.core.roles import Permission
from wavecom.web.api.field_errors import problems
from wavecom.web.api.schemas.action import REASON_LIMIT
from wavecom.web.api.schemas.listing import ListQuery
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.filter_form import FilterForm
from wavecom.web.dashboard.operations import OperationForm, start

WORD = "Cancel"

_QUERY = ListQuery()
_SAYS = (
    "Those that wait are never sent; that can’t be taken back. Those that are on their way, or may have been sent, are "
    "left, and so is what is accepted from now on."
)


def cancel_matching() -> Response | str | tuple[str, int]:
    """How many it would be, and a form that tries it out or starts it."""
    form = FilterForm.filled(request.values, for_operator=True)
    try:
        where = _where(form)
    except ValueError as error:
        return _page(form, OperationForm(problem=str(error)), None), 422
    if request.method == "GET":
        return _page(form, OperationForm(), where)
    cancellation = pages().services.cancellation
    return start(
        lambda options, on_progress: cancellation.cancel(where, options, on_progress),
        lambda typed: _page(form, typed, where),
    )


def _where(form: FilterForm) -> JobFilter:
    """What the filters ask for. Raises ``ValueError``, whose text is for people."""
    if not form.used:
        raise ValueError("Choose in the list what is to be cancelled: without a filter that would be everything.")
    if "providerMessageId" in form.typed():
        raise ValueError("This is about one notification: open it, and cancel it there.")
    try:
        wanted = _QUERY.load({name: [value] for name, value in form.query().items()})
    except ValidationError as error:
        raise ValueError(f"A filter {problems(error)[0].message}.") from error
    try:
        return waiting(form.narrowed(wanted.where))
    except ValueError as error:
        raise ValueError(f"This can’t be done for many: {error}.") from error


def _page(form: FilterForm, typed: OperationForm, where: JobFilter | None) -> str:
    expected = None if where is None else pages().services.cancellation.expected(where)
    many = "all" if expected is None else f"{expected:,}{' or more' if expected >= COUNT_LIMIT else ''}"
    return render_template(
        "dashboard/operation_new.html",
        word=WORD,
        action=AuditAction.CANCEL,
        question=f"{WORD} {many} that wait and match?",
        says=_SAYS,
        everything="",
        address=url_for("dashboard.cancel_matching"),
        back=url_for("dashboard.notifications", **form.typed()),  # type: ignore[arg-type]
        form=form,
        typed=typed,
        may_start=where is not None and viewer().may(Permission.BULK),
        reason_limit=REASON_LIMIT,
    )
