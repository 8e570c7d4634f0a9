"""Requests as granian hands them over by RSGI, answered on an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import orjson
from flask import Flask, Response
from werkzeug.datastructures import Headers

from wavecom.web.rsgi import RsgiApplication


class RequestHeaders:
    """As granian has them: names in lower case, each as often as it was sent."""

    def __init__(self, headers: Sequence[tuple[str, str]]) -> None:
        self._items = [(name.lower(), value) for name, value in headers]

    def __contains__(self, name: str) -> bool:
        return any(each == name for each, _ in self._items)

    def __len__(self) -> int:
        return len(self.keys())

    def get(self, name: str) -> str | None:
        """The first value of one name."""
        return next(iter(self.get_all(name)), None)

    def get_all(self, name: str) -> list[str]:
        """Every value of one name."""
        return [value for each, value in self._items if each == name]

    def items(self) -> list[tuple[str, str]]:
        """All of them, in order."""
        return self._items

    def keys(self) -> list[str]:
        """Each name once."""
        return list(dict(self._items))


@dataclass
class Connection:
    """A connection whose peer has sent all of its body; holds the answer."""

    body: bytes = b""
    status_code: int = 0
    headers: Headers = field(default_factory=Headers)
    data: bytes = b""

    @property
    def text(self) -> str:
        """The answer's body."""
        return self.data.decode()

    @property
    def json(self) -> Any:
        """The answer's body, parsed."""
        return orjson.loads(self.data)

    async def __call__(self) -> bytes:
        """The body of the request."""
        return self.body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Keep the answer, of which there may be one."""
        assert self.status_code == 0, "answered twice"
        self.status_code, self.headers, self.data = status, Headers(headers), body


def scope_of(method: str, path: str, headers: Mapping[str, str] | Sequence[tuple[str, str]], query: str = "") -> Any:
    """A request's scope."""
    pairs = list(headers.items()) if isinstance(headers, Mapping) else headers
    return SimpleNamespace(
        path=path,
        method=method,
        headers=RequestHeaders(pairs),
        query_string=query,
        http_version="1.1",
        scheme="http",
        client="127.0.0.1:4711",
        server="127.0.0.1:8000",
        authority=None,
    )


def serve(rsgi: RsgiApplication, requests: Sequence[tuple[Any, bytes]]) -> list[Connection]:
    """Answer requests, each a scope and a body, that come at one time."""
    connections = [Connection(body) for _, body in requests]

    async def main() -> None:
        rsgi.start(asyncio.get_running_loop())
        async with asyncio.timeout(60):
            pairs = zip(requests, connections, strict=True)
            await asyncio.gather(*(rsgi.serve(scope, each) for (scope, _), each in pairs))  # type: ignore[arg-type]

    asyncio.run(main())
    return connections


def flask_threads(app: Flask) -> list[str]:
    """The threads in which Flask will have served a request, one for each."""
    seen: list[str] = []

    @app.after_request
    def note(response: Response) -> Response:
        seen.append(threading.current_thread().name.rpartition("-")[0])
        return response

    return seen
