"""Who is signed in to the pages, and a button that ends a session: an admin sees all, others their own."""

from __future__ import annotations

from datetime import UTC

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.core.roles import Permission
from wavecom.core.sessions import SessionRecord
from wavecom.web.dashboard.context import pages, viewer

_PAGE_SIZE = 50


def sessions() -> str:
    """A page of the list, the newest first."""
    before = request.args.get("before", "")
    every = pages().services.sessions.list(_whose())
    found = [each for each in every if not before or _place(each) < before]
    shown = found[:_PAGE_SIZE]
    older = url_for("dashboard.sessions", before=_place(shown[-1])) if len(found) > _PAGE_SIZE else None
    newest = url_for("dashboard.sessions") if before else None
    return render_template(
        "dashboard/sessions.html",
        sessions=shown,
        count=len(every),
        sees_all=_whose() is None,
        newest=newest,
        older=older,
    )


def _place(session: SessionRecord) -> str:
    """Texts in the order of the list."""
    return f"{session.opened_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f} {session.session_id}"


def end_session(session_id: str) -> Response:
    """End one of them, wherever its cookie is."""
    if session_id == viewer().session_id:
        flash("That is the session you are in. Sign out to end it.", "warn")
    elif pages().services.sessions.end_by_id(session_id, viewer().id, _whose()):
        flash("The session is ended. Whoever has it must sign in again.", "good")
    else:
        abort(404)
    return redirect(url_for("dashboard.sessions"), 303)


def _whose() -> str | None:
    """Whose sessions this viewer sees; None: everybody's."""
    return None if viewer().may(Permission.MANAGE_USERS) else viewer().id
