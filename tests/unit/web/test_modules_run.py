"""How many modules accept a notification: all that run, and those that only that needs; docs/architecture.md has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.modules_run import modules_run
from tests.unit.web.conftest import KEY, WebEnvironment, make_environment
from tests.unit.web.rsgi_client import scope_of, serve
from wavecom.web.app import WaveComFlask

PATH = "/api/notifications"
BODIES = {
    "sms": b'{"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}',
    "email": b'{"type":"email","to":{"email":"a@example.com"},"payload":{"subject":"Hi","text":"Hello"}}',
}
#: Stand in for servers here, with what only they call; so they are none of the modules that count.
STORES = {"storage.mongo.documents", "storage.mongo.client_json", "core.recipients", "core.ports"}


def _by_flask(environment: WebEnvironment, body: bytes) -> None:
    assert environment.client().post(PATH, data=body, content_type="application/json").status_code == 202


def _by_fast_path(environment: WebEnvironment, body: bytes) -> None:
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    assert isinstance(environment.app, WaveComFlask)
    [answer] = serve(environment.app.rsgi, [(scope_of("POST", PATH, headers), body)])
    assert answer.status_code == 202


def _make_a_key(environment: WebEnvironment) -> None:
    """Another POST with a key and a body: what runs for it as well is no matter of acceptance."""
    answer = environment.client().post("/api/keys", json={"name": "backend", "scopes": ["send"]})
    assert answer.status_code == 201


def _run(call: Callable[[WebEnvironment], None]) -> set[str]:
    # Imports and what is made at the first request are no part of the way.
    call(make_environment())
    environment = make_environment()
    return set(modules_run(lambda: call(environment))) - STORES


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(("way", "most", "most_of_its_own"), [(_by_flask, 33, 17), (_by_fast_path, 36, 22)])
def test_accepting_a_notification_touches_no_more_modules_than_the_documentation_says(
    name: str, way: Callable[[WebEnvironment, bytes], None], most: int, most_of_its_own: int
) -> None:
    touched = _run(lambda environment: way(environment, BODIES[name]))
    of_its_own = touched - _run(_make_a_key)

    assert len(touched) <= most, sorted(touched)
    assert len(of_its_own) <= most_of_its_own, sorted(of_its_own)
