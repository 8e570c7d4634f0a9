"""Which threads a request gets, and what it is told when nobody can say whose it is."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.memory_storage import MemoryKeyStore
from tests.unit.web.rsgi_client import Connection, scope_of, serve
from wavecom.accounts import KeyRing
from wavecom.core.keys import KeyRecord
from wavecom.errors import StoreError
from wavecom.web.proxies import TrustedProxies
from wavecom.web.request_middleware import HANDED_ON
from wavecom.web.rsgi import RsgiApplication

KEY = "wc_live_" + "k" * 43


class _NoFastPath:
    """Takes no request."""

    def enqueue(self, *_: object) -> bool:
        return False


class _App:
    """Answers 200, or 503 what was handed on; remembers who asked."""

    def __init__(self) -> None:
        self.threads: list[str] = []
        self.errors: list[Exception | None] = []

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        self.threads.append(threading.current_thread().name.rpartition("-")[0])
        self.errors.append(environ.get(HANDED_ON))
        start_response("503 " if HANDED_ON in environ else "200 ", [])
        return [b""]


class _Away(MemoryKeyStore):
    asked = 0

    def find(self, hash_: str) -> KeyRecord | None:
        self.asked += 1
        raise StoreError("no answer from the store")


def _serve(app: _App, store: MemoryKeyStore, path: str, body: bytes = b"", count: int = 1) -> list[Connection]:
    headers = {"Authorization": f"Bearer {KEY}", "Content-Length": str(len(body))}
    scope = scope_of("POST" if body else "GET", path, headers)
    served: Any = app
    fast_path: Any = _NoFastPath()
    rsgi = RsgiApplication(
        served,
        fast_path,
        fast_path,
        KeyRing(store, FakeClock()),
        TrustedProxies(0),
        threads=4,
        max_in_flight=100,
        max_body_bytes=1_000,
    )
    return serve(rsgi, [(scope, body)] * count)


@pytest.mark.parametrize(
    ("path", "lane"),
    [
        ("/api/notifications", "api"),
        ("//api/notifications", "api"),
        ("///api/notifications/batch", "api"),
        ("/login", "pages"),
        ("//login", "pages"),
        ("/apidocs", "pages"),
        ("/healthz", "healthz"),
        ("//readyz", "readyz"),
        ("/readyz/accepting", "readyz/accepting"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"{}"])
def test_an_address_has_its_lane_however_many_slashes_it_begins_with(path: str, lane: str, body: bytes) -> None:
    app, store = _App(), MemoryKeyStore()
    KeyRing(store, FakeClock()).ensure_first_key(KEY)

    [proto] = _serve(app, store, path, body)

    assert proto.status_code == 200
    assert app.threads == [lane]


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_who_is_not_known_gets_no_thread_of_the_api(body: bytes) -> None:
    app = _App()

    protos = _serve(app, MemoryKeyStore(), "/api/notifications", body, count=150)

    # More than may be in flight, and nobody is told that there is no room: that is for those who are known.
    assert {each.status_code for each in protos} == {200}
    assert set(app.threads) == {"anonymous"}


def test_a_store_that_is_away_is_said_without_asking_it_for_each() -> None:
    app, store = _App(), _Away()

    protos = _serve(app, store, "/api/notifications", b"{}", count=40)

    assert {each.status_code for each in protos} == {503}
    assert {type(each) for each in app.errors} == {StoreError}
    assert store.asked == 1
    # Threads that answer without a server.
    assert set(app.threads) == {"refusals"}
    # Its body is out of the way: the connection is good for the next request.
    assert not any(each.headers for each in protos)


@pytest.mark.parametrize("path", ["/receipts/twilio", "//receipts/twilio"])
def test_receipts_have_threads_of_their_own_and_need_no_key(path: str) -> None:
    app = _App()

    [connection] = _serve(app, _Away(), path, b"MessageStatus=sent")

    assert (app.threads, app.errors, connection.status_code) == (["receipts"], [None], 200)
