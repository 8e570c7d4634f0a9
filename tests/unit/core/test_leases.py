"""A call may take longer than a lease: meanwhile the lease is renewed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from tests.factories import make_answer
from tests.fakes import ScriptedProvider
from tests.memory_storage import MemoryJobRepository
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.engine import DueReached, Policy, Transition, decide
from wavecom.core.job import Job, Outcome, ProviderResult, Scope, UnknownOutcomePolicy
from wavecom.core.leases import RENEWAL_SECONDS
from wavecom.core.ports import Message
from wavecom.core.states import Status
from wavecom.errors import RetryLater, StoreError


class SlowServer(ScriptedProvider):
    """Takes ``seconds`` for each call, in which the worker's renewals and the sweep go on."""

    longest_call_seconds = 1200.0

    def __init__(self, seconds: float, *answers: ProviderResult) -> None:
        super().__init__("first", *answers)
        self.seconds = seconds
        self.environment: DeliveryEnvironment | None = None
        self.swept: list[Job] = []

    def send(self, message: Message) -> ProviderResult:
        environment = self.environment
        assert environment is not None
        passed = 0.0
        while passed < self.seconds:
            environment.clock.advance(RENEWAL_SECONDS)
            passed += RENEWAL_SECONDS
            environment.delivery.leases.renew()
            job = environment.jobs.get(message.job_id)
            assert job is not None
            if decide(job, DueReached(), environment.clock.now(), Policy()) is not None:
                self.swept.append(job)
        return super().send(message)


def environment_with(server: SlowServer, jobs: MemoryJobRepository | None = None) -> DeliveryEnvironment:
    server.environment = DeliveryEnvironment(server, jobs=jobs)
    return server.environment


@pytest.mark.parametrize("seconds", [12, 60, 600])
def test_a_slow_server_gets_one_copy_and_its_answer_counts(seconds: float) -> None:
    server = SlowServer(seconds)
    environment = environment_with(server)
    job = environment.job()

    after = environment.deliver(job)

    assert server.swept == []
    assert (after.status, after.attempts, len(server.messages)) == (Status.DELIVERED, 1, 1)


def test_a_call_that_is_still_under_way_at_the_deadline_keeps_its_lease() -> None:
    server = SlowServer(120)
    environment = environment_with(server)
    job = environment.job(expires_at=environment.clock.now() + timedelta(seconds=10))

    after = environment.deliver(job)

    assert server.swept == []
    assert after.status is Status.DELIVERED


def test_a_next_provider_after_a_slow_one_is_called_under_the_renewed_lease() -> None:
    server = SlowServer(60, make_answer(Outcome.UNAVAILABLE))
    second = ScriptedProvider("second")
    server.environment = environment = DeliveryEnvironment(server, second)
    job = environment.job()

    after = environment.deliver(job)

    assert (after.status, after.provider) == (Status.DELIVERED, "second")


def test_quick_calls_cost_no_write_for_their_lease() -> None:
    environment = DeliveryEnvironment()
    written = []
    environment.providers["first"].on_send = lambda _message: (
        environment.clock.advance(5),
        environment.delivery.leases.renew(),
        written.append(environment.jobs.get(job.job_id)),
    )[0]
    job = environment.job()

    environment.deliver(job)

    [during] = written
    assert during is not None
    assert during.claim is not None
    assert (during.claim.lease_until - during.updated_at).total_seconds() == Policy().lease.total_seconds()


