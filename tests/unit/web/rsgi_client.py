"""Requests as granian hands them over by RSGI, answered on an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
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


class StreamConnection(Connection):
    """A connection whose answer goes on; its peer reads what comes, until it leaves or all has come."""

    def __init__(self, body: bytes = b"") -> None:
        super().__init__(body)
        self._is_over = asyncio.Event()
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """An answer that is whole, from a thread."""
        super().response_bytes(status, headers, body)
        self._loop.call_soon_threadsafe(self.has_all)

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> _Transport:
        """Begin the answer, of which there may be one."""
        assert self.status_code == 0, "answered twice"
        self.status_code, self.headers = status, Headers(headers)
        return _Transport(self)

    async def client_disconnect(self) -> None:
        """Returns when the peer has left, or has all of the answer."""
        await self._is_over.wait()

    def leave(self) -> None:
        """The peer goes."""
        self._is_over.set()

    def has_all(self) -> None:
        """The answer has ended, and the peer has read it."""
        self._is_over.set()
        self._more.set()

    @property
    def has_ended(self) -> bool:
        """Whether the answer has."""
        return self._is_over.is_set()

    def take(self, data: bytes) -> None:
        """A part of the answer comes."""
        self.data += data
        self._more.set()

    async def until(self, has_come: Callable[[str], bool]) -> str:
        """Read until what has come is this; all of it."""
        async with asyncio.timeout(10):
            while not has_come(self.text):
                self._more.clear()
                await self._more.wait()
        return self.text


class _Transport:
    """As granian's: takes all that it is given, and ends the answer when nobody holds it any more."""

    def __init__(self, connection: StreamConnection) -> None:
        self._connection = connection

    async def send_bytes(self, data: bytes) -> None:
        """Never waits."""
        self._connection.take(data)

    def __del__(self) -> None:
        self._connection.has_all()


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
