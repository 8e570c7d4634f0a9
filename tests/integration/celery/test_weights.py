"""Weights follow receipts, and workers what people set, pauses too: through whole workers, over real servers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
from tests import peers
from tests.peers import HttpPeer
from tests.waiting import wait_until
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel
from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.core.receipt_health import ReceiptHealth
from wavecom.core.states import FINAL
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.provider_overrides import MongoOverrideStore
from wavecom.storage.mongo.weight_factors import MongoWeightFactorStore
from wavecom.storage.redis.receipt_counts import RedisReceiptCounter
from wavecom.tasks.schedule import MemoryScheduler

PROVIDERS = """
[providers.a]
type = "http"
url = "{a}"

[providers.b]
type = "http"
url = "{b}"

[routes]
sms = [{{ provider = "a", weight = 50 }}, {{ provider = "b", weight = 50 }}]
"""


@pytest.fixture
def gateways() -> Iterator[tuple[HttpPeer, HttpPeer]]:
    """Those of ``a`` and ``b``."""
    taken = peers.reply(202, b'{"id": "m-1"}')
    with HttpPeer(taken) as a, HttpPeer(taken) as b:
        yield a, b


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], gateways: tuple[HttpPeer, HttpPeer], tmp_path: Path
) -> dict[str, str]:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(a=gateways[0].url, b=gateways[1].url))
    return worker_environment | {"WAVECOM_PROVIDERS": str(file), "WAVECOM_RECEIPT_SLOW_SHARE": "0.3"}


@pytest.fixture
def worker_arguments(request: pytest.FixtureRequest) -> list[str]:
    """Those of the ops worker, unless a test says otherwise."""
    return list(getattr(request, "param", ["-Q", "ops.ticks"]))


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


@pytest.mark.parametrize("worker_arguments", [[]], ids=["worker"], indirect=True)
def test_what_people_set_is_followed_by_a_running_worker_within_a_second(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
    jobs: MongoJobRepository,
    database: Database[dict[str, Any]],
    gateways: tuple[HttpPeer, HttpPeer],
) -> None:
    overrides = MongoOverrideStore(database)

    def providers_of(count: int) -> set[str | None]:
        ids = [
            submit(type=Channel.SMS, to={"phone": "+4915112345678"}, payload={"text": "hello"}).job_id
            for _ in range(count)
        ]
        wait_until(lambda: all(read(each).status in FINAL for each in ids), "the jobs to settle")
        return {read(each).provider for each in ids}

    def pass_a_second() -> None:
        """What is promised, and no longer."""
        stored_at = time.monotonic()
        wait_until(lambda: time.monotonic() > stored_at + 1, "a second to pass")

    before = providers_of(30)
    overrides.set_weight("a", 0, "ada", "contract ends", jobs.now())
    pass_a_second()
    with_a_weight = providers_of(30)
    # Of weight 0 it is called where no other may be.
    overrides.set_pause("b", jobs.now() + timedelta(hours=1), "ada", "maintenance", jobs.now())
    pass_a_second()
    while_b_rests = providers_of(30)
    overrides.set_pause("a", jobs.now() + timedelta(hours=1), "ada", "maintenance", jobs.now())
    pass_a_second()
    waiting = submit(type=Channel.SMS, to={"phone": "+4915112345678"}, payload={"text": "hello"}).job_id
    pass_a_second()
    while_both_rest = read(waiting)
    overrides.set_pause("a", None, "ada", "done", jobs.now())
    wait_until(lambda: read(waiting).status in FINAL, "the job that has waited")

    assert (before, with_a_weight, while_b_rests) == ({"a", "b"}, {"b"}, {"a"})
    assert (while_both_rest.provider, while_both_rest.attempts) == (None, 0)
    assert (read(waiting).provider, read(waiting).attempts) == ("a", 1)
