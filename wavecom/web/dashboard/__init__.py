"""The status pages: rendered by the server, readable without a script, behind a login.

They share the API's services, schemas and use cases; nothing about a notification is decided here.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Flask, g, redirect, request, session, url_for
from flask_login import LoginManager, current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.wrappers import Response

from wavecom import __version__
from wavecom.accounts.expiring_cache import ExpiringCache
from wavecom.core.account import client_of, is_test_account
from wavecom.core.prices import written
from wavecom.errors import StoreError
from wavecom.services.shared import new_key_id
from wavecom.services.web import WebServices
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.sending import Sending
from wavecom.web.dashboard import errors, formatting, headers, login, sign_on, words
from wavecom.web.dashboard.access import Viewer, ViewerAuthenticator
from wavecom.web.dashboard.context import EXTENSION, Pages
from wavecom.web.dashboard.fields import sentence
from wavecom.web.dashboard.routes import BY_ENDPOINT, OPEN, ROUTES
from wavecom.web.dashboard.sessions import set_up_sessions
from wavecom.web.dashboard.snapshots import Snapshots
from wavecom.web.health import Readiness
from wavecom.web.security import SecurityEvents

NAVIGATION = (
    ("dashboard.overview", "Overview"),
    ("dashboard.status", "Status"),
    ("dashboard.notifications", "Notifications"),
    ("dashboard.dead_letters", "Dead letters"),
    ("dashboard.providers", "Providers"),
    ("dashboard.suppressions", "Suppressions"),
    ("dashboard.templates", "Templates"),
    ("dashboard.campaigns", "Campaigns"),
    ("dashboard.callbacks", "Callbacks"),
    ("dashboard.outbox", "Outbox"),
    ("dashboard.send", "Send"),
    ("dashboard.system", "Workers"),
    ("dashboard.clients", "Clients"),
    ("dashboard.audit", "Audit"),
)

#: How addresses of parts end that pages load again and again, or have sent.
_LIVE = ("/live", "/stream")

#: How old counts of dead letters may be.
TALLY_SECONDS = 15.0

#: A login form is small; a stranger's body is not read beyond this.
_ANONYMOUS_LIMIT_BYTES = 16 * 1024


def register(app: Flask, services: WebServices, events: SecurityEvents) -> None:
    """Add the pages to ``app``: their addresses, login, CSRF protection and error pages. The API is not touched."""
    secret = set_up_sessions(app, services.settings)
    access = ViewerAuthenticator(
        services.keys,
        services.users,
        services.sessions,
        services.settings.operator_password,
        secret,
        takes_passwords=services.settings.password_sign_in,
        issuer=None if services.sign_on is None else services.sign_on.issuer,
    )
    app.jinja_env.globals["sign_on_label"] = services.settings.oidc_label
    app.extensions[EXTENSION] = Pages(
        services=services,
        access=access,
        security_events=events,
        readiness=Readiness(services.checks),
        schema=NotificationSchema(
            services.clock.now, services.settings.mail_addresses, services.settings.sender_id_signs
        ),
        sending=Sending.over(services),
        snapshots=Snapshots(services.clock.monotonic),
        tallies=ExpiringCache(services.clock.monotonic, seconds=TALLY_SECONDS, capacity=256),
        new_id=new_key_id,
    )
    _set_up_login(app, access)
    app.register_blueprint(_make_blueprint(_make_csrf(app)))
    errors.add_pages_for_lost_addresses(app)


def _set_up_login(app: Flask, access: ViewerAuthenticator) -> None:
    manager = LoginManager()
    # Not init_app: for the sake of "remember me", which is not used here, it would open the session of every request
    # to the app, the API's included.
    app.login_manager = manager  # type: ignore[attr-defined]

    def load(viewer_id: str) -> Viewer | None:
        token = session.get(login.TOKEN)
        try:
            # Pages that update by themselves go on asking when nobody looks any more.
            viewer = access.viewer_of(token, is_activity=not request.path.endswith(_LIVE)) if token else None
        except StoreError as error:
            # Nobody can tell now who it is: kept for ``require_viewer``, because error pages too ask who is looking.
            g.unknown_viewer = error
            return None
        return viewer if viewer is not None and viewer.id == viewer_id else None

    manager.user_loader(load)


def _make_csrf(app: Flask) -> CSRFProtect:
    # Off by default, so that the API's addresses know nothing of it; the blueprint asks for each of its own.
    # A token lives as long as its session: a form may be filled in slowly.
    app.config.update(WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None)
    csrf = CSRFProtect()
    csrf.init_app(app)
    return csrf


def _make_blueprint(csrf: CSRFProtect) -> Blueprint:
    blueprint = Blueprint(
        "dashboard", __name__, template_folder="templates", static_folder="static", static_url_path="/assets"
    )

    def require_viewer() -> Response | None:
        limit = _ANONYMOUS_LIMIT_BYTES
        if request.endpoint not in OPEN:
            if not current_user.is_authenticated:
                if "unknown_viewer" in g:
                    raise g.unknown_viewer
                return _to_login()
            limit = request.max_content_length or limit
        request.max_content_length = request.max_form_memory_size = limit
        if request.endpoint != "dashboard.signed_out_there":
            # That one is asked by the identity provider, which signs what it says, and has no session to ride on.
            csrf.protect()
        if request.endpoint not in OPEN:
            current_user.check(BY_ENDPOINT[request.endpoint or ""].permission(request.method))
        return None

    blueprint.before_request(require_viewer)
    blueprint.after_request(headers.add_headers)
    blueprint.add_url_rule("/login", "login", login.login, methods=["GET", "POST"])
    blueprint.add_url_rule("/login/sso", "begin_sign_on", sign_on.begin_sign_on)
    blueprint.add_url_rule("/login/sso/callback", "finish_sign_on", sign_on.finish_sign_on)
    blueprint.add_url_rule("/login/sso/logout", "signed_out_there", sign_on.signed_out_there, methods=["POST"])
    for route in ROUTES:
        blueprint.add_url_rule(route.path, route.endpoint, route.view, methods=route.methods)
    errors.add_error_pages(blueprint)
    blueprint.app_context_processor(_context)
    for name in ("iso", "clock_time", "file_size", "latency", "thousands", "masked_recipient", "masked"):
        blueprint.add_app_template_filter(getattr(formatting, name), name)
    blueprint.add_app_template_filter(sentence, "sentence")
    blueprint.add_app_template_filter(written, "amount")
    return blueprint


def _to_login() -> Response:
    # After a login a form would be asked for again anyway, so only addresses that can be opened are remembered.
    wanted = request.full_path.rstrip("?") if request.method == "GET" and not request.path.endswith(_LIVE) else None
    return redirect(url_for("dashboard.login", next=wanted), 303)


def _context() -> dict[str, Any]:
    return {
        "viewer": current_user,
        "navigation": [
            (endpoint, word)
            for endpoint, word in NAVIGATION
            if current_user.is_authenticated and current_user.may(BY_ENDPOINT[endpoint].permission("GET"))
        ],
        "version": __version__,
        "client_of": client_of,
        "is_test_account": is_test_account,
        "suppression_look": words.SUPPRESSION_STATES.__getitem__,
        "template_look": words.TEMPLATE_STATES.__getitem__,
        "campaign_look": words.CAMPAIGN_STATES.__getitem__,
        "campaign_hold_word": words.CAMPAIGN_HOLDS.get,
        "callback_look": words.CALLBACK_STATES.__getitem__,
        "suppression_source_word": words.SUPPRESSION_SOURCES.__getitem__,
        "suppression_scope_word": words.SUPPRESSION_SCOPES.__getitem__,
        "status_look": words.STATUSES.__getitem__,
        "provider_look": words.PROVIDER_STATES.__getitem__,
        "event_appearance": words.event_appearance,
        "code_explanation": words.code_explanation,
        "channel_word": words.CHANNELS.__getitem__,
        "priority_word": words.PRIORITIES.__getitem__,
        "policy_word": words.POLICIES.__getitem__,
    }
