"""What every page says to the browser: load nothing from elsewhere, run nothing inline, keep nothing."""

from __future__ import annotations

from flask import Response, request

#: Our own stylesheet, script and icon, forms to ourselves, and nothing else at all.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "frame-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

#: The addresses that our own pages may frame, with a stricter policy of their own.
FRAMED = frozenset(("dashboard.preview_frame", "dashboard.template_frame"))

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": over https the CSRF check wants to see that a form came from here.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


def add_headers(response: Response) -> Response:
    """An ``after_request`` function. Pages hold personal data, so no cache may keep them; static files are the rest."""
    is_framed = request.endpoint in FRAMED
    own = response.headers.get("Content-Security-Policy")
    response.headers.update(HEADERS)
    if is_framed and own is not None:
        response.headers["Content-Security-Policy"] = own
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
    if request.endpoint != "dashboard.static":
        response.headers["Cache-Control"] = "no-store"
    return response
