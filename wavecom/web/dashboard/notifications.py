"""The list of notifications, and each one with its history."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, render_template, request, url_for
from marshmallow import ValidationError

from wavecom.accounts import Administrator
from wavecom.core.account import account_of
from wavecom.core.actor import OPERATOR
from wavecom.core.job import Job
from wavecom.core.roles import Permission
from wavecom.errors import JobNotFoundError
from wavecom.web.api import cursors
from wavecom.web.api.field_errors import problems
from wavecom.web.api.schemas.listing import ListQuery, ListRequest
from wavecom.web.dashboard import fallbacks, job_actions, preview, send_elsewhere
from wavecom.web.dashboard.content import describe
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.filter_form import FilterForm
from wavecom.web.dashboard.formatting import readable, recipient_lines
from wavecom.web.dashboard.fragments import fragment
from wavecom.web.dashboard.redaction import redacted

PAGE_SIZE = 50
MESSAGE_ID = "providerMessageId"

_QUERY = ListQuery()


def notifications() -> str | tuple[str, int]:
    """A page of the list, narrowed by the filters in the query: the API's own names and rules."""
    form = FilterForm.filled(request.args, for_operator=viewer().client is None)
    cursor = request.args.get("cursor")
    try:
        wanted = _wanted(form, cursor)
    except ValidationError as error:
        return _page(form.refused(problems(error)), found=None), 422
    if message_id := form.typed().get(MESSAGE_ID):
        return _page(form, found=_by_message_id(message_id, form.typed().get("provider")))
    where = viewer().narrowed(form.narrowed(wanted.where))
    if where.idempotency_key is not None and where.client is None and not where.accounts:
        # Keys are each client's own, and so is their index.
        where = replace(where, accounts=_all_accounts())
    page = pages().services.jobs.search(where, wanted.limit, wanted.after)
    older = None if page.next is None else _address(form, cursor=cursors.encode(page.next))
    return _page(form, found=page.jobs, older=older, newest=_address(form) if cursor else None)


def notification(job_id: str) -> str:
    """One notification, whole; or a fallback, which has an id of its own."""
    try:
        job = job_actions.visible(job_id)
    except JobNotFoundError as error:
        return fallbacks.page(job_id, error)
    return page_of(job, in_full=viewer().reads_messages)


def page_of(job: Job, *, in_full: bool) -> str:
    """The page of ``job``. Where that is an exception, ``in_full`` shows it once: the page does not update itself."""
    details = _details(job, in_full=in_full)
    return render_template("dashboard/notification.html", is_live=in_full == viewer().reads_messages, **details)


def notification_live(job_id: str) -> Response:
    """The part of its page that changes."""
    details = _details(job_actions.visible(job_id), in_full=viewer().reads_messages)
    return fragment(render_template("dashboard/_notification.html", **details))


def _by_message_id(message_id: str, provider: str | None) -> tuple[Job, ...]:
    """Those that a provider calls so, of all providers unless one is named; each by an index, whatever its age."""
    services = pages().services
    providers = [provider] if provider else services.providers.names
    found = [services.jobs.by_message_ids(each, [message_id]).get(message_id) for each in providers]
    return tuple(job for job in found if job is not None and viewer().client in {None, job.client})


def _all_accounts() -> frozenset[str]:
    records = pages().services.key_administration.list(Administrator(OPERATOR))
    names = {record.client for record in records}
    accounts = {account_of(name, is_live) for name in names for is_live in (True, False)}
    return frozenset(accounts | {OPERATOR})


def _wanted(form: FilterForm, cursor: str | None) -> ListRequest:
    query = {name: [value] for name, value in form.query().items()}
    if cursor:
        query["cursor"] = [cursor]
    return _QUERY.load(query | {"limit": [str(PAGE_SIZE)]})


def _page(
    form: FilterForm, *, found: tuple[Job, ...] | None, older: str | None = None, newest: str | None = None
) -> str:
    return render_template("dashboard/notifications.html", form=form, jobs=found, older=older, newest=newest)


def _address(form: FilterForm, **further: str) -> str:
    query: dict[str, Any] = form.typed() | further
    return url_for("dashboard.notifications", **query)


def _details(job: Job, *, in_full: bool) -> dict[str, Any]:
    found = job if in_full else redacted(job)
    return {
        "in_full": in_full,
        "actions": job_actions.possible(found) if viewer().may_manage else (),
        "job": found,
        "can_go_elsewhere": viewer().may(Permission.SEND_ELSEWHERE) and send_elsewhere.is_possible(job),
        "origin": send_elsewhere.origin_of(job),
        "has_preview": preview.html_of(job) is not None and viewer().reads_messages,
        "recipient": recipient_lines(found.type, found.to),
        "content": describe(found.payload),
        "metadata": [(name, readable(value)) for name, value in found.metadata.items()],
    }
