"""Parts of pages that static/refresh.js asks for again and again: answered 304 while they are the same."""

from __future__ import annotations

import hashlib

from flask import Response, make_response, request


def fragment(html: str) -> Response:
    """``html`` with an ETag of its content, or 304 when the browser has it already."""
    response = make_response(html)
    response.set_etag(hashlib.sha256(html.encode()).hexdigest()[:24])
    response.make_conditional(request)
    return response
