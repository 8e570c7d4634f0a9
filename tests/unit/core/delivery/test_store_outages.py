"""The store is away, loses answers or meets a bug."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes import ScriptedProvider
from tests.memory_storage import MemoryJobRepository
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.engine import DueReached, decide
from wavecom.core.job import Claim, Job, JobId, UnknownOutcomePolicy
from wavecom.core.states import Status
from wavecom.errors import RequeueError, StoreError, UncertainWriteError


class AwayFor(MemoryJobRepository):
    """A store that fails its next calls."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0

    def _maybe_fail(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StoreError("away")

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: Any) -> dict[JobId, Job]:
        self._maybe_fail()
        return super().claim(job_ids, claim, now)

    def apply(self, transitions: Any) -> list[bool]:
        self._maybe_fail()
        return super().apply(transitions)


def environment_with_a_shaky_store() -> tuple[DeliveryEnvironment, AwayFor, ScriptedProvider]:
    provider = ScriptedProvider("first")
    store = AwayFor()
    environment = DeliveryEnvironment(provider, jobs=store)
    return environment, store, provider


class LosesAnswers(MemoryJobRepository):
    """A store that makes the next claims but whose answers do not arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0
        self.tokens: list[str] = []

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: Any) -> dict[JobId, Job]:
        granted = super().claim(job_ids, claim, now)
        self.tokens.append(claim.token)
        if self.lost > 0:
            self.lost -= 1
            raise UncertainWriteError("no answer")
        return granted


def environment_whose_claims_go_unanswered(lost: int) -> tuple[DeliveryEnvironment, ScriptedProvider, LosesAnswers]:
    provider = ScriptedProvider("first")
    store = LosesAnswers()
    store.lost = lost
    environment = DeliveryEnvironment(provider, jobs=store)
    return environment, provider, store


def test_a_claim_whose_answer_was_lost_is_found_by_its_own_token() -> None:
    environment, provider, store = environment_whose_claims_go_unanswered(lost=2)
    job = environment.job()

    after = environment.deliver(job)
    environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert not after.may_have_been_sent
    assert len(provider.messages) == 1
    first, *again, afterwards = store.tokens
    assert set(again) == {first}
    assert afterwards != first, "the token is forgotten when the claim is known"


def test_a_claim_found_after_a_long_time_is_sent_under_a_full_lease() -> None:
    environment, provider, _ = environment_whose_claims_go_unanswered(lost=1)
    job = environment.job()
    environment.patience.on_wait = lambda: environment.clock.advance(29)
    leases = []
    provider.on_send = lambda _message: leases.append(environment.read(job).claim)

    environment.deliver(job)

    assert leases[0] is not None
    assert leases[0].lease_until == environment.clock.now() + timedelta(seconds=30)


def test_a_claim_that_the_sweep_took_away_meanwhile_is_not_sent() -> None:
    environment, provider, _ = environment_whose_claims_go_unanswered(lost=1)
    job = environment.job(on_unknown_outcome=UnknownOutcomePolicy.STOP)

    def lease_runs_out() -> None:
        environment.clock.advance(40)
        transition = decide(environment.read(job), DueReached(), environment.clock.now())
        assert transition is not None
        environment.jobs.apply([transition])

    environment.patience.on_wait = lease_runs_out

    environment.deliver(job)

    assert environment.read(job).status is Status.UNCONFIRMED
    assert provider.messages == []


def test_nothing_is_sent_while_the_store_is_away_and_the_message_is_given_back_at_shutdown() -> None:
    environment, store, provider = environment_with_a_shaky_store()
    job = environment.job()
    store.failures = 10**6
    environment.patience.on_wait = lambda: setattr(environment.patience, "is_stopping", True)

    with pytest.raises(RequeueError):
        environment.deliver(job)

    assert provider.messages == []


def test_nothing_is_claimed_of_a_store_that_is_an_older_copy_until_it_is_settled() -> None:
    environment, _, provider = environment_with_a_shaky_store()
    job = environment.job()
    environment.is_store_older = True
    seen: list[Status] = []

    def settle() -> None:
        seen.append(environment.read(job).status)
        environment.is_store_older = False

    environment.patience.on_wait = settle

    environment.deliver(job)

    assert seen == [Status.QUEUED]
    assert len(provider.messages) == 1


def test_a_message_is_given_back_after_ten_minutes_without_a_store() -> None:
    environment, store, provider = environment_with_a_shaky_store()
    job = environment.job()
    store.failures = 10**6
    began = environment.clock.monotonic()

    with pytest.raises(RequeueError):
        environment.deliver(job)

    assert 600 <= environment.clock.monotonic() - began < 620
    assert provider.messages == []


def test_a_result_is_recorded_when_the_store_comes_back() -> None:
    environment, store, provider = environment_with_a_shaky_store()
    job = environment.job()
    provider.on_send = lambda _message: setattr(store, "failures", 3)

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert len(provider.messages) == 1


class ChokesOnBatches(MemoryJobRepository):
    """A store that claims what it is asked for and then trips over an answer of more than one job."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: list[str] = []

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: Any) -> dict[JobId, Job]:
        granted = super().claim(job_ids, claim, now)
        self.tokens.append(claim.token)
        if len(job_ids) > 1:
            raise ValueError("a bug")
        return granted


def test_jobs_claimed_by_a_batch_that_met_a_bug_are_found_again_one_by_one() -> None:
    store = ChokesOnBatches()
    environment = DeliveryEnvironment(jobs=store)
    jobs = [environment.job(), environment.job()]

    with pytest.raises(ValueError, match="a bug"):
        environment.delivery.claim([job.job_id for job in jobs])
    again = [environment.delivery.claim([job.job_id])[0] for job in jobs]

    environment.delivery.claim([jobs[0].job_id])

    assert [job is not None for job in again] == [True, True]
    assert [token == store.tokens[0] for token in store.tokens] == [True, True, True, False]
