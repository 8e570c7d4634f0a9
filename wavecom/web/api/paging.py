"""Lists in pages: the address of the next one, in the body and as a ``Link``."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from flask import Response, request

from wavecom.web.api.common import json_response

#: The header of every page, as the OpenAPI document tells of it.
LINK: Final = {"Link": "the address of the next page, where there is one"}


def page_response(items: list[Any], cursor: str | None) -> Response:
    """``{"items": …, "next": …}`` for the request at hand; ``cursor`` None: this is the last page."""
    link = None if cursor is None else _with_cursor(cursor)
    response = json_response({"items": items, "next": link})
    if link is not None:
        response.headers["Link"] = f'<{link}>; rel="next"'
    return response


def _with_cursor(cursor: str) -> str:
    query = [(name, value) for name, value in request.args.items(multi=True) if name != "cursor"]
    return f"{request.root_path}{request.path}?{urlencode([*query, ('cursor', cursor)])}"
