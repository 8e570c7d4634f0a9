"""``/api/providers``: seen and changed by who runs WaveCom."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.factories import NOW
from tests.memory_storage import MemoryOverrideStore, MemoryWeightFactorStore
from tests.provider_administration import MemoryProviderAudit, provider_administration_over
from tests.unit.web.conftest import make_environment
from wavecom.accounts import KeyScope, hash_of
from wavecom.core.keys import KeyRecord
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.settings import Settings
from wavecom.web.app import create_app

FILE = """\
[providers.gateway]
type = "http"
url = "https://gateway.example"
headers = { Authorization = "$UNSET" }
[providers.spare]
type = "sandbox"
[providers.alone]
type = "sandbox"
[routes]
sms = [{ provider = "gateway", weight = 90 }, { provider = "spare", weight = 10 }, "alone"]
"""
STATUSES = {
    "gateway": ProviderStatus(
        "gateway", ProviderAvailability.LEFT_ALONE, NOW + timedelta(seconds=60), "no credit", "balance"
    )
}


@dataclass
class Environment:
    app: Any
    api: FlaskClient
    overrides: MemoryOverrideStore
    factors: MemoryWeightFactorStore
    audit: MemoryProviderAudit

    def change(self, name: str, **wanted: Any) -> Any:
        return self.api.patch(f"/api/providers/{name}", json={"reason": "why not", **wanted})

    def caller(self, key: str) -> FlaskClient:
        client: FlaskClient = self.app.test_client()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        return client


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    file = tmp_path / "providers.toml"
    file.write_text(FILE)
    settings = Settings(secret_key="a secret for tests only", providers_file=file)
    made = make_environment(settings)
    overrides, factors, audit = MemoryOverrideStore(), MemoryWeightFactorStore(), MemoryProviderAudit()
    services = replace(
        made.services,
        providers=provider_administration_over(
            settings, made.clock, overrides=overrides, factors=factors, audit=audit, statuses=STATUSES
        ),
    )
    app = create_app(settings, services)
    for key, client, is_live, scopes in (
        ("wc_live_other-client", "other", True, frozenset(KeyScope)),
        ("wc_test_of-the-first", "default", False, frozenset(KeyScope)),
        ("wc_live_no-admin", "default", True, frozenset(KeyScope) - {KeyScope.ADMIN}),
    ):
        made.keys.add(
            KeyRecord(key_id=key, hash=hash_of(key), client=client, scopes=scopes, is_live=is_live, created_at=NOW)
        )
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = made.client().environ_base["HTTP_AUTHORIZATION"]
    return Environment(app, client, overrides, factors, audit)


def test_providers_are_listed_with_how_they_stand_and_what_was_changed(environment: Environment) -> None:
    environment.change("spare", weight=40)

    gateway, spare, alone = environment.api.get("/api/providers").json["items"]

    assert [each["name"] for each in (gateway, spare, alone)] == ["gateway", "spare", "alone"]
    assert (gateway["state"], gateway["account"], gateway["stateReason"]) == ("left alone", "balance", "no credit")
    assert (gateway["weight"], gateway["changedBy"]) == (None, None)
    assert (spare["state"], spare["weight"], spare["reason"]) == (None, 40, "why not")
    assert spare["changedBy"].startswith("key ")


def test_what_receipts_leave_of_a_weight_is_shown_beside_what_people_set(environment: Environment) -> None:
    environment.factors.replace("gateway", None, WeightFactor(60, ReceiptHealth.SLOW, NOW, NOW))

    changed = environment.change("gateway", weight=20)
    _, spare, _ = environment.api.get("/api/providers").json["items"]

    assert changed.json["weight"] == 20
    assert changed.json["receipts"] == {"percent": 60, "health": "slow", "since": "2026-03-14T09:26:53.589Z"}
    assert spare["receipts"] is None


def test_a_weight_is_kept_audited_and_taken_back(environment: Environment) -> None:
    changed = environment.change("gateway", weight=0)
    back = environment.change("gateway", weight=None)

    assert (changed.status_code, changed.json["weight"], back.json["weight"]) == (200, 0, None)
    assert [(event.action, event.weight) for event in environment.audit.events] == [
        ("weigh_provider", 0),
        ("weigh_provider", None),
    ]


def test_a_pause_is_kept_and_ended_and_leaves_the_weight_alone(environment: Environment) -> None:
    environment.change("gateway", weight=20)

    paused = environment.change("gateway", pausedUntil="2026-03-14T10:00:00Z")
    reopened = environment.change("gateway", pausedUntil=None)

    assert (paused.json["pausedUntil"], paused.json["weight"]) == ("2026-03-14T10:00:00.000Z", 20)
    assert (reopened.json["pausedUntil"], reopened.json["weight"]) == (None, 20)
    assert [event.action for event in environment.audit.events[1:]] == ["pause_provider", "reopen_provider"]


@pytest.mark.parametrize(
    ("name", "wanted", "pointer"),
    [
        ("alone", {"weight": 5}, "/weight"),
        ("gateway", {"weight": -1}, "/weight"),
        ("gateway", {"weight": 0.5}, "/weight"),
        ("gateway", {"pausedUntil": "2026-03-14T09:00:00Z"}, "/pausedUntil"),
        ("gateway", {"pausedUntil": "2026-03-16T09:00:00Z"}, "/pausedUntil"),
        ("gateway", {}, ""),
        ("gateway", {"weight": 5, "reason": ""}, "/reason"),
        ("gateway", {"weights": 5}, "/weights"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_field_and_changes_nothing(
    environment: Environment, name: str, wanted: dict[str, Any], pointer: str
) -> None:
    answer = environment.change(name, **wanted)

    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json["errors"]]
    assert environment.overrides.all() == {}
    assert environment.audit.events == []


def test_a_provider_that_the_file_does_not_declare_is_not_found(environment: Environment) -> None:
    answer = environment.change("gatway", weight=5)

    assert (answer.status_code, answer.json["code"]) == (404, "provider_not_found")


@pytest.mark.parametrize("key", ["wc_live_other-client", "wc_test_of-the-first", "wc_live_no-admin"])
def test_nobody_else_sees_or_changes_them(environment: Environment, key: str) -> None:
    api = environment.caller(key)

    answers = [
        api.get("/api/providers"),
        api.patch("/api/providers/gateway", json={"weight": 1, "reason": "mine"}),
        api.patch("/api/providers/gatway", json={"weight": 1, "reason": "mine"}),
    ]

    assert {(answer.status_code, answer.json["code"]) for answer in answers} == {(403, "forbidden")}
    assert environment.overrides.all() == {}
