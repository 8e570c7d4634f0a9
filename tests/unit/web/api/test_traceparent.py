"""The header ``traceparent``: a notification is in the trace of who sends it, whichever way its request goes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.web.conftest import KEY, WebEnvironment, make_environment
from tests.unit.web.rsgi_client import flask_threads, scope_of, serve
from wavecom.core.job import Job
from wavecom.settings import Settings
from wavecom.web.app import WaveComFlask

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
PLAIN: dict[str, Any] = {"type": "sms", "to": {"phone": "+447700900123"}, "payload": {"text": "Hello"}}


def traced(traces_url: str | None = "http://127.0.0.1:4318/v1/traces") -> WebEnvironment:
    """An app that traces what its callers trace, and nothing else."""
    return make_environment(Settings(secret_key="a secret for tests only", traces_url=traces_url))


def by_flask(environment: WebEnvironment, header: str | None) -> str:
    headers = {} if header is None else {"traceparent": header}
    return str(environment.client().post("/api/notifications", json=PLAIN, headers=headers).json["jobId"])


def in_a_batch(environment: WebEnvironment, header: str | None) -> str:
    headers = {} if header is None else {"traceparent": header}
    answer = environment.client().post("/api/notifications/batch", json={"notifications": [PLAIN]}, headers=headers)
    return str(answer.json["results"][0]["notification"]["jobId"])


def by_the_fast_path(environment: WebEnvironment, header: str | None) -> str:
    body = json.dumps(PLAIN).encode()
    headers = {
        "Host": "localhost",
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    } | ({} if header is None else {"Traceparent": header})
    assert isinstance(environment.app, WaveComFlask)
    threads = flask_threads(environment.app)
    [answer] = serve(environment.app.rsgi, [(scope_of("POST", "/api/notifications", headers), body)])
    assert threads == [], "it went another way"
    return str(answer.json["jobId"])


WAYS = [by_flask, in_a_batch, by_the_fast_path]


def job_of(environment: WebEnvironment, job_id: str) -> Job:
    job = environment.jobs.get(job_id)
    assert job is not None
    return job


@pytest.mark.parametrize("way", WAYS)
def test_a_notification_is_in_the_trace_of_who_sends_it(way: Any) -> None:
    environment = traced()

    trace = job_of(environment, way(environment, SAMPLED)).trace

    assert trace is not None
    assert (trace.trace_id, trace.parent_id) == (TRACE, PARENT)
    assert trace.span_id not in {PARENT, ""}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("header", [NOT_SAMPLED, "nonsense", None])
def test_what_nobody_traces_has_no_trace(way: Any, header: str | None) -> None:
    environment = traced()

    assert job_of(environment, way(environment, header)).trace is None


@pytest.mark.parametrize("way", WAYS)
def test_a_header_makes_no_trace_where_traces_go_nowhere(way: Any) -> None:
    environment = traced(traces_url=None)

    assert job_of(environment, way(environment, SAMPLED)).trace is None
