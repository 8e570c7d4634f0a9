"""Recipients who are suppressed, or want nothing, through a whole worker and over real servers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests import peers
from tests.factories import NOW
from tests.peers import HttpPeer
from tests.recipients import make_category, make_recipient
from tests.waiting import wait_until
from wavecom.core.categories import FrequencyCap
from wavecom.core.job import Job, JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.states import FINAL, Status
from wavecom.core.suppression_check import FRESH_SECONDS
from wavecom.core.suppressions import NewSuppression, SuppressionScope, SuppressionSource
from wavecom.storage.mongo.categories import MongoCategoryStore
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository
from wavecom.storage.mongo.recipients import MongoRecipientStore
from wavecom.storage.mongo.suppressions import MongoSuppressionStore

PROVIDERS = """
[providers.gateway]
type = "http"
url = "{url}"

[routes]
sms = ["gateway"]
"""
WANTED, SUPPRESSED = "+12025550143", "+12025550144"


@pytest.fixture
def gateway() -> Iterator[HttpPeer]:
    with HttpPeer(peers.reply(202, b'{"id": "m-1"}')) as peer:
        yield peer


@pytest.fixture
def store(database: Database[dict[str, Any]]) -> MongoSuppressionStore:
    ensure_indexes(database)
    return MongoSuppressionStore(database, new_id=lambda: str(uuid.uuid4()))


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], gateway: HttpPeer, store: MongoSuppressionStore, tmp_path: Path
) -> dict[str, str]:
    file = tmp_path / "providers.toml"
    file.write_text(PROVIDERS.format(url=gateway.url))
    return worker_environment | {"WAVECOM_PROVIDERS": str(file)}


@pytest.mark.parametrize("worker_mode", ["fast paths", "plain tasks"], indirect=True)
def test_an_entry_stops_a_running_worker_within_a_second_and_a_lift_lets_it_go_on(
    celery_setup: CeleryTestSetup,
    submit: Callable[..., Job],
    read: Callable[[JobId], Job],
    jobs: MongoJobRepository,
    store: MongoSuppressionStore,
    gateway: HttpPeer,
    database: Database[dict[str, Any]],
) -> None:
    def outcome(phone: str, priority: Priority = Priority.NORMAL, **fields: str) -> tuple[Status, str | None]:
        job = submit(type=Channel.SMS, to={"phone": phone}, priority=priority, **fields)
        wait_until(lambda: read(job.job_id).status in FINAL, "the job to settle")
        settled = read(job.job_id)
        return settled.status, settled.error.code if settled.error else None

    assert outcome(SUPPRESSED) == (Status.DELIVERED, None)
    new = NewSuppression(
        account="acme",
        channel=Channel.SMS,
        recipient=SUPPRESSED,
        source=SuppressionSource.STOP,
        scope=SuppressionScope.MARKETING,
        by="recipient",
    )
    [added] = store.add([new], jobs.now())
    stored_at = time.monotonic()
    # What is promised, and no longer.
    wait_until(lambda: time.monotonic() > stored_at + FRESH_SECONDS, "a second to pass")

    assert outcome(SUPPRESSED) == (Status.FAILED, "suppressed")
    assert outcome(SUPPRESSED, Priority.HIGH) == (Status.DELIVERED, None)
    assert outcome(WANTED) == (Status.DELIVERED, None)
    assert len(gateway.requests) == 3

    store.lift(added.suppression_id, None, by="operator", reason="", now=jobs.now())
    assert outcome(SUPPRESSED) == (Status.DELIVERED, None)
    # By the same workers: to start others for it takes longer than all of this.
    _ask_what_recipients_want(database, outcome)


def _ask_what_recipients_want(
    database: Database[dict[str, Any]], outcome: Callable[..., tuple[Status, str | None]]
) -> None:
    """Who has stopped everything gets nothing, and who has had enough of a category no more of it."""
    recipients = MongoRecipientStore(database, lambda: uuid.uuid4().hex)
    recipients.save([make_recipient("stopped", stopped_at=NOW), make_recipient("wanting")])
    MongoCategoryStore(database).put(make_category("news", cap=FrequencyCap(1, timedelta(days=1))))

    assert outcome(WANTED, recipient_id="stopped") == (Status.FAILED, "unwanted")
    assert outcome(WANTED, Priority.HIGH, recipient_id="stopped") == (Status.DELIVERED, None)
    assert outcome(WANTED, recipient_id="wanting", category="news") == (Status.DELIVERED, None)
    assert outcome(WANTED, recipient_id="wanting", category="news") == (Status.FAILED, "unwanted")
    assert outcome(WANTED, recipient_id="wanting") == (Status.DELIVERED, None)
