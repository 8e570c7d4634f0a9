from __future__ import annotations

from typing import Any

from pymongo import MongoClient

from tests.factories import NOW
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.storage.mongo.stats import MongoStats


def test_counting_and_closing_bear_a_store_that_is_away() -> None:
    with MongoClient[dict[str, Any]]("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=20") as client:
        stats = MongoStats(client["wavecom"], now=lambda: NOW, interval_seconds=0.01)

        for _ in range(100):
            stats.add("acme", Channel.SMS, Status.QUEUED)
        stats.close()
        stats.close()
