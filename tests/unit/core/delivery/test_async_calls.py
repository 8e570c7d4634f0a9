"""Calls that no thread waits for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.factories import make_answer
from tests.unit.core.delivery.environment import AsyncScriptedProvider, DeliveryEnvironment, begin
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.job import Outcome, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.ports import Permit
from wavecom.core.states import Status


def test_a_call_that_nobody_waits_for_ends_as_one_that_somebody_does() -> None:
    provider = AsyncScriptedProvider("first", make_answer(message_id="p-77"))
    environment = DeliveryEnvironment(provider)
    job = environment.job(type=Channel.SMS, payload={"text": "x" * 200})

    is_begun, heard = begin(environment, job)
    heard_before_the_answer = list(heard)
    out_before_the_answer = environment.route.out
    provider.answer()
    [attempted] = heard
    assert isinstance(attempted, AttemptResult)
    environment.delivery.record([attempted])

    assert (is_begun, heard_before_the_answer, out_before_the_answer) == (True, [], 1)
    assert environment.route.out == 0
    assert environment.route.charged == [1]
    after = environment.read(job)
    assert (after.status, after.provider_message_id, after.attempts) == (Status.DELIVERED, "p-77", 1)


def test_an_attempt_that_nobody_waits_for_is_failed_over_by_who_can_wait() -> None:
    first = AsyncScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = AsyncScriptedProvider("second", make_answer())
    environment = DeliveryEnvironment(first, second)
    job = environment.job()

    _, heard = begin(environment, job)
    first.answer()
    [unfinished] = heard
    assert isinstance(unfinished, PartialAttempt)
    environment.delivery.record([environment.delivery.attempts.finish(unfinished)])

    after = environment.read(job)
    assert (after.status, after.provider, after.attempts) == (Status.DELIVERED, "second", 1)
    assert [entry.provider for entry in after.logs[-2:]] == ["first", "second"]
    assert environment.route.out == 0


def test_a_bug_behind_a_call_that_nobody_waits_for_gives_the_permit_back_and_is_told() -> None:
    provider = AsyncScriptedProvider("first", bug=ValueError("a bug"))
    environment = DeliveryEnvironment(provider)
    job = environment.job(on_unknown_outcome=UnknownOutcomePolicy.STOP)

    _, heard = begin(environment, job)
    provider.answer()
    [attempted] = heard
    assert isinstance(attempted, AttemptResult)
    environment.delivery.record([attempted])

    # Nobody can tell what a bug in the middle of a call has left behind, and it says nothing about the provider.
    assert environment.read(job).status is Status.UNCONFIRMED
    assert environment.route.released == [None]


@pytest.mark.parametrize(
    "special",
    [{"client": "acme:test"}, {"may_have_been_sent": True}],
    ids=["of a test account", "perhaps sent before"],
)
def test_a_job_that_takes_more_than_a_plain_call_is_not_begun(special: dict[str, Any]) -> None:
    provider = AsyncScriptedProvider("first")
    environment = DeliveryEnvironment(provider)

    is_begun, heard = begin(environment, environment.job(**special))

    assert not is_begun
    assert (heard, provider.started, environment.route.out) == ([], [], 0)


def test_a_call_is_not_begun_under_a_lease_that_is_almost_spent() -> None:
    provider = AsyncScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job()
    permit = environment.route.reserve(job.lane)
    assert isinstance(permit, Permit)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None

    environment.clock.advance(20)

    assert not environment.delivery.attempts.begin(claimed, permit, lambda _: None)
    assert provider.started == []
