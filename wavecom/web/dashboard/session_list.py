"""Who is signed in to the pages, and a button that ends a session: an admin sees all, others their own."""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from wavecom.core.roles import Permission
from wavecom.web.dashboard.context import pages, viewer


def sessions() -> str:
    """The list."""
    found = pages().services.sessions.list(_whose())
    return render_template("dashboard/sessions.html", sessions=found, sees_all=_whose() is None)


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
