"""Signing out: here, and with the identity provider that vouched for somebody."""

from __future__ import annotations

import structlog
from flask import flash, redirect, render_template, request, session, url_for
from flask_login import logout_user
from werkzeug.wrappers import Response

from wavecom.web.dashboard import login
from wavecom.web.dashboard.context import pages, viewer

log = structlog.get_logger()


def logout() -> Response | str:
    """End the session, here and wherever its cookie was copied to, and lead on to the provider's own logout."""
    log.info("page_logout", viewer=viewer().id, address=request.remote_addr)
    url = _url_of_provider()
    login.end_session()
    logout_user()
    if url is not None:
        # Not by a redirect: browsers hold the redirects of a form against the page's Content-Security-Policy too.
        return render_template("dashboard/signed_out.html", url=url)
    flash("You are signed out.", "good")
    return redirect(url_for("dashboard.login"), 303)


def _url_of_provider() -> str | None:
    """Where a browser ends its session with the provider (RP-Initiated Logout); None where it has none there."""
    sign_on = pages().services.sign_on
    if sign_on is None or not viewer().is_federated:
        return None
    id_token = pages().services.sessions.id_token_of(session[login.TOKEN])
    return sign_on.logout_url(id_token, url_for("dashboard.login", _external=True))
