"""Where a client is told what concerns it as a whole."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.unit.web.conftest import NOW, WebEnvironment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord


def test_a_contact_is_set_read_and_forgotten_and_the_audit_has_no_address(
    api: FlaskClient, environment: WebEnvironment
) -> None:
    before = api.get("/api/contact").json
    answer = api.put("/api/contact", json={"email": "Platform@Bücher.example"})

    assert before == {"email": None}
    assert answer.json == api.get("/api/contact").json == {"email": "Platform@xn--bcher-kva.example"}
    assert environment.keys.contact("default") == "Platform@xn--bcher-kva.example"
    assert api.put("/api/contact", json={"email": None}).json == {"email": None}
    assert environment.keys.contact("default") is None
    events = [event for event in environment.key_audit.events.values() if event.action == "set_contact"]
    assert [event.details for event in events] == [{"isKnown": True}, {"isKnown": False}]


@pytest.mark.parametrize("body", [{}, {"email": "nobody"}, {"email": 1}, {"address": "a@b.example"}])
def test_what_is_no_contact_is_refused(api: FlaskClient, environment: WebEnvironment, body: Any) -> None:
    assert api.put("/api/contact", json=body).status_code == 422
    assert environment.keys.contact("default") is None


@pytest.mark.parametrize(("is_live", "scopes"), [(False, set(KeyScope)), (True, set(KeyScope) - {KeyScope.ADMIN})])
def test_a_test_key_and_one_that_does_not_administer_are_refused(
    environment: WebEnvironment, is_live: bool, scopes: set[KeyScope]
) -> None:
    environment.keys.add(
        KeyRecord(
            key_id="other",
            hash=hash_of("other"),
            client="default",
            scopes=frozenset(scopes),
            is_live=is_live,
            created_at=NOW,
        )
    )
    api = environment.client("other")

    assert api.put("/api/contact", json={"email": "a@b.example"}).status_code == 403
    assert api.get("/api/contact").status_code == 403
    assert environment.keys.contact("default") is None
