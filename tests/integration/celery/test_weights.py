"""A provider's weight follows its receipts: from beat's schedule through a whole ops worker, over real servers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from celery.beat import ScheduleEntry
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

import celeryconfig
from tests.waiting import wait_until
from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.core.receipt_health import ReceiptHealth
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore
from wavecom.storage.redis.receipt_counts import RedisReceiptCounter
from wavecom.tasks.schedule import MemoryScheduler

PROVIDERS = """
[providers.a]
type = "http"
url = "http://127.0.0.1:9/a"

[providers.b]
type = "http"
url = "http://127.0.0.1:9/b"

[routes]
sms = [{ provider = "a", weight = 50 }, { provider = "b", weight = 50 }]
"""


@pytest.fixture
def worker_environment(worker_environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS)
    return worker_environment | {"WAVECOM_PROVIDERS": str(file), "WAVECOM_RECEIPT_SLOW_SHARE": "0.3"}


@pytest.fixture
def worker_arguments() -> list[str]:
    return ["-Q", "ops.ticks"]


@pytest.fixture
def counter(redis_url: str) -> Iterator[RedisReceiptCounter]:
    client = redis.Redis.from_url(redis_url, decode_responses=True)
    made = RedisReceiptCounter(client)
    yield made
    made.close()
    client.close()


@pytest.fixture
def scheduler(celery_setup_app: Celery) -> Iterator[MemoryScheduler]:
    """Beat's, with its schedule, of which the tests say when an entry is due."""
    settings = {name: value for name, value in vars(celeryconfig).items() if name.startswith(("beat_", "task_"))}
    celery_setup_app.conf.update(settings)
    made = MemoryScheduler(celery_setup_app, lazy=True)
    made.setup_schedule()
    yield made
    made.close()


def test_beat_has_a_slow_provider_lose_weight_by_a_step(
    celery_setup: CeleryTestSetup,
    scheduler: MemoryScheduler,
    counter: RedisReceiptCounter,
    jobs: MongoJobRepository,
    database: Database[dict[str, Any]],
) -> None:
    factors = MongoWeightFactorStore(database)
    minute = (jobs.now() - timedelta(minutes=10)).replace(second=0, microsecond=0)
    # With the default share of 15 % both would be slow.
    slow, fair = ReceiptCounts(sent=100, good=60, late=40), ReceiptCounts(sent=100, good=80, late=20)
    counter.add([(CountKey(minute, "a", "DE"), slow), (CountKey(minute, "b", "DE"), fair)])
    counter.flush()
    entry: ScheduleEntry = scheduler.schedule["adjust-weights"]

    scheduler.apply_entry(entry)

    wait_until(lambda: bool(factors.all()), "the ops worker to make a step")
    found = {name: (factor.percent, factor.health) for name, factor in factors.all().items()}
    assert found == {"a": (80, ReceiptHealth.SLOW)}
    audited = MongoAuditLog(database).newest(limit=10)
    assert [(each["action"], each["operator"], each["provider"]) for each in audited] == [
        ("adjust_weight", "wavecom", "a")
    ]
