"""A fallback through a whole worker: the next step begins in the seconds after one has failed, with nobody's help."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import Celery
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.factories import PAYLOADS, RECIPIENTS
from tests.ticks import ticks
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.fallback import FallbackStatus, NewFallback, Step
from wavecom.core.ids import uuid7
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.storage.mongo.fallbacks import MongoFallbackStore
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository


@pytest.fixture
def fallbacks_followed(celery_setup_app: Celery) -> Iterator[None]:
    """Beat's ticks for fallbacks, each second."""

    def send() -> None:
        celery_setup_app.send_task(topology.FOLLOW_FALLBACKS_TASK, queue=topology.CALLBACKS, expires=5)

    with ticks(send, seconds=1):
        yield


@pytest.mark.usefixtures("fallbacks_followed")
def test_a_worker_tries_one_channel_after_the_other_until_one_delivers(
    celery_setup: CeleryTestSetup, database: Database[dict[str, Any]], jobs: MongoJobRepository
) -> None:
    ensure_indexes(database)
    store = MongoFallbackStore(database)
    now = jobs.now()
    wait = timedelta(minutes=10)
    refused = Step(
        type=Channel.EMAIL, to={"email": "rejected@sandbox.wavecom.test"}, payload=PAYLOADS[Channel.EMAIL], wait=wait
    )
    taken = Step(type=Channel.SMS, to=RECIPIENTS[Channel.SMS], payload=PAYLOADS[Channel.SMS])
    # As whoever accepts it leaves it when he dies at once: without its first job.
    new = NewFallback(client="acme", steps=(refused, taken))
    fallback_id = uuid7(now, secrets.token_bytes(10))
    store.add(new.accepted(fallback_id, now - timedelta(seconds=31)))

    def status() -> FallbackStatus | None:
        found = store.get(fallback_id)
        return None if found is None else found.status

    wait_until(lambda: status() is FallbackStatus.DELIVERED, "the text message")

    found = store.get(fallback_id)
    assert found is not None
    steps = jobs.by_ids([step.job_id for step in found.steps if step.job_id is not None])
    assert sorted((job.type.value, job.status) for job in steps.values()) == [
        ("email", Status.FAILED),
        ("sms", Status.DELIVERED),
    ]
    assert found.delivered_step == 2
