"""Nobody is called after the deadline, whatever took the time: the clock is looked at before every call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, make_answer
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import AsyncScriptedProvider, DeliveryEnvironment, begin
from wavecom.core.attachments import detach
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.engine import Transition
from wavecom.core.files import ByteBudget
from wavecom.core.job import Job, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import TEST_SANDBOX, Permit, Refusal
from wavecom.core.states import Status

#: The environment's clock stands a second after the job was accepted.
TWO_SECONDS = {"expires_at": NOW + timedelta(seconds=3)}


def taking(environment: DeliveryEnvironment, seconds: float) -> Callable[[Any], None]:
    return lambda _: environment.clock.advance(seconds)


def assert_expired_unsent(environment: DeliveryEnvironment, job: Job, *unsent: ScriptedProvider) -> None:
    after = environment.read(job)
    assert (after.status, after.error and after.error.code) == (Status.EXPIRED, "expired")
    assert not after.may_have_been_sent
    assert after.logs[-1].event == "expired"
    assert [provider.messages for provider in unsent] == [[] for _ in unsent]
    assert environment.route.out == 0


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_the_second_provider_is_not_called_when_the_first_took_too_long_to_refuse(max_attempts: int) -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE, code="http_503"))
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    first.on_send = taking(environment, 2.5)
    job = environment.job(**TWO_SECONDS, max_attempts=max_attempts)

    if max_attempts == 1:
        # All attempts that there may be are used up: that is what it failed of.
        environment.deliver(job)
        assert environment.read(job).status is Status.FAILED
        assert second.messages == []
        return
    environment.deliver(job)

    assert_expired_unsent(environment, job, second)
    assert [entry.code for entry in environment.read(job).logs if entry.provider == "first"] == ["http_503"]
    assert environment.read(job).attempts == 1


def test_nor_by_the_thread_that_goes_on_with_a_call_that_nobody_waited_for() -> None:
    first = AsyncScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = AsyncScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    job = environment.job(**TWO_SECONDS)
    _, heard = begin(environment, job)
    environment.clock.advance(2.5)
    first.answer()
    [unfinished] = heard
    assert isinstance(unfinished, PartialAttempt)

    environment.delivery.record([environment.delivery.attempts.finish(unfinished)])

    assert_expired_unsent(environment, job, second)
    assert second.started == []


def test_it_is_called_when_there_is_still_time() -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    environment = DeliveryEnvironment(first, ScriptedProvider("second"))
    first.on_send = taking(environment, 1.9)
    job = environment.job(**TWO_SECONDS)

    assert environment.deliver(job).status is Status.DELIVERED


def test_waiting_for_a_permit_may_use_up_the_time() -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    reserve_next = environment.route.reserve_next

    def slow(job: Job, tried: Collection[str], *, prefer: str | None = None) -> Permit | Refusal | None:
        if tried:
            environment.clock.advance(2.5)
        return reserve_next(job, tried, prefer=prefer)

    environment.route.reserve_next = slow  # type: ignore[method-assign]
    job = environment.job(**TWO_SECONDS)

    environment.deliver(job)

    assert_expired_unsent(environment, job, second)


@pytest.mark.parametrize(("client", "permit"), [("acme", "first"), ("acme:test", TEST_SANDBOX)])
@pytest.mark.parametrize("seconds", [2.5, 25])
def test_a_claim_that_took_long_may_use_up_the_time(client: str, permit: str, seconds: float) -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first"))
    claim = environment.jobs.claim

    def slow(*arguments: Any) -> Any:
        granted = claim(*arguments)
        environment.clock.advance(seconds)
        return granted

    environment.jobs.claim = slow  # type: ignore[method-assign]
    job = environment.job(client=client, **TWO_SECONDS)
    environment.route.out += 1

    environment.delivery.deliver(job.job_id, Permit(permit))

    assert_expired_unsent(environment, job, environment.providers["first"], environment.sandbox)


def test_a_call_is_not_begun_after_the_deadline() -> None:
    provider = AsyncScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job(**TWO_SECONDS)
    permit = environment.route.reserve(job.lane)
    assert isinstance(permit, Permit)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None
    environment.clock.advance(2.5)
    heard: list[AttemptResult | PartialAttempt | Exception] = []

    is_begun = environment.delivery.attempts.begin(claimed, permit, heard.append)
    environment.delivery.record([environment.delivery.attempts.attempt(claimed, permit)])

    assert (is_begun, heard, provider.started) == (False, [], [])
    assert_expired_unsent(environment, job, provider)


def test_the_renewal_of_a_lease_may_use_up_the_time() -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    first.on_send = taking(environment, 20)
    apply = environment.jobs.apply

    def slow(transitions: Sequence[Transition]) -> list[bool]:
        if any("claim" in each.changes and each.status is Status.PROCESSING for each in transitions):
            environment.clock.advance(9)
        return apply(transitions)

    environment.jobs.apply = slow  # type: ignore[method-assign]
    job = environment.job(expires_at=NOW + timedelta(seconds=25))

    environment.deliver(job)

    assert_expired_unsent(environment, job, second)


def test_waiting_for_room_for_attachments_may_use_up_the_time() -> None:
    provider = ScriptedProvider("first")

    class FullForAWhile(ByteBudget):
        def take(self, size: int) -> bool:
            return False

        def wait_for(self, size: int) -> bool:
            environment.clock.advance(2.5)
            return True

        def give_back(self, size: int) -> None:
            pass

    environment = DeliveryEnvironment(provider, budget=FullForAWhile(1))
    file = {"filename": "a.bin", "contentType": "application/octet-stream", "content": "QUJD" * 50_000}
    payload, blobs = detach({"subject": "s", "text": "t", "attachments": [file]})
    environment.blobs.put(blobs, NOW + timedelta(days=9))
    job = environment.job(type=Channel.EMAIL, to={"email": "a@example.com"}, payload=payload, **TWO_SECONDS)

    environment.deliver(job)

    assert_expired_unsent(environment, job, provider)


def test_an_earlier_doubt_is_not_forgotten_at_the_deadline() -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    environment = DeliveryEnvironment(first)
    first.on_send = taking(environment, 2.5)
    job = environment.job(may_have_been_sent=True, **TWO_SECONDS)

    after = environment.deliver(job)

    assert (after.status, after.error and after.error.code) == (Status.FAILED, "outcome_unknown")
