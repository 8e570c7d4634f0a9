"""Messages that were admitted without a provider: the permit is asked for when the job is known."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import make_answer
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.job import Job, Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import AFTER_CLAIM, Message, OnResult, Permit
from wavecom.core.states import Status

ADMITTED = Permit(AFTER_CLAIM)


class ImmediateProvider(ScriptedProvider):
    """Can be called without a thread; answers at once, or wants a thread after all."""

    is_begun = True

    def start(self, message: Message, on_result: OnResult) -> bool:
        if self.is_begun:
            on_result(self.send(message))
        return self.is_begun


def claimed(environment: DeliveryEnvironment) -> Job:
    [job] = environment.delivery.claim([environment.job(type=Channel.SMS).job_id])
    assert job is not None
    return job


def test_a_call_without_a_thread_has_the_permit_of_the_jobs_route() -> None:
    provider = ImmediateProvider("first")
    environment = DeliveryEnvironment(provider)
    results: list[AttemptResult | PartialAttempt | Exception] = []

    is_begun = environment.delivery.attempts.begin(claimed(environment), ADMITTED, results.append)

    assert is_begun
    assert len(provider.messages) == 1
    assert [isinstance(each, AttemptResult) for each in results] == [True]
    assert environment.route.out == 0
    [released] = environment.route.released
    assert released is not None
    assert released.provider == "first"


@pytest.mark.parametrize("provider", [ScriptedProvider("first"), ImmediateProvider("first")])
def test_where_a_thread_is_needed_nothing_is_done_and_no_permit_is_out(provider: ScriptedProvider) -> None:
    if isinstance(provider, ImmediateProvider):
        provider.is_begun = False
    environment = DeliveryEnvironment(provider)
    job = claimed(environment)
    results: list[AttemptResult | PartialAttempt | Exception] = []

    assert not environment.delivery.attempts.begin(job, ADMITTED, results.append)
    assert (results, environment.route.out) == ([], 0)

    attempted = environment.delivery.attempts.attempt(job, ADMITTED)

    assert [call.provider for call in attempted.calls] == ["first"]
    assert environment.route.out == 0


def test_while_nobody_on_its_route_may_be_called_the_job_rests_and_uses_up_no_attempt() -> None:
    environment = DeliveryEnvironment(ImmediateProvider("first"))
    environment.route.closed = {"first"}
    job = claimed(environment)

    assert not environment.delivery.attempts.begin(job, ADMITTED, lambda _result: None)
    attempted = environment.delivery.attempts.attempt(job, ADMITTED)
    environment.delivery.record([attempted])

    after = environment.read(job)
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert after.next_attempt_at == environment.clock.now() + timedelta(seconds=5)
    assert environment.route.out == 0


def test_the_next_provider_is_one_of_the_jobs_route() -> None:
    environment = DeliveryEnvironment(
        ImmediateProvider("first", make_answer(Outcome.UNAVAILABLE)), ScriptedProvider("second")
    )
    job = claimed(environment)
    results: list[AttemptResult | PartialAttempt | Exception] = []

    environment.delivery.attempts.begin(job, ADMITTED, results.append)
    [partial] = results
    assert isinstance(partial, PartialAttempt)
    attempted = environment.delivery.attempts.finish(partial)

    assert [call.provider for call in attempted.calls] == ["first", "second"]
    assert environment.route.out == 0
