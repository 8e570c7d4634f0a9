from __future__ import annotations

import contextlib
import itertools
from base64 import b64encode
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import NOW, make_answer, make_job
from tests.fakes import (
    CountingStats,
    FakeClock,
    FixedRoute,
    NeverStopping,
    OneByOne,
    RecordingObserver,
    RecordingPublisher,
    ScriptedProvider,
    make_writer,
)
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from wavecom.core.attachments import keep_until, names_in, set_apart
from wavecom.core.attempts import AttemptResult, PartialAttempt
from wavecom.core.delivery import Delivery, RetryBounds
from wavecom.core.engine import DueReached, Policy, Transition, decide
from wavecom.core.job import Claim, Job, JobId, Outcome, ProviderResult, Scope, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.ports import TEST_SANDBOX, Message, OnResult, Permit
from wavecom.core.states import Status
from wavecom.errors import RequeueError, RetryLater, StoreError, UncertainWriteError


class DeliveryEnvironment:
    """A delivery with everything around it, over the memory store."""

    def __init__(
        self,
        *providers: ScriptedProvider,
        floors: dict[str, float] | None = None,
        sandbox: ScriptedProvider | None = None,
        lag_seconds: float = 0,
        observers: Sequence[RecordingObserver] = (),
        jobs: MemoryJobRepository | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock(NOW + timedelta(seconds=1))
        self.jobs = jobs or MemoryJobRepository()
        self.providers = {provider.name: provider for provider in providers or (ScriptedProvider("first"),)}
        self.sandbox = sandbox or ScriptedProvider(TEST_SANDBOX)
        self.route = FixedRoute(*self.providers)
        self.publisher = RecordingPublisher()
        self.stats = CountingStats()
        self.patience = NeverStopping(self.clock)
        tokens = itertools.count(1)
        self.blobs = MemoryBlobStore()
        writer = make_writer(self.jobs, self.clock, publisher=self.publisher, stats=self.stats, observers=observers)
        self.delivery = Delivery(
            jobs=self.jobs,
            writer=writer,
            blobs=self.blobs,
            route=self.route,
            providers=self.providers,
            sandbox=self.sandbox,
            clock=self.clock,
            batcher=OneByOne,
            policy=Policy(),
            worker="worker-1",
            stopping=self.patience,
            jitter=lambda: 0.5,
            new_token=lambda: f"token-{next(tokens)}",
            retry_bounds={name: RetryBounds(floor_seconds=floor) for name, floor in (floors or {}).items()},
            lag_since=lambda _moment: lag_seconds,
        )

    def job(self, **overrides: Any) -> Job:
        job = make_job(**overrides)
        assert self.jobs.insert([job]) == [None]
        return job

    def deliver(self, job: Job) -> Job:
        permit = self.route.reserve(job.lane)
        assert isinstance(permit, Permit)
        try:
            self.delivery.deliver(job.job_id, permit)
        finally:
            assert self.route.out == 0, "a permit was not given back"
        return self.read(job)

    def read(self, job: Job) -> Job:
        stored = self.jobs.get(job.job_id)
        assert stored is not None
        return stored


def test_an_accepted_message_is_delivered_with_a_log_that_says_by_whom() -> None:
    provider = ScriptedProvider("first", make_answer(message_id="p-77"))
    environment = DeliveryEnvironment(provider)
    job = environment.job(type=Channel.SMS)

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert (after.attempts, after.provider, after.provider_message_id) == (1, "first", "p-77")
    assert after.due_at is None
    assert after.logs[-1].event == "delivered"
    assert after.logs[-1].provider == "first"
    assert provider.messages[0].payload == job.payload


def test_the_provider_gets_the_same_key_for_every_attempt() -> None:
    provider = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE), make_answer())
    environment = DeliveryEnvironment(provider)
    job = environment.job()

    with pytest.raises(RetryLater):
        environment.deliver(job)
    environment.clock.advance(60)
    environment.deliver(job)

    assert [message.delivery_key for message in provider.messages] == [job.job_id, job.job_id]
    assert [message.attempt for message in provider.messages] == [1, 2]