class HesitatingStore(MemoryJobRepository):
    """Is away for the first two writes of those that follow a claim."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = iter([True, True, False, False])

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        if transitions and next(self.failures, False):
            raise StoreError("away")
        return super().apply(transitions)


def test_renewals_go_on_when_the_store_was_away_for_a_while() -> None:
    server = SlowServer(60)
    store = HesitatingStore()
    environment = environment_with(server, jobs=store)
    job = environment.job()

    after = environment.deliver(job)

    assert (after.status, server.swept) == (Status.DELIVERED, [])
    assert next(store.failures, None) is not True, "the renewals met the store that was away"


def test_a_lease_that_was_lost_is_said_and_not_renewed_over_another() -> None:
    environment = DeliveryEnvironment()
    job = environment.job()

    def lose(_message: Message) -> None:
        environment.clock.advance(31)
        lost = environment.jobs.get(job.job_id)
        assert lost is not None
        swept = decide(lost, DueReached(), environment.clock.now(), Policy())
        assert swept is not None
        assert environment.jobs.apply([swept]) == [True]
        with capture_logs() as logs:
            environment.delivery.leases.renew()
            environment.delivery.leases.renew()
        assert [entry["event"] for entry in logs] == ["lease_lost_during_call"]

    environment.providers["first"].on_send = lose

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED, "the answer came after all, and nobody else holds the job"


@pytest.mark.parametrize(
    ("policy", "status"),
    [(UnknownOutcomePolicy.RETRY, Status.RETRYING), (UnknownOutcomePolicy.STOP, Status.UNCONFIRMED)],
)
def test_a_worker_that_has_to_stop_says_of_its_calls_that_nobody_knows(
    policy: UnknownOutcomePolicy, status: Status
) -> None:
    environment = DeliveryEnvironment()
    job = environment.job(on_unknown_outcome=policy)
    abandoned: list[Job] = []

    def stop(_message: Message) -> None:
        assert environment.delivery.abandon() == 1
        abandoned.append(environment.read(job))

    environment.providers["first"].on_send = stop

    environment.deliver(job)

    [then] = abandoned
    assert (then.status, then.may_have_been_sent) == (status, True)
    assert then.error is not None
    assert then.error.message.startswith("worker_stopped")
    assert environment.read(job).status is Status.DELIVERED, "what was answered in the last moment still counts"
    assert environment.delivery.abandon() == 0


def test_a_call_is_no_stuck_delivery_before_it_should_be_over() -> None:
    environment = DeliveryEnvironment()
    server = environment.providers["first"]
    server.longest_call_seconds = 600
    ages = []

    def look(_message: Message) -> None:
        for seconds in (0, 500, 200):
            environment.clock.advance(seconds)
            ages.append(environment.delivery.activity.oldest_age(environment.clock.monotonic()))

    server.on_send = look

    environment.deliver(environment.job())

    assert ages == [0, 0, 100]


# --- Providers that lack what a message needs ---------------------------------------------------------------------

LACKING = ProviderResult(Outcome.UNAVAILABLE, "smtputf8_missing", "as in payload.replyTo", is_final_here=True)
AWAY = make_answer(Outcome.UNAVAILABLE)


def test_what_one_provider_can_not_take_goes_to_the_next() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("old", LACKING), ScriptedProvider("mail"))

    after = environment.deliver(environment.job())

    assert (after.status, after.provider) == (Status.DELIVERED, "mail")


def test_what_no_provider_can_take_fails_at_once_and_says_why() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("old", LACKING), ScriptedProvider("older", LACKING))

    after = environment.deliver(environment.job())

    assert (after.status, after.attempts) == (Status.FAILED, 1)
    assert after.error is not None
    assert after.error.code == "not_supported"
    assert after.error.message == "smtputf8_missing: as in payload.replyTo"


def test_one_that_could_but_is_away_is_waited_for() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("old", LACKING), ScriptedProvider("mail", AWAY, make_answer()))
    job = environment.job()

    with pytest.raises(RetryLater):
        environment.deliver(job)
    environment.clock.advance(600)

    assert environment.deliver(job).status is Status.DELIVERED


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_one_that_could_but_may_not_be_called_now_is_waited_for_which_is_no_attempt(max_attempts: int) -> None:
    environment = DeliveryEnvironment(ScriptedProvider("old", LACKING), ScriptedProvider("mail"))
    environment.route.closed = {"mail"}
    job = environment.job(max_attempts=max_attempts)

    for _ in range(7):
        waiting = environment.deliver(job)
        assert (waiting.status, waiting.attempts) == (Status.RETRYING, 0)
        assert waiting.next_attempt_at is not None
        assert 5 <= (waiting.next_attempt_at - environment.clock.now()).total_seconds() <= 60
        environment.clock.advance(61)
    environment.route.closed = set()

    assert environment.deliver(job).status is Status.DELIVERED


def test_who_can_not_take_a_message_is_asked_once_however_long_another_is_waited_for() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("old", LACKING), ScriptedProvider("mail", AWAY, LACKING))
    environment.route.closed = {"mail"}
    job = environment.job()

    for _ in range(3):
        waiting = environment.deliver(job)
        environment.clock.advance(61)
    environment.route.closed = set()
    with pytest.raises(RetryLater):
        environment.deliver(job)
    environment.clock.advance(600)
    failed = environment.deliver(job)

    assert [len(environment.providers[name].messages) for name in ("old", "mail")] == [1, 2]
    assert waiting.refused_by == ("old",)
    assert [entry.code for entry in waiting.logs if entry.provider == "old"] == ["smtputf8_missing"]
    assert failed.error is not None
    assert (failed.status, failed.error.code) == (Status.FAILED, "not_supported")


def test_where_nobody_is_left_who_has_not_refused_a_message_it_is_asked_for_once_more() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("old", LACKING))

    after = environment.deliver(environment.job(refused_by=("old",)))

    assert len(environment.providers["old"].messages) == 1
    assert after.error is not None
    assert after.error.code == "not_supported"


@pytest.mark.parametrize("max_attempts", [1, 5])
def test_one_that_could_but_for_which_this_worker_has_no_means_is_waited_for(max_attempts: int) -> None:
    out_of_means = ProviderResult(Outcome.UNAVAILABLE, "not_begun", scope=Scope.WORKER)
    environment = DeliveryEnvironment(
        ScriptedProvider("old", LACKING), ScriptedProvider("mail", out_of_means, make_answer())
    )
    job = environment.job(max_attempts=max_attempts)

    waiting = environment.deliver(job)
    environment.clock.advance(61)

    assert (waiting.status, waiting.attempts) == (Status.RETRYING, 0)
    assert environment.deliver(job).status is Status.DELIVERED


def test_what_was_perhaps_sent_before_does_not_fail_as_if_it_had_not() -> None:
    provider = ScriptedProvider("old", make_answer(Outcome.UNKNOWN), LACKING)
    environment = DeliveryEnvironment(provider)
    job = environment.job()
    with pytest.raises(RetryLater):
        environment.deliver(job)
    environment.clock.advance(600)

    after = environment.deliver(job)

    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.code == "outcome_unknown"
