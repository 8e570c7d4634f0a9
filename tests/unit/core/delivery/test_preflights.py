from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from tests.factories import make_answer
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.job import Job, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message, OnResult, Permit
from wavecom.core.preflights import Hold, ProviderHold, Rejection
from wavecom.core.states import Status
from wavecom.errors import RetryLater, StoreError

STOP = Rejection("suppressed", "the recipient wants nothing", Reason.SUPPRESSED)


class ListedPreflight:
    """Says the same of every job; keeps what it was asked."""

    def __init__(
        self, stop: Hold | Rejection | ProviderHold | None, *, store_errors: int = 0, error: Exception | None = None
    ) -> None:
        self.stop = stop
        self.store_errors = store_errors
        self.error = error
        self.prepared: list[list[Job]] = []
        self.checked: list[Job] = []

    def prepare(self, jobs: Sequence[Job]) -> None:
        self.prepared.append(list(jobs))
        if self.store_errors:
            self.store_errors -= 1
            raise StoreError("away")

    def check(self, job: Job) -> Hold | Rejection | ProviderHold | None:
        self.checked.append(job)
        if self.error is not None:
            raise self.error
        return self.stop


class ImmediateProvider(ScriptedProvider):
    """Can be called without a thread, and answers at once."""

    def start(self, message: Message, on_result: OnResult) -> bool:
        on_result(self.send(message))
        return True


def test_a_job_that_passes_is_sent() -> None:
    preflight = ListedPreflight(None)
    environment = DeliveryEnvironment(preflights=[preflight])
    job = environment.job()

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert [each.job_id for each in preflight.checked] == [job.job_id]


def test_a_rejected_job_fails_with_its_code_and_no_call() -> None:
    environment = DeliveryEnvironment(preflights=[ListedPreflight(STOP)])
    job = environment.job()

    after = environment.deliver(job)

    assert (after.status, after.error and after.error.code) == (Status.FAILED, "suppressed")
    assert after.logs[-1].code == "suppressed"
    assert environment.providers["first"].messages == []
    assert environment.route.released == [None]


def test_a_job_on_hold_rests_and_uses_up_no_attempt() -> None:
    environment = DeliveryEnvironment(preflights=[ListedPreflight(Hold(30))])
    job = environment.job()

    after = environment.deliver(job)

    assert environment.providers["first"].messages == []
    assert after.attempts == 0
    assert after.due_at == environment.clock.now() + timedelta(seconds=30)
    assert environment.route.released == [None]


def test_the_first_that_stops_a_job_decides() -> None:
    last = ListedPreflight(Hold(30))
    environment = DeliveryEnvironment(preflights=[ListedPreflight(None), ListedPreflight(STOP), last])
    job = environment.job()

    after = environment.deliver(job)

    assert after.status is Status.FAILED
    assert last.checked == []


def test_a_test_accounts_job_is_asked_about_too() -> None:
    environment = DeliveryEnvironment(preflights=[ListedPreflight(STOP)])
    job = environment.job(client="acme:test")

    after = environment.deliver(job)

    assert after.status is Status.FAILED
    assert environment.sandbox.messages == []


def test_jobs_claimed_together_are_prepared_together() -> None:
    preflight = ListedPreflight(None)
    environment = DeliveryEnvironment(preflights=[preflight])
    jobs = [environment.job() for _ in range(3)]

    environment.delivery.claim([job.job_id for job in jobs])

    assert [[each.job_id for each in batch] for batch in preflight.prepared] == [[job.job_id for job in jobs]]


def test_nothing_is_prepared_for_a_message_whose_job_is_not_granted() -> None:
    preflight = ListedPreflight(None)
    environment = DeliveryEnvironment(preflights=[preflight])
    job = environment.job()
    environment.deliver(job)
    preflight.prepared.clear()

    environment.deliver(job)

    assert preflight.prepared == []


def test_a_store_that_is_away_while_jobs_are_prepared_loses_none() -> None:
    preflight = ListedPreflight(None, store_errors=2)
    environment = DeliveryEnvironment(preflights=[preflight])
    job = environment.job()

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert len(preflight.prepared) == 3


def test_a_bug_in_a_preflight_is_an_attempt_without_a_call_that_gives_its_permit_back() -> None:
    environment = DeliveryEnvironment(preflights=[ListedPreflight(None, error=ValueError("bug"))])
    job = environment.job()

    with pytest.raises(RetryLater):
        environment.deliver(job)

    assert environment.read(job).attempts == 1
    assert environment.providers["first"].messages == []


@pytest.mark.parametrize("preflight", [ListedPreflight(STOP), ListedPreflight(None, error=ValueError("bug"))])
def test_a_stopped_job_is_not_begun_without_a_thread(preflight: ListedPreflight) -> None:
    environment = DeliveryEnvironment(ImmediateProvider("first", make_answer()), preflights=[preflight])
    job = environment.job(type=Channel.SMS)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None
    permit = environment.route.reserve(job.lane)
    assert isinstance(permit, Permit)
    results: list[AttemptResult | PartialAttempt | Exception] = []

    is_begun = environment.delivery.attempts.begin(claimed, permit, results.append)

    assert (is_begun, results) == (False, [])
    assert environment.providers["first"].messages == []


def test_a_job_takes_the_longest_wait_that_is_asked_of_a_provider_and_goes_by_another() -> None:
    preflights = [ListedPreflight(ProviderHold({"first": 5})), ListedPreflight(ProviderHold({"first": 20, "no": 1}))]
    environment = DeliveryEnvironment(ScriptedProvider("first"), ScriptedProvider("second"), preflights=preflights)

    after = environment.deliver(environment.job())

    assert (after.status, after.provider) == (Status.DELIVERED, "second")
    assert environment.route.released[0] is None, "the permit for the first was not used"


def test_a_job_is_stopped_whatever_is_said_of_providers() -> None:
    environment = DeliveryEnvironment(preflights=[ListedPreflight(ProviderHold({"first": 5})), ListedPreflight(STOP)])

    after = environment.deliver(environment.job())

    assert after.status is Status.FAILED