def test_a_duplicate_message_sends_nothing() -> None:
    provider = ScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job()
    environment.deliver(job)

    environment.deliver(job)

    assert len(provider.messages) == 1


def test_a_job_that_is_not_in_the_store_is_skipped() -> None:
    environment = DeliveryEnvironment()
    permit = environment.route.reserve(make_job().lane)
    assert isinstance(permit, Permit)

    environment.delivery.deliver(JobId("0190b0de-0000-7000-8000-000000000000"), permit)

    assert environment.route.out == 0


def test_two_messages_for_one_job_in_one_claim_batch_are_granted_once() -> None:
    environment = DeliveryEnvironment()
    job = environment.job()

    granted = environment.delivery.claim([job.job_id, job.job_id, job.job_id])

    assert [claimed is not None for claimed in granted] == [True, False, False]


def test_an_unavailable_provider_is_failed_over_within_the_attempt() -> None:
    first = ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    job = environment.job()

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert (after.provider, after.attempts) == ("second", 1)
    assert [(entry.provider, entry.outcome) for entry in after.logs[-2:]] == [
        ("first", "unavailable"),
        ("second", "accepted"),
    ]


def test_a_rejected_message_is_never_failed_over_and_fails_at_once() -> None:
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(ScriptedProvider("first", make_answer(Outcome.REJECTED)), second)
    job = environment.job()

    after = environment.deliver(job)

    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.code == "rejected"
    assert second.messages == []


def test_an_unknown_outcome_is_not_failed_over_in_the_same_attempt() -> None:
    second = ScriptedProvider("second")
    environment = DeliveryEnvironment(ScriptedProvider("first", make_answer(Outcome.UNKNOWN)), second)
    job = environment.job()

    with pytest.raises(RetryLater):
        environment.deliver(job)

    after = environment.read(job)
    assert after.status is Status.RETRYING
    assert after.may_have_been_sent
    assert after.logs[-1].event == "outcome_unknown"
    assert second.messages == []


def test_after_an_unknown_outcome_the_same_idempotent_provider_comes_first() -> None:
    first = ScriptedProvider("first")
    second = ScriptedProvider("second", make_answer(Outcome.UNKNOWN), make_answer())
    environment = DeliveryEnvironment(first, second)
    job = environment.job()
    environment.route.closed = {"first"}
    with pytest.raises(RetryLater):
        environment.deliver(job)
    environment.route.closed = set()
    environment.clock.advance(60)

    after = environment.deliver(job)

    assert after.provider == "second"
    assert first.messages == []


def test_an_unknown_outcome_under_stop_is_left_unconfirmed_and_never_sent_again() -> None:
    provider = ScriptedProvider("first", make_answer(Outcome.UNKNOWN))
    environment = DeliveryEnvironment(provider)
    job = environment.job(on_unknown_outcome=UnknownOutcomePolicy.STOP)

    environment.deliver(job)
    environment.clock.advance(3600)
    environment.deliver(job)

    assert environment.read(job).status is Status.UNCONFIRMED
    assert len(provider.messages) == 1


def test_a_retry_is_recorded_before_it_is_published_and_both_delays_are_the_same_number() -> None:
    environment = DeliveryEnvironment(
        ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE, retry_after_seconds=17.2))
    )
    job = environment.job()

    with pytest.raises(RetryLater) as retry:
        environment.deliver(job)

    after = environment.read(job)
    assert after.status is Status.RETRYING
    assert after.next_attempt_at == environment.clock.now() + timedelta(seconds=retry.value.delay_seconds)
    assert retry.value.delay_seconds >= 18
    assert environment.publisher.delivery_messages == [], "the message is published by Celery's retry, not here"


def test_a_providers_floor_keeps_its_retries_apart() -> None:
    environment = DeliveryEnvironment(
        ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE)), floors={"first": 900}
    )
    job = environment.job()

    with pytest.raises(RetryLater) as retry:
        environment.deliver(job)

    assert retry.value.delay_seconds >= 900


