"""Requests counted by route and status: what the API is asked, and what it answers."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, request
from prometheus_client import Counter

REQUESTS = Counter(
    "wavecom_http_requests",
    "Requests by the route that they met, never by their address; none: no route has it.",
    ["method", "route", "status"],
)

NO_ROUTE = "none"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

#: Children of the counter; there are as many as routes, times the few statuses that each has.
_children: dict[tuple[str, str, int], Any] = {}


def count(method: str, route: str, status: int) -> None:
    """One request; ``route`` is a template of ours. Thread-safe, a microsecond."""
    key = (method if method in _METHODS else "other", route, status)
    child = _children.get(key)
    if child is None:
        child = _children[key] = REQUESTS.labels(*map(str, key))
    child.inc()


def install(app: Flask) -> None:
    """Count every request of ``app``."""

    def after(response: Response) -> Response:
        rule = request.url_rule
        count(request.method, rule.rule if rule is not None else NO_ROUTE, response.status_code)
        return response

    app.after_request(after)
