"""Cross-origin requests (the Fetch standard): none, unless ``WAVECOM_CORS_ORIGINS`` names the sites that may.

For the API only, and without credentials: an API key in a header is sent on purpose, a cookie would be sent by itself.
A key in a page can be read by whoever reads the page; give it few scopes, or better keep it on a server.
"""

from __future__ import annotations

from collections.abc import Collection

from flask import Flask, Response, request

_PREFIX = "/api/"
_REQUEST_HEADERS = "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Request-ID"
#: What a script of another site may read of an answer, beside what it always may.
_ANSWER_HEADERS = (
    "Idempotent-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
)
_PREFLIGHT_SECONDS = 600


def install(app: Flask, origins: Collection[str]) -> None:
    """Let pages of exactly these ``origins`` use the API of ``app``. With none nothing is installed at all."""
    if not origins:
        return
    allowed = frozenset(origins)

    def add(response: Response) -> Response:
        if not request.path.startswith(_PREFIX):
            return response
        # The answer differs by origin: no cache may give one site's to another.
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin not in allowed:
            return response
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = _ANSWER_HEADERS
        # Another site is meant to read this one.
        response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
            response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_SECONDS)
        return response

    app.after_request(add)