def test_the_last_attempt_ends_the_job_with_a_dead_letter() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first", make_answer(Outcome.UNAVAILABLE)))
    job = environment.job(max_attempts=1)

    after = environment.deliver(job)

    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.code == "attempts_exhausted"
    assert [(dead_letter.job_id, dead_letter.code) for dead_letter in environment.publisher.dead_letters] == [
        (job.job_id, "attempts_exhausted")
    ]
    assert after.dead_lettered_at is not None
    assert after.due_at is None


def test_a_dead_letter_that_could_not_be_published_stays_owed() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first", make_answer(Outcome.REJECTED)))
    environment.publisher.is_up = False
    job = environment.job()

    after = environment.deliver(job)

    assert after.dead_lettered_at is None
    assert after.due_at is not None


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


def test_an_sms_is_charged_by_its_segments() -> None:
    environment = DeliveryEnvironment()
    job = environment.job(type=Channel.SMS, payload={"text": "x" * 400})

    environment.deliver(job)

    assert environment.route.charged == [2]


# --- Calls that nobody waits for ----------------------------------------------------------------------------------


class SwiftScriptedProvider(ScriptedProvider):
    """Answers when it is told to."""

    def __init__(self, name: str, *answers: ProviderResult, bug: Exception | None = None) -> None:
        super().__init__(name, *answers)
        self.bug = bug
        self.started: list[tuple[Message, OnResult]] = []

    def start(self, message: Message, on_result: OnResult) -> bool:
        self.started.append((message, on_result))
        return True

    def answer(self) -> None:
        for message, on_result in self.started:
            on_result(self.bug or self.send(message))


def begin(environment: DeliveryEnvironment, job: Job) -> tuple[bool, list[AttemptResult | PartialAttempt | Exception]]:
    permit = environment.route.reserve(job.lane)
    assert isinstance(permit, Permit)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None
    heard: list[AttemptResult | PartialAttempt | Exception] = []
    is_begun = environment.delivery.attempts.begin(claimed, permit, heard.append)
    if not is_begun:
        environment.route.release(permit, None)
    return is_begun, heard


def test_a_call_that_nobody_waits_for_ends_as_one_that_somebody_does() -> None:
    provider = SwiftScriptedProvider("first", make_answer(message_id="p-77"))
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
    first = SwiftScriptedProvider("first", make_answer(Outcome.UNAVAILABLE))
    second = SwiftScriptedProvider("second", make_answer())
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
    provider = SwiftScriptedProvider("first", bug=ValueError("a bug"))
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
    provider = SwiftScriptedProvider("first")
    environment = DeliveryEnvironment(provider)

    is_begun, heard = begin(environment, environment.job(**special))

    assert not is_begun
    assert (heard, provider.started, environment.route.out) == ([], [], 0)


def test_a_call_is_not_begun_under_a_lease_that_is_almost_spent() -> None:
    provider = SwiftScriptedProvider("first")
    environment = DeliveryEnvironment(provider)
    job = environment.job()
    permit = environment.route.reserve(job.lane)
    assert isinstance(permit, Permit)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None

    environment.clock.advance(20)

    assert not environment.delivery.attempts.begin(claimed, permit, lambda _: None)
    assert provider.started == []


# --- The store away -----------------------------------------------------------------------------------------------


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

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: Any) -> dict[JobId, Job]:
        granted = super().claim(job_ids, claim, now)
        if self.lost > 0:
            self.lost -= 1
            raise UncertainWriteError("no answer")
        return granted


def environment_whose_claims_go_unanswered(lost: int) -> tuple[DeliveryEnvironment, ScriptedProvider]:
    provider = ScriptedProvider("first")
    store = LosesAnswers()
    store.lost = lost
    environment = DeliveryEnvironment(provider, jobs=store)
    return environment, provider


