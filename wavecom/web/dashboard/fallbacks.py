"""The page of a fallback: its steps, each with a link to the notification that it is, and what happened."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.core.fallback import Fallback
from wavecom.core.ids import is_uuid
from wavecom.errors import ConflictError, JobNotFoundError
from wavecom.web.api import fallbacks
from wavecom.web.dashboard.context import pages, viewer


def visible(fallback_id: str) -> Fallback | None:
    """The fallback; None where this viewer may see none of this id. Raises ``StoreError``."""
    if not is_uuid(fallback_id):
        return None
    return pages().services.fallbacks.get(fallback_id.lower(), viewer().client)


def page_of(fallback: Fallback) -> str:
    """Its page. It shows no recipient and no text: the steps' own pages do, to those who may read them."""
    detail = fallbacks.detail(pages().services, fallback)
    return render_template(
        "dashboard/fallback.html", fallback=fallback, steps=detail["steps"], may_manage=viewer().may_manage
    )


def page(fallback_id: str, missing: JobNotFoundError) -> str:
    """The page of the fallback with this id. Raises ``missing`` where there is none."""
    found = visible(fallback_id)
    if found is None:
        raise missing
    return page_of(found)


def cancel(fallback_id: str, missing: JobNotFoundError) -> Response | tuple[str, int]:
    """Ask, then cancel the fallback with this id. Raises ``missing`` where there is none."""
    fallback = visible(fallback_id)
    if fallback is None:
        raise missing
    if request.method == "GET":
        status = 409 if fallback.is_over else 200
        return render_template("dashboard/fallback_cancel.html", fallback=fallback), status
    services, by, client = pages().services, viewer().actor.name, viewer().client

    def do() -> Fallback:
        return services.fallbacks.cancel(fallback.fallback_id, client, by=by)

    try:
        if client is None:
            services.dead_letters.cancel_fallback(fallback.fallback_id, do, by)
        else:
            do()
    except ConflictError as error:
        # It has ended by itself meanwhile.
        flash(str(error), "warn")
    else:
        flash("Cancelled. No further step begins.", "good")
    return redirect(url_for("dashboard.notification", job_id=fallback.fallback_id), 303)
