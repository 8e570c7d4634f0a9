from __future__ import annotations

import math
import threading
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from tests.factories import NOW, later, make_answer, make_job, make_job_id, make_try
from tests.fakes import FakeClock, RecordingObserver, ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from tests.unit.web.conftest import make_environment
from wavecom import delivery_metrics
from wavecom.core.engine import Guard, Transition
from wavecom.core.job import Job, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import TEST_SANDBOX
from wavecom.core.states import Status
from wavecom.core.sweep import SweepReport
from wavecom.delivery_metrics import QueueSampler
from wavecom.histograms import Histogram
from wavecom.web.request_middleware import NO_ROUTE


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


# --- the histogram --------------------------------------------------------------------------------------------------


def test_values_are_counted_up_to_each_bound_that_they_reach() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("test_seconds", "For a test.", ["kind"], buckets=(0.1, 1.0), registry=registry)

    histogram.observe_many([(("a",), 0.05), (("a",), 0.1), (("a",), 0.5), (("a",), 7.0), (("b",), 0.2)])

    text = generate_latest(registry).decode()
    assert 'test_seconds_bucket{kind="a",le="0.1"} 2.0' in text
    assert 'test_seconds_bucket{kind="a",le="1.0"} 3.0' in text
    assert 'test_seconds_bucket{kind="a",le="+Inf"} 4.0' in text
    assert 'test_seconds_count{kind="a"} 4.0' in text
    assert 'test_seconds_sum{kind="a"} 7.65' in text
    assert 'test_seconds_count{kind="b"} 1.0' in text


def test_many_threads_lose_no_value() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("test_seconds", "For a test.", ["kind"], buckets=(0.1, 1.0), registry=registry)
    threads = [
        threading.Thread(target=lambda: [histogram.observe_many([(("a",), 0.5)] * 10) for _ in range(200)])
        for _ in range(4)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert registry.get_sample_value("test_seconds_count", {"kind": "a"}) == 8000


# --- deliveries -----------------------------------------------------------------------------------------------------


def test_each_call_counts_by_provider_and_outcome_with_its_latency() -> None:
    before = value("wavecom_call_seconds_count", provider="metered", outcome="unavailable")

    delivery_metrics.observe_calls(
        [make_try(Outcome.UNAVAILABLE, provider="metered", latency_ms=250), make_try(Outcome.UNKNOWN, provider="")]
    )

    assert value("wavecom_call_seconds_count", provider="metered", outcome="unavailable") == before + 1
    assert value("wavecom_call_seconds_bucket", provider="metered", outcome="unavailable", le="0.25") >= 1
    assert REGISTRY.get_sample_value("wavecom_call_seconds_count", {"provider": "", "outcome": "unknown"}) is None


def test_calls_of_the_sandbox_for_test_accounts_count_nowhere() -> None:
    delivery_metrics.observe_calls([make_try(Outcome.ACCEPTED, provider=TEST_SANDBOX)])

    labels = {"provider": TEST_SANDBOX, "outcome": "accepted"}
    assert REGISTRY.get_sample_value("wavecom_call_seconds_count", labels) is None


def _move(job: Job, status: Status) -> Transition:
    return Transition(job.job_id, Guard(frozenset(Status)), {"status": status}, old_status=job.status, job=job)


def test_time_counts_from_acceptance_or_from_when_it_was_to_be_sent() -> None:
    labels = {"type": "push", "priority": "normal"}
    before = value("wavecom_acceptance_to_provider_seconds_sum", **labels)
    jobs = [
        make_job(type=Channel.PUSH, created_at=NOW),
        make_job(type=Channel.PUSH, created_at=NOW, send_at=later(50)),
        make_job(type=Channel.PUSH, created_at=NOW, replays=1),
    ]

    delivery_metrics.TransitionMetrics().on_moved([_move(job, Status.DELIVERED) for job in jobs], later(60))

    assert value("wavecom_acceptance_to_provider_seconds_sum", **labels) - before == pytest.approx(60 + 10)


def test_jobs_of_test_accounts_take_no_time_and_come_to_no_end() -> None:
    taken = {"type": "email", "priority": "normal"}
    ended = taken | {"status": "delivered"}

    def counts() -> tuple[float, float]:
        return (
            value("wavecom_acceptance_to_provider_seconds_count", **taken),
            value("wavecom_acceptance_to_end_seconds_count", **ended),
        )

    before = counts()
    jobs = [make_job(type=Channel.EMAIL, client=client) for client in ("acme", "acme:test", "globex:test")]

    delivery_metrics.TransitionMetrics().on_moved([_move(job, Status.DELIVERED) for job in jobs], later(1))

    assert counts() == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize("status", Status)
def test_only_ends_count_as_ends(status: Status) -> None:
    labels = {"type": "sms", "priority": "normal", "status": status.value}
    before = value("wavecom_acceptance_to_end_seconds_count", **labels)

    delivery_metrics.TransitionMetrics().on_moved([_move(make_job(status=Status.PROCESSING), status)], later(1))

    is_end = status in {Status.DELIVERED, Status.FAILED, Status.EXPIRED, Status.CANCELLED}
    assert value("wavecom_acceptance_to_end_seconds_count", **labels) - before == (1 if is_end else 0)


def test_a_delivery_tells_its_calls_and_its_moves_once() -> None:
    observer = RecordingObserver()
    providers = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE)), ScriptedProvider("second")
    calls: list[Any] = []
    environment = DeliveryEnvironment(*providers, observers=[observer], on_called=calls.extend)

    environment.deliver(environment.job())

    assert [(each.provider, each.answer.outcome) for each in calls] == [
        ("first", Outcome.UNAVAILABLE),
        ("second", Outcome.ACCEPTED),
    ]
    assert [transition.status for transition in observer.moved] == [Status.DELIVERED]