def test_a_claim_whose_answer_was_lost_is_found_by_its_own_token() -> None:
    environment, provider = environment_whose_claims_go_unanswered(lost=2)
    job = environment.job()

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    assert not after.may_have_been_sent
    assert len(provider.messages) == 1
    assert environment.delivery._doubtful_tokens == {}


def test_a_claim_found_after_a_long_time_is_sent_under_a_full_lease() -> None:
    environment, provider = environment_whose_claims_go_unanswered(lost=1)
    job = environment.job()
    environment.patience.on_wait = lambda: environment.clock.advance(29)
    leases = []
    provider.on_send = lambda _message: leases.append(environment.read(job).claim)

    environment.deliver(job)

    assert leases[0] is not None
    assert leases[0].lease_until == environment.clock.now() + timedelta(seconds=30)


def test_a_claim_that_the_sweep_took_away_meanwhile_is_not_sent() -> None:
    environment, provider = environment_whose_claims_go_unanswered(lost=1)
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

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: Any) -> dict[JobId, Job]:
        granted = super().claim(job_ids, claim, now)
        if len(job_ids) > 1:
            raise ValueError("a bug")
        return granted


def test_jobs_claimed_by_a_batch_that_met_a_bug_are_found_again_one_by_one() -> None:
    environment = DeliveryEnvironment(jobs=ChokesOnBatches())
    jobs = [environment.job(), environment.job()]

    with pytest.raises(ValueError, match="a bug"):
        environment.delivery.claim([job.job_id for job in jobs])
    again = [environment.delivery.claim([job.job_id])[0] for job in jobs]

    assert [job is not None for job in again] == [True, True]
    assert environment.delivery._doubtful_tokens == {}


# --- Attachments that are stored apart --------------------------------------------------------------------------------

MAIL = {"subject": "Invoice", "text": "Attached."}
FILE = {"filename": "a.pdf", "contentType": "application/pdf", "content": b64encode(b"a" * 100_000).decode()}


def _mail_apart(environment: DeliveryEnvironment, *, client: str = "acme") -> Job:
    payload, blobs = set_apart(MAIL | {"attachments": [FILE]})
    environment.blobs.put(blobs, NOW + timedelta(days=1))
    return environment.job(type=Channel.EMAIL, payload=payload, client=client)


@pytest.mark.parametrize("client", ["acme", "acme:test"])
def test_the_provider_gets_attachments_as_they_were_sent(client: str) -> None:
    environment = DeliveryEnvironment()
    job = _mail_apart(environment, client=client)

    after = environment.deliver(job)

    assert after.status is Status.DELIVERED
    [message] = [*environment.providers["first"].messages, *environment.sandbox.messages]
    assert message.payload == MAIL | {"attachments": [FILE]}


def test_a_job_whose_attachment_is_gone_fails_for_good_and_says_so() -> None:
    environment = DeliveryEnvironment()
    job = _mail_apart(environment)
    environment.blobs.purge(NOW + timedelta(days=2))

    after = environment.deliver(job)

    assert (after.status, after.attempts) == (Status.FAILED, 1)
    assert after.error is not None
    assert (after.error.code, after.error.provider) == ("rejected", None)
    assert after.error.message.startswith("attachment_missing")
    assert environment.providers["first"].messages == []
    assert environment.route.released == [None], "no provider is to blame"


def test_a_store_that_is_away_for_an_attachment_uses_up_no_attempt() -> None:
    environment = DeliveryEnvironment()
    job = _mail_apart(environment)

    def away(*_: object) -> dict[str, bytes]:
        raise StoreError("away")

    environment.blobs.get = away  # type: ignore[method-assign]

    after = environment.deliver(job)

    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert after.due_at is not None
    assert environment.providers["first"].messages == []


class BlobsWithABug(MemoryBlobStore):
    """A store that trips over whatever is asked for."""

    def get(self, names: Collection[str], purge_at: datetime) -> dict[str, bytes]:
        raise ValueError("a bug")


