"""Shows one notification in full to a viewer who says why he must see it. Written down before anything is shown."""

from __future__ import annotations

from flask import render_template, request

from wavecom.web.api.schemas.action import REASON_LIMIT
from wavecom.web.dashboard import notifications
from wavecom.web.dashboard.context import pages, viewer
from wavecom.web.dashboard.job_actions import visible


def reveal(job_id: str) -> str | tuple[str, int]:
    """Ask for the reason; then the page of the notification, once."""
    job = visible(job_id)
    reason = request.form.get("reason", "").strip()
    if request.method == "GET":
        return _form(job_id)
    if not reason or len(reason) > REASON_LIMIT or not reason.isprintable():
        return _form(job_id, f"Say why, in 1 to {REASON_LIMIT} characters on one line."), 422
    pages().services.dead_letters.reveal(job.job_id, viewer().actor.name, reason)
    return notifications.page_of(job, in_full=True)


def _form(job_id: str, error: str = "") -> str:
    return render_template(
        "dashboard/reveal.html", job_id=job_id, error=error, typed=request.form, reason_limit=REASON_LIMIT
    )
