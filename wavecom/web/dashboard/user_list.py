"""Users of the pages, for an admin: their roles, and keeping one out. Made and reset by ``wavecom users`` alone.

New credentials are shown once, and a terminal is a better place for that than a browser.
"""

from __future__ import annotations

from flask import abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from wavecom.accounts.users import InvalidUserError, UserNotFoundError
from wavecom.core.roles import Role
from wavecom.web.dashboard.context import pages, viewer

_PAGE_SIZE = 50


def users() -> str:
    """A page of the list, by name."""
    after = request.args.get("after", "")
    found = [user for user in pages().services.users.list() if user.name > after]
    shown = found[:_PAGE_SIZE]
    further = url_for("dashboard.users", after=shown[-1].name) if len(found) > _PAGE_SIZE else None
    first = url_for("dashboard.users") if after else None
    return render_template("dashboard/users.html", users=shown, roles=list(Role), first=first, further=further)


def change_role(name: str) -> Response:
    """Give a user another role; nobody changes his own, so that an admin is always left who can."""
    try:
        role = Role(request.form.get("role", ""))
    except ValueError:
        abort(400, f"The role is one of {', '.join(Role)}.")
    if _is_self(name):
        return _back("Your own role another admin changes.", "warn")
    try:
        pages().services.users.change_role(name, role, by=viewer().actor.name)
    except UserNotFoundError:
        abort(404)
    except InvalidUserError as error:
        return _back(str(error), "warn")
    return _back(f"{name} is {role} now, at once in open sessions too.")


def disable(name: str) -> Response:
    """Keep a user out."""
    if _is_self(name):
        return _back("Yourself you can’t keep out. Another admin can.", "warn")
    try:
        pages().services.users.disable(name, by=viewer().actor.name)
    except UserNotFoundError:
        abort(404)
    return _back(f"{name} is kept out. Open sessions are ended.")


def enable(name: str) -> Response:
    """Let a user in again."""
    try:
        pages().services.users.enable(name, by=viewer().actor.name)
    except UserNotFoundError:
        abort(404)
    return _back(f"{name} may sign in again.")


def _is_self(name: str) -> bool:
    return viewer().user == name


def _back(text: str, category: str = "good") -> Response:
    flash(text, category)
    return redirect(url_for("dashboard.users"), 303)
