"""Results that come late, and leases that run short."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.factories import NOW, make_answer
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.engine import DueReached, decide
from wavecom.core.job import Claim, Job, JobId, Outcome
from wavecom.core.states import Status


def test_a_late_result_of_a_living_worker_settles_a_job_that_the_sweep_has_moved() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job()

    def lease_runs_out_during_the_call(_message: object) -> None:
        environment.clock.advance(31)
        transition = decide(environment.read(job), DueReached(), environment.clock.now())
        assert transition is not None
        assert environment.jobs.apply([transition]) == [True]

    provider.on_send = lease_runs_out_during_the_call

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert after.attempts == 1


def test_a_late_result_is_discarded_when_another_worker_holds_the_job() -> None:
    provider = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    environment = DeliveryEnvironment(provider)
    job = environment.job()
    theirs = Claim("theirs", "worker-2", NOW + timedelta(hours=1))

    def somebody_else_takes_the_job(_message: object) -> None:
        environment.clock.advance(31)
        transition = decide(environment.read(job), DueReached(), environment.clock.now())
        assert transition is not None
        assert environment.jobs.apply([transition]) == [True]
        environment.clock.advance(60)
        assert list(environment.jobs.claim([job.job_id], theirs, environment.clock.now())) == [job.job_id]

    provider.on_send = somebody_else_takes_the_job

    after = environment.deliver(job)

    assert after.status is Status.PROCESSING
    assert after.claim == theirs


def test_the_lease_is_renewed_before_a_failover_that_it_would_not_cover() -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    job = environment.job()
    leases = []
    first.on_send = lambda _message: environment.clock.advance(20)
    second.on_send = lambda _message: leases.append(environment.read(job).claim)

    environment.deliver(job)

    assert leases[0] is not None
    assert leases[0].lease_until == environment.clock.now() + timedelta(seconds=30)


def test_a_first_call_never_starts_under_a_lease_that_is_almost_spent() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job()
    leases = []
    provider.on_send = lambda _message: leases.append(environment.read(job).claim)
    claim = environment.jobs.claim

    def slowly(*args: Any) -> dict[JobId, Job]:
        granted = claim(*args)
        environment.clock.advance(25)
        return granted

    environment.jobs.claim = slowly  # type: ignore[method-assign]

    environment.deliver(job)

    assert leases[0] is not None
    assert leases[0].lease_until == environment.clock.now() + timedelta(seconds=30)
