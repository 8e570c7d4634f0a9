"""Signing in by an identity provider: where a browser leaves for it, and where it comes back to."""

from __future__ import annotations

import json
import math

import structlog
from flask import abort, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from wavecom.accounts.sign_on import BegunSignOn, SignOn
from wavecom.core.sign_on import NoRoleError, SignOnError
from wavecom.errors import StoreError, UnavailableError
from wavecom.web.dashboard import login
from wavecom.web.dashboard.context import pages
from wavecom.web.security import FORBIDDEN, PAGES, THROTTLED, WRONG_LOGIN

log = structlog.get_logger()

#: Where the cookie keeps what was begun, by state: of a few, for somebody may have clicked twice.
_BEGUN = "sign_on"
_MOST_BEGUN = 3
#: Browsers keep no cookie of more than four kilobytes, and then nobody gets in.
_LONGEST_PATH = 500


def begin_sign_on() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Send the browser to the identity provider. A link, not a form: forms may go to nobody but us."""
    wanted = login.wanted_path()
    if len(wanted) > _LONGEST_PATH:
        wanted = login.local_path("")
    if current_user.is_authenticated:
        return redirect(wanted)
    try:
        url, begun = _sign_on().begin(url_for("dashboard.finish_sign_on", _external=True), wanted)
    except StoreError:
        raise
    except UnavailableError as error:
        return _provider_away(error)
    kept = dict(session.get(_BEGUN, {}))
    while len(kept) >= _MOST_BEGUN:
        del kept[next(iter(kept))]
    session[_BEGUN] = kept | {begun.state: begun.as_json()}
    return redirect(url, 303)


def finish_sign_on() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """Let in whom the identity provider's answer vouches for."""
    address = request.remote_addr or ""
    sign_on = _sign_on()
    kept = dict(session.get(_BEGUN, {}))
    begun = BegunSignOn.of_json(kept.pop(request.args.get("state", ""), None))
    # Whatever comes of it: an answer counts once.
    session[_BEGUN] = kept
    try:
        result = sign_on.finish(begun, request.args.to_dict(), address)
    except SignOnError as error:
        reason = FORBIDDEN if isinstance(error, NoRoleError) else WRONG_LOGIN
        pages().security_events.noted(PAGES, reason, address)
        log.warning("sign_on_refused", reason=error.reason, address=address)
        return _page(403, "You are not signed in", str(error))
    except StoreError:
        raise
    except UnavailableError as error:
        return _provider_away(error)
    if result.user is None or begun is None:
        pages().security_events.noted(PAGES, THROTTLED, address)
        seconds = math.ceil(result.wait_seconds)
        text = f"Too many sign-ins from your network did not work out. Wait {seconds} s, then begin again."
        return *_page(429, "Too many tries", text), {"Retry-After": str(seconds)}
    found = pages().access.viewer_of_user(result.user)
    return login.enter(found, login.local_path(begun.wanted), result.id_token)


def signed_out_there() -> Response:
    """The identity provider, not a browser, says that sessions are over (Back-Channel Logout 1.0, section 2.5)."""
    services = pages().services
    try:
        ended = _sign_on().sign_out(request.form.get("logout_token", ""), services.sessions)
    except SignOnError as error:
        address = request.remote_addr or ""
        pages().security_events.noted(PAGES, WRONG_LOGIN, address)
        log.warning("logout_token_refused", reason=error.reason, address=address)
        return _told(400, {"error": "invalid_request", "error_description": f"not believed: {error.reason}"})
    except UnavailableError as error:
        log.warning("sessions_not_ended_by_provider", error=error.code)
        return _told(503, {"error": "temporarily_unavailable"})
    log.info("sessions_ended_by_provider", count=ended)
    return _told(200, {"ended": ended})


def _told(status: int, body: dict[str, object]) -> Response:
    response = Response(json.dumps(body), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _sign_on() -> SignOn:
    found = pages().services.sign_on
    if found is None:
        abort(404)
    return found


def _provider_away(error: UnavailableError) -> tuple[str, int, dict[str, str]]:
    log.warning("identity_provider_unavailable", error=str(error))
    text = "The identity provider does not answer as it should, so nobody can sign in by it now. Try again in a moment."
    return *_page(503, "Not available now", text), {"Retry-After": str(error.retry_after_seconds)}


def _page(status: int, title: str, text: str) -> tuple[str, int]:
    return render_template("dashboard/error.html", title=title, text=text, again=""), status
