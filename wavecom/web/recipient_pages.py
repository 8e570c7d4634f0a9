"""What the pages have in common that links in messages lead to: no login, no cookies, no scripts, nothing kept."""

from __future__ import annotations

from typing import Final

from flask import Response

from wavecom.core.unsubscribe import ONE_CLICK

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
#: The field, and its value, by which a reader of mail says that it unsubscribes somebody (RFC 8058).
ONE_CLICK_FIELD, _, ONE_CLICK_VALUE = ONE_CLICK.partition("=")


def page_response(page: str, status: int = 200) -> Response:
    """The answer with ``page`` as HTML: kept by nobody, framed by nobody, and its address told to nobody."""
    return Response(page, status, _HEADERS, mimetype="text/html")