def test_a_run_of_the_sweep_tells_when_and_what_it_did() -> None:
    names = ("moved", "published", "dead_lettered")
    before = [value("wavecom_sweep_jobs_total", result=name) for name in names]
    began = time.time()

    delivery_metrics.observe_sweep(SweepReport(moved=3, published=2, dead_lettered=1))

    counted = [value("wavecom_sweep_jobs_total", result=name) for name in names]
    assert [after - earlier for after, earlier in zip(counted, before, strict=True)] == [3, 2, 1]
    assert value("wavecom_sweep_last_run_timestamp_seconds") >= began


# --- queues ---------------------------------------------------------------------------------------------------------


class Queues:
    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.depth: int | None = 0
        self.reached: datetime | None = None
        self.asked = 0
        self.sampler = QueueSampler(
            lambda: [["q"]], self._depth, lambda _queue: self.reached, self.clock.now, self.clock.monotonic
        )

    def _depth(self, _queue: str) -> int | None:
        self.asked += 1
        return self.depth

    def sample(self) -> tuple[float, float]:
        self.clock.advance(10)
        self.sampler.sample_if_due()
        return value("wavecom_queue_messages", queue="q"), value("wavecom_queue_age_seconds", queue="q")


def test_depth_and_age_follow_the_queue() -> None:
    queues = Queues()

    assert queues.sample() == (0, 0)
    queues.depth = 7
    assert queues.sample() == (7, 10)
    queues.reached = queues.clock.now() + timedelta(seconds=5)
    assert queues.sample() == (7, 5)
    queues.depth = 0
    assert queues.sample() == (0, 0)


def test_what_can_not_be_told_is_no_number() -> None:
    queues = Queues()
    queues.depth = 3
    unknown_age = queues.sample()
    queues.depth = None
    unknown = queues.sample()

    assert unknown_age[0] == 3
    assert math.isnan(unknown_age[1])
    assert all(math.isnan(each) for each in unknown)


def test_a_queue_that_was_empty_for_long_has_no_old_messages() -> None:
    queues = Queues()
    queues.reached = NOW - timedelta(hours=5)
    queues.sample()
    queues.depth = 1

    assert queues.sample() == (1, 10)


def test_queues_are_asked_every_ten_seconds_however_often_the_sweep_runs() -> None:
    queues = Queues()

    for _ in range(25):
        queues.clock.advance(1)
        queues.sampler.sample_if_due()

    assert queues.asked == 3


# --- requests -------------------------------------------------------------------------------------------------------


def requests(method: str, route: str, status: int) -> float:
    return value("wavecom_http_requests_total", method=method, route=route, status=str(status))


def test_requests_count_by_route_and_status_whichever_way_they_go() -> None:
    sms = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hi"}}
    before = {
        key: requests(*key)
        for key in [
            ("POST", "/api/notifications", 202),
            ("POST", "/api/notifications", 422),
            ("GET", "/api/notifications/<job_id>", 404),
            ("GET", NO_ROUTE, 404),
        ]
    }
    api = make_environment().client()

    api.post("/api/notifications", json=sms)
    api.post("/api/notifications", json=sms | {"type": "fax"})
    api.get(f"/api/notifications/{make_job_id()}")
    for number in range(5):
        api.get(f"/somewhere/{number}")

    assert [requests(*key) - count for key, count in before.items()] == [1, 1, 1, 5]


def test_a_method_that_nobody_knows_makes_no_series_of_its_own() -> None:
    environment = make_environment()
    environment.client().open("/healthz", method="BREW")
    environment.client().open("/healthz", method="BREW2")

    assert requests("BREW", "/healthz", 405) == 0
    assert requests("other", NO_ROUTE, 405) >= 2
