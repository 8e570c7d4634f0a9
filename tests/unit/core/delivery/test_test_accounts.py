"""Jobs of test accounts: delivered like all others, by the sandbox and by nobody else."""

from __future__ import annotations

import pytest

from tests.factories import make_answer
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.job import Outcome
from wavecom.core.lanes import Channel
from wavecom.core.ports import TEST_SANDBOX, Permit
from wavecom.core.states import Status
from wavecom.errors import RetryLater

LIVE, TEST = "acme", "acme:test"


def test_a_test_job_goes_to_the_sandbox_and_a_live_one_to_the_provider() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    live, test = environment.job(client=LIVE), environment.job(client=TEST)

    after = [environment.deliver(job) for job in (live, test)]

    assert [message.job_id for message in provider.messages] == [live.job_id]
    assert [message.job_id for message in environment.sandbox.messages] == [test.job_id]
    assert [(job.status, job.provider) for job in after] == [
        (Status.DELIVERED, "first"),
        (Status.DELIVERED, TEST_SANDBOX),
    ]


def test_the_live_permit_of_a_test_job_is_given_back_unused() -> None:
    environment = DeliveryEnvironment()
    job = environment.job(client=TEST, type=Channel.SMS, payload={"text": "long " * 100})

    environment.deliver(job)

    assert environment.route.released == [None]
    assert environment.route.charged == []


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.UNKNOWN])
def test_a_sandbox_that_fails_is_failed_over_to_nobody(outcome: Outcome) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second, sandbox=ScriptedProvider(TEST_SANDBOX, make_answer(outcome)))
    job = environment.job(client=TEST)

    for _ in range(3):
        with pytest.raises(RetryLater):
            environment.deliver(job)
        environment.clock.advance(3600)

    assert len(environment.sandbox.messages) == 3
    assert first.messages == second.messages == []


def test_a_test_job_that_a_real_provider_once_had_does_not_go_back_there() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job(client=TEST, provider="first", may_have_been_sent=True)

    environment.deliver(job)

    assert provider.messages == []


def test_with_a_place_in_the_sandbox_no_provider_is_asked_for() -> None:
    environment = DeliveryEnvironment()
    environment.route.closed = {"first"}
    environment.route.out = 1
    job = environment.job(client=TEST)

    environment.delivery.deliver(job.job_id, Permit(TEST_SANDBOX))

    assert environment.read(job).status is Status.DELIVERED
    assert environment.route.out == 0


def test_a_live_job_that_came_with_a_place_in_the_sandbox_goes_to_its_provider() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    environment.route.out = 1
    job = environment.job(client=LIVE)

    environment.delivery.deliver(job.job_id, Permit(TEST_SANDBOX))

    assert len(provider.messages) == 1
    assert environment.sandbox.messages == []
    assert environment.route.out == 0


def test_a_live_job_that_came_with_a_place_in_the_sandbox_waits_for_a_closed_provider() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    environment.route.out = 1
    environment.route.closed = {"first"}
    job = environment.job(client=LIVE)

    environment.delivery.deliver(job.job_id, Permit(TEST_SANDBOX))

    after = environment.read(job)
    assert (after.attempts, provider.messages, environment.sandbox.messages) == (0, [], [])
    assert after.status in {Status.QUEUED, Status.RETRYING}
    assert environment.route.out == 0
