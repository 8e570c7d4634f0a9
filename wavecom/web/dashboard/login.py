"""Signing in with a key, or with a name and a password; and what every way of signing in ends with."""

from __future__ import annotations

import math
import re

import structlog
from flask import redirect, render_template, request, session, url_for
from flask_login import current_user, login_user
from werkzeug.wrappers import Response

from wavecom.errors import ForbiddenError
from wavecom.web.dashboard.access import Viewer
from wavecom.web.dashboard.context import pages
from wavecom.web.security import FORBIDDEN, PAGES, THROTTLED, WRONG_LOGIN

log = structlog.get_logger()

#: Where the cookie keeps the token of a session.
TOKEN = "token"  # noqa: S105 - the name of a field

#: A path on this very server: no scheme, no host, and no character that a browser would drop or bend into one.
_LOCAL_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


def login() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Show the form; check what was typed."""
    if request.method == "GET":
        return redirect(wanted_path()) if current_user.is_authenticated else _form(200)
    if _is_by_name():
        if not pages().services.settings.password_sign_in:
            return _form(403, "Passwords open nothing here. Sign in by the identity provider.")
        return _login_by_name()
    address, secret = request.remote_addr or "", request.form.get("secret", "").strip()
    events = pages().security_events
    try:
        found = pages().access.viewer_for(secret)
    except ForbiddenError as error:
        events.refused(PAGES, FORBIDDEN, address, secret, error.key_id)
        return _form(403, str(error))
    if found is None:
        # Asked only now: whatever others have tried, who has the right secret is let in.
        seconds = math.ceil(events.refused(PAGES, WRONG_LOGIN, address, secret))
        if not seconds:
            return _form(401, "That is not a key or password that WaveCom knows. Check it for missing characters.")
        text = (
            "That is not a key or password that WaveCom knows either. The right one is let in at any time; "
            f"with others, wait {seconds} second{'' if seconds == 1 else 's'}."
        )
        return *_form(429, text), {"Retry-After": str(seconds)}
    return enter(found, wanted_path())


def _login_by_name() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    address = request.remote_addr or ""
    name, password, code = (request.form.get(field, "") for field in ("name", "secret", "code"))
    found, wait_seconds = pages().access.user_for(name, password, code, address)
    if found is not None:
        return enter(found, wanted_path())
    # Counted and logged here, slowed down in ``accounts.users``, by stricter rules than those for keys.
    pages().security_events.noted(PAGES, THROTTLED if wait_seconds else WRONG_LOGIN, address)
    if not wait_seconds:
        return _form(401, "The name, the password or the code is wrong, or the code was used before.")
    seconds = math.ceil(wait_seconds)
    text = f"There were too many wrong tries. Wait {seconds} second{'' if seconds == 1 else 's'}, then try again."
    return *_form(429, text), {"Retry-After": str(seconds)}


def enter(found: Viewer, path: str, id_token: str = "") -> Response:
    """Open a session and go to ``path``. ``id_token`` is of the identity provider that vouches for ``found``."""
    address = request.remote_addr or ""
    # Nothing of the session before the login lives on, its CSRF token included.
    end_session()
    token = pages().access.open_session(found, address, request.user_agent.string, id_token)
    login_user(found)
    session[TOKEN] = token
    log.info("page_login", viewer=found.id, address=address)
    return redirect(path, 303)


def end_session() -> None:
    """End this browser's session, if it has one, and forget all that its cookie holds."""
    token = session.get(TOKEN)
    if token:
        pages().access.end_session(token)
    session.clear()


def _form(status: int, error: str = "") -> tuple[str, int]:
    takes_password = pages().services.settings.operator_password is not None
    takes_names = pages().services.settings.password_sign_in
    page = render_template(
        "dashboard/login.html",
        error=error,
        next=wanted_path(),
        takes_password=takes_password,
        takes_names=takes_names,
        has_sign_on=pages().services.sign_on is not None,
        is_by_name=_is_by_name() and takes_names,
        name=request.form.get("name", ""),
    )
    return page, status


def _is_by_name() -> bool:
    """Whether a user signs in, or somebody with a key or the operators' password."""
    return request.args.get("with") == "user"


def wanted_path() -> str:
    """Where the request says to go after the login."""
    return local_path(request.values.get("next", ""))


def local_path(wanted: str) -> str:
    """``wanted`` if it is a path on this very server, else the status page's."""
    return wanted if _LOCAL_PATH.fullmatch(wanted) else url_for("dashboard.status")
