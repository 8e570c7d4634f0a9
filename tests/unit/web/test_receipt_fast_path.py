"""The fast path for receipts answers and writes as Flask does, and takes nothing that is not its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tests.factories import make_job, make_job_id, make_receipt
from tests.gateway_receipts import events_body, signed
from tests.memory_storage import MemoryJobRepository
from tests.unit.web.conftest import NOW, WebEnvironment, make_environment
from tests.unit.web.rsgi_client import Connection, flask_threads, scope_of, serve
from tests.unit.web.test_receipt_endpoint import Scripted, reader
from wavecom.core.engine import Transition
from wavecom.core.job import JobId
from wavecom.core.receipts import InboundMessage, ReceiptBatch, SignatureError, UnreadableReceiptError
from wavecom.core.states import Status
from wavecom.errors import StoreError
from wavecom.settings import Settings
from wavecom.web.app import WaveComFlask

SECRET = "a secret for tests"
FIRST, SECOND = make_job_id(NOW), make_job_id(NOW)
DELIVERED = [{"id": "e-1", "status": "DELIVRD", "reference": FIRST}]


class Away(MemoryJobRepository):
    """A store that can't be written to; counts how often it was asked to."""

    asked = 0

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        self.asked += 1
        raise StoreError("away")


def _environment(
    *, is_fast: bool = True, reader: Any = None, jobs: MemoryJobRepository | None = None, **settings: Any
) -> WebEnvironment:
    return make_environment(
        Settings(secret_key=SECRET, fast_paths=is_fast, **settings), readers={"gateway": reader or _reader()}, jobs=jobs
    )


_reader = reader


def _with_jobs(environment: WebEnvironment, *job_ids: JobId) -> WebEnvironment:
    environment.jobs.insert(
        [make_job(job_id=each, status=Status.SENT, provider="gateway", created_at=NOW) for each in job_ids]
    )
    return environment


def _request(body: bytes, headers: Mapping[str, str] | None = None, name: str = "e") -> tuple[Any, bytes]:
    own = {"Host": "localhost", "Content-Length": str(len(body)), "X-Request-ID": "same"}
    return scope_of("POST", "/receipts/gateway", own | signed(body, NOW, name) | dict(headers or {})), body


def _serve(environment: WebEnvironment, *requests: tuple[Any, bytes]) -> list[Connection]:
    assert isinstance(environment.app, WaveComFlask)
    return serve(environment.app.rsgi, requests)


def _told(answer: Connection) -> tuple[int, list[tuple[str, str]], str]:
    return answer.status_code, sorted(answer.headers), answer.text


def _kept(environment: WebEnvironment) -> tuple[object, ...]:
    """What was written: of jobs, of receipts that wait, and of requests that nobody can read."""
    jobs = environment.jobs.by_ids([FIRST, SECOND])
    logs = {job_id: (job.status, job.logs) for job_id, job in jobs.items()}
    return logs, environment.pending.all(), environment.unreadable.kept


