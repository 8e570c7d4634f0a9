"""One suite for every ``OverrideStore``."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryOverrideStore
from wavecom.core.provider_overrides import OverrideStore, ProviderOverride
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore


@pytest.fixture(params=["memory", "mongo"])
def overrides(request: pytest.FixtureRequest) -> OverrideStore:
    if request.param == "memory":
        return MemoryOverrideStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoOverrideStore(database)


def test_at_first_the_file_holds(overrides: OverrideStore) -> None:
    assert overrides.all() == {}


def test_weight_and_pause_are_kept_beside_each_other(overrides: OverrideStore) -> None:
    overrides.set_weight("a", 20, "ada", "contract", NOW)
    overrides.set_pause("a", later(60), "eve", "maintenance", later(1))
    overrides.set_pause("b", later(90), "eve", "maintenance", later(2))

    assert overrides.all() == {
        "a": ProviderOverride("a", later(1), "eve", "maintenance", 20, later(60), None, "eve", "maintenance"),
        "b": ProviderOverride("b", later(2), "eve", "maintenance", None, later(90), None, "eve", "maintenance"),
    }


def test_who_paused_it_and_why_is_known_after_another_change(overrides: OverrideStore) -> None:
    overrides.set_pause("a", later(60), "eve", "maintenance", NOW)

    overrides.set_weight("a", 20, "ada", "contract", later(1))

    found = overrides.all()["a"]
    assert (found.changed_by, found.reason) == ("ada", "contract")
    assert (found.pause_changed_by, found.pause_reason) == ("eve", "maintenance")


def test_each_is_taken_back_alone(overrides: OverrideStore) -> None:
    overrides.set_weight("a", 0, "ada", "contract", NOW)
    overrides.set_pause("a", later(60), "ada", "maintenance", NOW)

    overrides.set_pause("a", None, "ada", "done", later(1))
    without_pause = overrides.all()["a"]
    overrides.set_weight("a", None, "ada", "done", later(2))

    assert (without_pause.weight, without_pause.paused_until) == (0, None)
    assert (without_pause.reopened_at, overrides.all()["a"].reopened_at) == (later(1), later(1))
    assert (overrides.all()["a"].weight, overrides.all()["a"].changed_at) == (None, later(2))
