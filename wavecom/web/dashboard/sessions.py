"""The session cookie: signed, readable by no script, sent to no other site, and only over TLS where that is used.

It holds the token of a session that the store keeps (``wavecom.accounts.sessions``), and what strangers need too: the
CSRF token and a message to show once.
"""

from __future__ import annotations

import hmac

from flask import Flask, Request, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from wavecom.services.shared import session_secret
from wavecom.settings import Settings

#: Where there are no sessions: a request with a key pays nothing for a cookie that it does not have.
_WITHOUT = ("/api/",)


class _PageSessions(SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return None if request.path.startswith(_WITHOUT) else super().open_session(app, request)

    def get_cookie_name(self, app: Flask) -> str:
        # Browsers take a cookie of this name only from this very host, over TLS and for all paths: neither a neighbour
        # on another subdomain nor a page over plain HTTP can plant one (RFC 6265bis, section 4.1.3.2).
        name = super().get_cookie_name(app)
        return f"__Host-{name}" if request.is_secure else name

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def set_up_sessions(app: Flask, settings: Settings) -> bytes:
    """Sign sessions with the secret of ``settings``, else with one kept in a file; answers the secret."""
    text = session_secret(settings)
    app.secret_key = text
    secret = text.encode()
    # Cookies don't know ports: two copies of WaveCom on one machine must not take each other's.
    own = hmac.digest(secret, b"cookie name", "sha256").hex()[:8]
    app.config.update(
        SESSION_COOKIE_NAME=f"wavecom_{own}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    app.session_interface = _PageSessions()
    return secret