def test_a_job_that_meets_a_bug_gives_its_permit_back() -> None:
    environment = DeliveryEnvironment()
    job = _mail_apart(environment)
    environment.blobs.get = BlobsWithABug().get  # type: ignore[method-assign]

    with pytest.raises(RetryLater), capture_logs() as logs:
        environment.deliver(job)

    assert environment.route.released == [None]
    assert environment.providers["first"].messages == []
    assert (environment.read(job).status, environment.read(job).attempts) == (Status.RETRYING, 1)
    assert [entry["event"] for entry in logs] == ["attempt_failed"]


class HesitatesAndTrips(MemoryJobRepository):
    """A store that takes as long for a claim as the lease lasts, and trips over whatever is to be written then."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._own_clock = clock
        self.granted = 0

    def claim(self, job_ids: Sequence[JobId], claim: Claim, now: datetime) -> dict[JobId, Job]:
        granted = super().claim(job_ids, claim, now)
        self._own_clock.advance(25)
        self.granted += len(granted)
        return granted

    def apply(self, transitions: Sequence[Transition]) -> list[bool]:
        if transitions and self.granted:
            raise ValueError("a bug")
        return super().apply(transitions)


@pytest.mark.parametrize(("client", "permit"), [("acme", "first"), ("acme:test", TEST_SANDBOX)])
def test_a_lease_that_can_not_be_renewed_for_a_bug_gives_the_permit_back(client: str, permit: str) -> None:
    clock = FakeClock(NOW + timedelta(seconds=1))
    store = HesitatesAndTrips(clock)
    environment = DeliveryEnvironment(jobs=store, clock=clock)
    job = environment.job(client=client)

    with pytest.raises(ValueError, match="a bug"):
        environment.delivery.deliver(job.job_id, Permit(permit))

    assert store.granted == 1
    assert environment.route.released == [None]


def test_a_late_delivery_keeps_the_file_for_as_long_as_its_job() -> None:
    environment = DeliveryEnvironment()
    job = _mail_apart(environment)

    environment.deliver(job)
    environment.blobs.purge(keep_until(job.expires_at, Policy()) - timedelta(seconds=1))

    assert environment.blobs.get(names_in(job.payload), NOW)


# --- Whose trouble it is ------------------------------------------------------------------------------------------


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
    environment.route.destination_waits = {("first", "grey.example"): 20}
    job = environment.job(type=Channel.EMAIL, to={"email": "Ada@Grey.Example"})

    after = environment.deliver(job)

    assert provider.messages == []
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert after.due_at == environment.clock.now() + timedelta(seconds=20)


def test_a_mail_to_a_domain_in_trouble_goes_by_the_next_provider_where_there_is_one() -> None:
    first, second = ScriptedProvider("first"), ScriptedProvider("second")
    environment = DeliveryEnvironment(first, second)
    environment.route.destination_waits = {("first", "grey.example"): 20}

    after = environment.deliver(environment.job(type=Channel.EMAIL, to={"email": "ada@grey.example"}))
    other = environment.deliver(environment.job(type=Channel.EMAIL, to={"email": "ada@other.example"}))

    assert (after.status, after.provider) == (Status.DELIVERED, "second")
    assert (other.status, other.provider) == (Status.DELIVERED, "first")


def test_where_the_next_provider_has_no_leave_either_the_mail_waits() -> None:
    environment = DeliveryEnvironment(ScriptedProvider("first"), ScriptedProvider("second"))
    environment.route.destination_waits = {("first", "grey.example"): 20}
    job = environment.job(type=Channel.EMAIL, to={"email": "ada@grey.example"})
    permit = environment.route.reserve(job.lane)
    environment.route.closed = {"second"}
    assert isinstance(permit, Permit)

    environment.delivery.deliver(job.job_id, permit)

    after = environment.read(job)
    assert (after.status, after.attempts) == (Status.RETRYING, 0)
    assert environment.route.out == 0


# --- Parked without a permit --------------------------------------------------------------------------------------


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