REQUESTS: dict[str, tuple[Callable[..., WebEnvironment], bytes, dict[str, str], bool]] = {
    "a delivery": (_environment, events_body(DELIVERED), {}, True),
    "a failure of the recipient": (
        _environment,
        events_body([{"id": "e-1", "status": "UNDELIV", "reference": FIRST, "error": {"code": "31"}}]),
        {},
        True,
    ),
    "several events of two messages": (
        _environment,
        events_body([*DELIVERED, {"id": "e-2", "status": "ACCEPTD", "reference": SECOND}]),
        {},
        True,
    ),
    "a message that nobody knows": (
        _environment,
        events_body([{"id": "e-1", "status": "DELIVRD", "message": "m-404"}]),
        {},
        True,
    ),
    "a report of nothing": (_environment, events_body([]), {}, True),
    "a provider behind TLS": (
        lambda **more: _environment(trusted_proxies=1, **more),
        events_body(DELIVERED),
        {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"},
        True,
    ),
    "a wrong signature": (_environment, events_body(DELIVERED), {"webhook-signature": "v1,AAAA"}, False),
    "no JSON": (_environment, b"{", {}, False),
    "an event that can't be read beside one that can": (
        _environment,
        events_body([*DELIVERED, {"id": "e-2", "status": "?"}]),
        {},
        False,
    ),
    "what somebody writes": (
        _environment,
        events_body([{"id": "e-1", "status": "MO", "from": "+447700900123", "to": "12345", "text": "STOP"}]),
        {},
        False,
    ),
    "a host that is not ours": (_environment, events_body(DELIVERED), {"Host": "elsewhere.example"}, False),
    "a store that is away": (
        lambda **more: _environment(jobs=Away(lambda: NOW), **more),
        events_body(DELIVERED),
        {},
        False,
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_both_ways_answer_alike_and_write_alike(name: str) -> None:
    make, body, headers, is_plain = REQUESTS[name]
    fast, slow = (_with_jobs(make(is_fast=is_fast), FIRST, SECOND) for is_fast in (True, False))
    by_flask = flask_threads(fast.app)

    answers = [_serve(each, _request(body, headers))[0] for each in (fast, slow)]

    assert _told(answers[0]) == _told(answers[1])
    assert _kept(fast) == _kept(slow)
    assert bool(by_flask) == (not is_plain)


def test_receipts_that_come_at_one_time_are_applied_each_once() -> None:
    ids = [make_job_id(NOW) for _ in range(40)]
    environment = _with_jobs(_environment(), *ids)
    bodies = [events_body([{"id": f"e-{job_id}", "status": "DELIVRD", "reference": job_id}]) for job_id in ids]

    answers = _serve(environment, *(_request(body, name=f"{place}") for place, body in enumerate([*bodies, *bodies])))

    assert {answer.status_code for answer in answers} == {200}
    for job in environment.jobs.by_ids(ids).values():
        assert (job.status, [entry.event for entry in job.logs].count("receipt")) == (Status.DELIVERED, 1)


def test_what_is_refused_in_a_batch_costs_none_of_the_others_anything() -> None:
    environment = _with_jobs(_environment(), FIRST)
    requests = [
        _request(events_body(DELIVERED), {"webhook-signature": "v1,AAAA"}),
        _request(events_body(DELIVERED)),
        _request(b"{", name="no JSON"),
    ]

    answers = _serve(environment, *requests)

    assert [answer.status_code for answer in answers] == [401, 200, 200]
    job = environment.jobs.get(FIRST)
    assert job is not None
    assert job.status is Status.DELIVERED


def test_a_store_that_is_away_is_not_asked_again_for_the_answer() -> None:
    jobs = Away(lambda: NOW)
    environment = _with_jobs(_environment(jobs=jobs), FIRST)

    [answer] = _serve(environment, _request(events_body(DELIVERED)))

    assert (answer.status_code, "Retry-After" in answer.headers, jobs.asked) == (503, True, 1)


class Calling(Scripted):
    """Whoever verifies asks somebody else first."""

    verifies_alone = False


def _long() -> bytes:
    return events_body(DELIVERED) + b" " * 20_000


@pytest.mark.parametrize(
    ("reader", "method", "path", "headers", "body"),
    [
        (Calling(), "POST", "/receipts/gateway", {}, b"{}"),
        (Scripted(ReceiptBatch(confirm_url="https://sns.example/")), "POST", "/receipts/gateway", {}, b"{}"),
        (Scripted(ReceiptBatch(one_time_token="t")), "POST", "/receipts/gateway", {}, b"{}"),
        (Scripted(ReceiptBatch(unreadable=1)), "POST", "/receipts/gateway", {}, b"{}"),
        (
            Scripted(ReceiptBatch(inbound=(InboundMessage(event_id="1", sender="+447700900123"),))),
            "POST",
            "/receipts/gateway",
            {},
            b"{}",
        ),
        (Scripted(verification=SignatureError("not signed")), "POST", "/receipts/gateway", {}, b"{}"),
        (Scripted(UnreadableReceiptError("no JSON")), "POST", "/receipts/gateway", {}, b"{}"),
        (Scripted(), "PUT", "/receipts/gateway", {}, b"{}"),
        (Scripted(), "POST", "/receipts/gateway/", {}, b"{}"),
        (Scripted(), "POST", "//receipts/gateway", {}, b"{}"),
        (Scripted(), "POST", "/receipts/another", {}, b"{}"),
        (Scripted(), "POST", "/receipts/gateway", {"Origin": "https://shop.example"}, b"{}"),
        (Scripted(), "POST", "/receipts/gateway", {"Host": "a/b"}, b"{}"),
        (Scripted(), "POST", "/receipts/gateway", {}, _long()),
    ],
)
def test_what_is_not_plain_is_flasks(reader: Any, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
    environment = _environment(reader=reader)
    by_flask = flask_threads(environment.app)
    scope, _ = _request(body, headers)
    scope.method, scope.path = method, path

    _serve(environment, (scope, body))

    assert by_flask == ["receipts"]


def test_a_large_report_is_applied_by_a_thread() -> None:
    receipts = tuple(make_receipt(job_id=FIRST) for _ in range(60))
    environment = _with_jobs(_environment(reader=Scripted(ReceiptBatch(receipts=receipts))), FIRST)
    by_flask = flask_threads(environment.app)

    [answer] = _serve(environment, _request(b" " * 20_000))

    assert (answer.status_code, by_flask) == (200, ["receipts"])
