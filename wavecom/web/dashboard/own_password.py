"""A user's own password: replaced by one that he chooses."""

from __future__ import annotations

from dataclasses import replace

from flask import flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from wavecom.accounts.passwords import LEAST_LENGTH, MOST_LENGTH
from wavecom.accounts.users import InvalidUserError
from wavecom.errors import ForbiddenError
from wavecom.web.dashboard import login
from wavecom.web.dashboard.context import pages, viewer


def own_password() -> Response | str | tuple[str, int]:
    """Ask for the present and the new one; other sessions of the user end.

    Raises ``ForbiddenError`` for who signed in with a key or the operators' password.
    """
    user = viewer().user
    if user is None:
        raise ForbiddenError("Only users have a password of their own.")
    if request.method == "GET":
        return _form()
    new = request.form.get("new", "")
    if new != request.form.get("again", ""):
        return _form("The new password was typed differently the second time."), 422
    try:
        changed = pages().services.users.change_password(user, request.form.get("old", ""), new)
    except InvalidUserError as error:
        return _form(str(error)), 422
    # Every session of the user has ended with the old password; this browser gets a new one.
    again = replace(viewer(), credentials_id=changed.credentials_id)
    token = pages().access.open_session(again, request.remote_addr or "", request.user_agent.string)
    pages().access.end_session(session[login.TOKEN])
    session[login.TOKEN] = token
    flash("Your password is changed. Your other sessions are ended.", "good")
    return redirect(url_for("dashboard.sessions"), 303)


def _form(error: str = "") -> str:
    return render_template("dashboard/own_password.html", error=error, least=LEAST_LENGTH, most=MOST_LENGTH)
