"""Jobs of test accounts: delivered like all others, by the sandbox and by nobody else."""

from __future__ import annotations

import pytest

from tests.factories import make_answer
from tests.fakes import ScriptedProvider
from tests.unit.test_delivery import House
from wavecom.core.job import Channel, Outcome
from wavecom.core.ports import TEST_SANDBOX, Permit
from wavecom.core.states import Status
from wavecom.errors import RetryLater

LIVE, TEST = "acme", "acme:test"


def test_a_test_job_goes_to_the_sandbox_and_a_live_one_to_the_provider() -> None:
    provider = ScriptedProvider("first")
    house = House(provider)
    live, test = house.job(client=LIVE), house.job(client=TEST)

    after = [house.deliver(job) for job in (live, test)]

    assert [message.job_id for message in provider.messages] == [live.job_id]
    assert [message.job_id for message in house.sandbox.messages] == [test.job_id]
    assert [(job.status, job.provider) for job in after] == [
        (Status.DELIVERED, "first"),
        (Status.DELIVERED, TEST_SANDBOX),
    ]


def test_the_live_permit_of_a_test_job_is_given_back_unused() -> None:
    house = House()
    job = house.job(client=TEST, type=Channel.SMS, payload={"text": "long " * 100})

    house.deliver(job)

    assert house.route.released == [None]
    assert house.route.charged == []


@pytest.mark.parametrize("outcome", [Outcome.UNAVAILABLE, Outcome.UNKNOWN])
def test_a_sandbox_that_fails_is_failed_over_to_nobody(outcome: Outcome) -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    house = House(first, second, sandbox=ScriptedProvider(TEST_SANDBOX, make_answer(outcome)))
    job = house.job(client=TEST)

    for _ in range(3):
        with pytest.raises(RetryLater):
            house.deliver(job)
        house.clock.advance(3600)

    assert len(house.sandbox.messages) == 3
    assert first.messages == second.messages == []


def test_a_test_job_that_a_real_provider_once_had_does_not_go_back_there() -> None:
    provider = ScriptedProvider("first")
    house = House(provider)
    job = house.job(client=TEST, provider="first", may_have_been_sent=True)

    house.deliver(job)

    assert provider.messages == []


def test_with_a_place_in_the_sandbox_no_provider_is_asked_for() -> None:
    house = House()
    house.route.closed = {"first"}
    house.route.out = 1
    job = house.job(client=TEST)

    house.delivery.deliver(job.job_id, Permit(TEST_SANDBOX))

    assert house.read(job).status is Status.DELIVERED
    assert house.route.out == 0


def test_a_live_job_that_came_with_a_place_in_the_sandbox_goes_to_its_provider() -> None:
    provider = ScriptedProvider("first")
    house = House(provider)
    house.route.out = 1
    job = house.job(client=LIVE)

    house.delivery.deliver(job.job_id, Permit(TEST_SANDBOX))

    assert len(provider.messages) == 1
    assert house.sandbox.messages == []
    assert house.route.out == 0


def test_a_live_job_that_came_with_a_place_in_the_sandbox_waits_for_a_closed_provider() -> None:
    provider = ScriptedProvider("first")
    house = House(provider)
    house.route.out = 1
    house.route.closed = {"first"}
    job = house.job(client=LIVE)

    house.delivery.deliver(job.job_id, Permit(TEST_SANDBOX))

    after = house.read(job)
    assert (after.attempts, provider.messages, house.sandbox.messages) == (0, [], [])
    assert after.status in {Status.QUEUED, Status.RETRYING}
    assert house.route.out == 0
