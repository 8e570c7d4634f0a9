"""One suite for every ``WeightFactorStore``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database

from tests.factories import NOW, later
from tests.memory_storage import MemoryWeightFactorStore
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.core.weight_adjustment import WeightFactorStore
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore

FIRST = WeightFactor(80, ReceiptHealth.SLOW, NOW, later(1))
SECOND = replace(FIRST, percent=60, stepped_at=later(120))


@pytest.fixture(params=["memory", "mongo"])
def factors(request: pytest.FixtureRequest) -> WeightFactorStore:
    if request.param == "memory":
        return MemoryWeightFactorStore()
    database: Database[dict[str, Any]] = request.getfixturevalue("indexed_database")
    return MongoWeightFactorStore(database)


def test_at_first_every_weight_is_whole(factors: WeightFactorStore) -> None:
    assert factors.all() == {}


def test_a_factor_is_kept_replaced_and_taken_back(factors: WeightFactorStore) -> None:
    assert factors.replace("a", None, FIRST)
    assert factors.replace("b", None, FIRST)
    assert factors.replace("a", FIRST, SECOND)
    kept = factors.all()
    assert factors.replace("b", FIRST, None)

    assert kept == {"a": SECOND, "b": FIRST}
    assert factors.all() == {"a": SECOND}


def test_of_two_who_make_the_same_step_one_does(factors: WeightFactorStore) -> None:
    factors.replace("a", None, FIRST)

    assert not factors.replace("a", None, SECOND)
    assert factors.replace("a", FIRST, SECOND)
    assert not factors.replace("a", FIRST, SECOND)
    assert not factors.replace("a", FIRST, None)
    assert factors.all() == {"a": SECOND}
