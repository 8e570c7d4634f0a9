"""One trace through a whole worker, over real servers: the delivery message, the claim, the call, and the callback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import Celery
from pymongo.database import Database
from pytest_celery import CeleryTestSetup

from tests.integration.celery.test_callbacks import Receiver
from tests.otlp_receiver import OtlpReceiver, otlp_receiver
from tests.ticks import ticks
from tests.waiting import wait_until
from wavecom.broker import topology
from wavecom.core.callback_administration import NewCallback
from wavecom.core.job import Job, Trace
from wavecom.core.traces import parse_traceparent
from wavecom.services.callback_administration import callback_administration_of
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock
from wavecom.storage.mongo.indexes import ensure_indexes
from wavecom.storage.mongo.jobs import MongoJobRepository

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


@pytest.fixture
def collector() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def worker_environment(
    worker_environment: dict[str, str], database: Database[dict[str, Any]], collector: OtlpReceiver
) -> dict[str, str]:
    ensure_indexes(database)
    return worker_environment | {
        "WAVECOM_CALLBACK_PRIVATE_HOSTS": "127.0.0.1",
        "WAVECOM_TRACES_URL": collector.url,
    }


@pytest.fixture
def receiver(
    worker_environment: dict[str, str], database: Database[dict[str, Any]], jobs: MongoJobRepository
) -> Iterator[Receiver]:
    receiver = Receiver()
    clock = StoreClock(jobs.now).start()
    administration = callback_administration_of(Settings.from_environment(worker_environment), database, clock)
    receiver.secret = administration.create("key k-1", NewCallback(account="acme", url=receiver.url)).newest_secret
    yield receiver
    clock.close()
    receiver.close()


def test_a_traced_notification_is_seen_from_queue_to_callback_and_others_are_not(
    celery_setup: CeleryTestSetup,
    celery_setup_app: Celery,
    submit: Callable[..., Job],
    receiver: Receiver,
    collector: OtlpReceiver,
) -> None:
    def publish_events() -> None:
        celery_setup_app.send_task(topology.PUBLISH_EVENTS_TASK, queue=topology.CALLBACKS, expires=5)

    traced = submit(records_events=True, trace=TRACE)
    submit(records_events=True)
    with ticks(publish_events, seconds=1):
        wait_until(lambda: len(collector.named("call callback")) >= 2, "the calls of the callback")

    assert {span.trace_id for span in collector.spans} == {TRACE.trace_id}
    [wait], [attempt], [call] = (collector.named(name) for name in ("wait in queue", "deliver", "call sandbox"))
    assert attempt.attributes["wavecom.job.id"] == traced.job_id
    assert (wait.parent_id, attempt.parent_id, call.parent_id) == (TRACE.span_id, TRACE.span_id, attempt.span_id)
    assert wait.starts <= wait.ends <= attempt.starts + 1_000_000
    assert attempt.starts <= call.starts <= call.ends
    # The endpoint was told which span it is in, and only about the one that is traced.
    told = [parse_traceparent(header) for header in receiver.traceparents if header]
    assert {each.span_id for each in told if each} == {span.span_id for span in collector.named("call callback")}
    assert len([header for header in receiver.traceparents if not header]) >= 1
