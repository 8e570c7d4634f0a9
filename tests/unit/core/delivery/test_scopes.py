"""Whom an answer is about, and who waits for it: the provider, the domain, the worker."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from tests.factories import make_answer
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.job import JobId, Outcome, ProviderResult, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Permit
from wavecom.core.states import Status
from wavecom.errors import RetryLater


@pytest.mark.parametrize(
    ("answer", "lag_seconds", "scope"),
    [
        (make_answer(Outcome.UNKNOWN, "timeout"), 2.0, Scope.WORKER),
        (make_answer(Outcome.UNAVAILABLE, "timeout", scope=Scope.PROVIDER), 2.0, Scope.WORKER),
        (make_answer(Outcome.UNKNOWN, "timeout"), 0.5, None),
        (make_answer(Outcome.UNAVAILABLE, "http_503"), 2.0, None),
    ],
)
def test_a_time_out_while_we_could_not_run_is_not_the_providers(
    answer: ProviderResult, lag_seconds: float, scope: Scope | None
) -> None:
    provider = ScriptedProvider("first", answer)
    environment = DeliveryEnvironment(provider, lag_seconds=lag_seconds)
    provider.on_send = lambda _message: environment.clock.advance(7.9)
    job = environment.job()

    with contextlib.suppress(RetryLater):
        environment.deliver(job)

    [outcome] = environment.route.released
    assert outcome is not None
    assert outcome.answer.scope is scope
    assert (outcome.answer.outcome, outcome.answer.code) == (answer.outcome, answer.code)
    assert outcome.latency_ms == pytest.approx(7900)
    assert outcome.lag_ms == lag_seconds * 1000
    assert environment.read(job).status is Status.RETRYING


def test_the_gate_can_tell_recipients_apart_and_learns_no_address() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first", make_answer(Outcome.REJECTED)))
    for number in ("+14155550100", "+14155550101", "+14155550101"):
        environment.deliver(environment.job(to={"phone": number, "name": "whoever"}))

    keys = [outcome.recipient for outcome in environment.route.released if outcome]

    assert keys[0] != keys[1] == keys[2]
    assert all(len(key) == 12 and "415" not in key for key in keys)


def test_a_mail_to_a_domain_in_trouble_waits_without_an_attempt() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    environment.route.waits_by_destination = {("first", "grey.example"): 20}
    job = environment.job(type=Channel.EMAIL, to={"email": "Ada@Grey.Example"})

    after = environment.deliver(job)

    assert provider.messages == []
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert after.due_at == environment.clock.now() + timedelta(seconds=20)


def test_a_mail_to_a_domain_in_trouble_goes_by_the_next_provider_where_there_is_one() -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    environment.route.waits_by_destination = {("first", "grey.example"): 20}

    after = environment.deliver(environment.job(type=Channel.EMAIL, to={"email": "ada@grey.example"}))
    other = environment.deliver(environment.job(type=Channel.EMAIL, to={"email": "ada@other.example"}))

    assert (after.status, after.provider) == (Status.DELIVERED, "second")
    assert (other.status, other.provider) == (Status.DELIVERED, "first")


def test_where_the_next_provider_has_no_leave_either_the_mail_waits() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first"), ScriptedProvider("second"))
    environment.route.waits_by_destination = {("first", "grey.example"): 20}
    job = environment.job(type=Channel.EMAIL, to={"email": "ada@grey.example"})
    permit = environment.route.reserve(job.lane)
    environment.route.closed = {"second"}
    assert isinstance(permit, Permit)

    environment.delivery.deliver(job.job_id, permit)

    after = environment.read(job)
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert environment.route.out == 0


@pytest.mark.parametrize(("asked_seconds", "seconds"), [(0.01, 1), (7, 7), (3600, 60)])
def test_a_job_that_nobody_may_be_called_for_waits_in_the_store(asked_seconds: float, seconds: float) -> None:
    environment = DeliveryEnvironment()
    job = environment.job()

    environment.delivery.park(job.job_id, asked_seconds)

    parked = environment.read(job)
    assert (parked.status, parked.attempts, parked.claim, parked.queued_at) == (Status.QUEUED, 0, None, None)
    assert parked.due_at == environment.clock.now() + timedelta(seconds=seconds)
    assert environment.publisher.delivery_messages == []


def test_what_is_settled_or_unknown_is_not_parked() -> None:
    environment = DeliveryEnvironment()
    job = environment.deliver(environment.job())

    environment.delivery.park(job.job_id, 7)
    environment.delivery.park(JobId("no such job"), 7)

    assert environment.read(job) == job
