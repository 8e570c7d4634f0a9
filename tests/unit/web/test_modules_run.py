"""How many modules a reader has to visit to follow the acceptance of one notification; docs/architecture.md has it."""

from __future__ import annotations

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
#: Stand in for servers here, and so are none of the modules that count.
STORES = {"storage.mongo.documents"}


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


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(("way", "most"), [(_by_flask, 35), (_by_fast_path, 38)])
def test_accepting_a_notification_touches_no_more_modules_than_the_documentation_says(
    name: str, way: object, most: int
) -> None:
    assert callable(way)
    # Imports and what is made at the first request are no part of the way.
    way(make_environment(), BODIES[name])
    environment = make_environment()

    touched = set(modules_run(lambda: way(environment, BODIES[name]))) - STORES

    assert len(touched) <= most, sorted(touched)
