from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, PAYLOADS, RECIPIENTS
from tests.fakes import CountingStats, FakeClock, OneByOne, RecordingPublisher, make_writer
from tests.memory_storage import MemoryBlobStore, MemoryJobRepository
from wavecom.core.attachments import names_in
from wavecom.core.engine import Policy
from wavecom.core.job import DeliveryMessage, Job
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.quota import Limits, QuotaDecision, QuotaRequest, QuotaService, StoredAnswer
from wavecom.core.states import Status
from wavecom.core.submission import Accepted, MakeBatcher, NewNotification, Submission
from wavecom.errors import (
    IdempotencyMismatchError,
    InvalidRequestError,
    LimitStatus,
    Problem,
    StoreError,
    UncertainWriteError,
)


class SubmissionEnvironment:
    def __init__(
        self,
        batcher: MakeBatcher = OneByOne,
        quotas: QuotaService | None = None,
        jobs: MemoryJobRepository | None = None,
    ) -> None:
        self.jobs = jobs or MemoryJobRepository()
        self.publisher = RecordingPublisher()
        self.stats = CountingStats()
        numbers = iter(range(1, 100_000))
        self.blobs = MemoryBlobStore()
        self.submission = Submission(
            jobs=self.jobs,
            writer=make_writer(self.jobs, FakeClock(NOW), publisher=self.publisher, stats=self.stats),
            blobs=self.blobs,
            clock=FakeClock(NOW),
            batcher=batcher,
            random_bytes=lambda count: next(numbers).to_bytes(count, "big"),
            policy=Policy(),
            quotas=quotas,
        )


def new(**overrides: Any) -> NewNotification:
    values: dict[str, Any] = {
        "client": "bank",
        "type": Channel.SMS,
        "to": RECIPIENTS[Channel.SMS],
        "payload": PAYLOADS[Channel.SMS],
    }
    return NewNotification(**(values | overrides))


def test_an_accepted_job_is_stored_and_hinted_at_in_its_lane() -> None:
    environment = SubmissionEnvironment()

    accepted = environment.submission.accept(new(priority=Priority.HIGH))

    stored = environment.jobs.get(accepted.job.job_id)
    assert stored == accepted.job
    assert stored.status is Status.QUEUED
    assert environment.publisher.delivery_messages == [DeliveryMessage(stored.job_id, Lane(Channel.SMS, Priority.HIGH))]
    assert environment.stats.counts == {Status.QUEUED: 1}


def test_a_job_is_in_the_store_before_its_hint_is_published() -> None:
    environment = SubmissionEnvironment()
    seen = []
    publish = environment.publisher.publish

    def look_first(delivery_messages: list[DeliveryMessage]) -> list[bool]:
        seen.extend(environment.jobs.get(delivery_message.job_id) for delivery_message in delivery_messages)
        return publish(delivery_messages)

    environment.publisher.publish = look_first  # type: ignore[method-assign,assignment]

    accepted = environment.submission.accept(new())

    assert seen == [accepted.job]


def test_a_job_is_accepted_while_the_broker_is_away_and_left_to_the_sweep() -> None:
    environment = SubmissionEnvironment()
    environment.publisher.is_up = False

    accepted = environment.submission.accept(new())

    stored = environment.jobs.get(accepted.job.job_id)
    assert stored is not None
    assert stored.due_at == NOW + Policy().message_grace


def test_a_scheduled_job_waits_without_a_hint() -> None:
    environment = SubmissionEnvironment()
    send_at = NOW + timedelta(days=3)

    accepted = environment.submission.accept(new(send_at=send_at))

    assert accepted.job.status is Status.SCHEDULED
    assert accepted.job.due_at == send_at
    assert accepted.job.expires_at == send_at + timedelta(hours=72)
    assert environment.publisher.delivery_messages == []


def test_a_time_that_has_passed_means_now() -> None:
    environment = SubmissionEnvironment()

    accepted = environment.submission.accept(new(send_at=NOW - timedelta(seconds=5)))

    assert accepted.job.status is Status.QUEUED


def test_nobody_looks_at_a_job_later_than_its_deadline() -> None:
    environment = SubmissionEnvironment()

    accepted = environment.submission.accept(new(expires_at=NOW + timedelta(seconds=10)))

    assert accepted.job.due_at == NOW + timedelta(seconds=10)


def test_the_same_key_and_body_give_the_first_job_again_and_no_second_hint() -> None:
    environment = SubmissionEnvironment()
    first = environment.submission.accept(new(idempotency_key="k", fingerprint="f"))

    second = environment.submission.accept(new(idempotency_key="k", fingerprint="f"))

    assert second.is_replay
    assert second.job.job_id == first.job.job_id
    assert len(environment.publisher.delivery_messages) == 1


def test_the_same_key_with_another_body_is_refused_and_nothing_is_stored() -> None:
    environment = SubmissionEnvironment()
    environment.submission.accept(new(idempotency_key="k", fingerprint="f"))

    with pytest.raises(IdempotencyMismatchError, match="new key"):
        environment.submission.accept(new(idempotency_key="k", fingerprint="g"))

    assert len(environment.publisher.delivery_messages) == 1


def test_two_clients_may_use_the_same_key() -> None:
    environment = SubmissionEnvironment()
    first = environment.submission.accept(new(idempotency_key="k", fingerprint="f"))

    second = environment.submission.accept(new(client="shop", idempotency_key="k", fingerprint="g"))

    assert second.job.job_id != first.job.job_id


class Picky(MemoryJobRepository):
    """A store that refuses a whole batch for one job in it, as BSON does."""

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        if any("unstorable" in job.metadata for job in jobs):
            raise InvalidRequestError([Problem("/metadata", "can't be stored")])
        return super().insert(jobs)


def test_a_job_that_cannot_be_stored_costs_nobody_else_of_its_batch() -> None:
    store = Picky()
    environment = SubmissionEnvironment(jobs=store)

    first, second, third = environment.submission.accept_many([new(), new(metadata={"unstorable": True}), new()])

    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)
    assert isinstance(second, InvalidRequestError)
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [
        first.job.job_id,
        third.job.job_id,
    ]


# --- Many at once -----------------------------------------------------------------------------------------------------


class Counted(MemoryJobRepository):
    """Counts its writes; ``fails_after`` that many it is away."""

    def __init__(self, fails_after: int = 1_000_000) -> None:
        super().__init__()
        self.writes = 0
        self._fails_after = fails_after

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        if any("unstorable" in job.metadata for job in jobs):
            raise InvalidRequestError([Problem("/metadata", "can't be stored")])
        self.writes += 1
        if self.writes > self._fails_after:
            raise StoreError("away")
        return super().insert(jobs)


def test_many_are_stored_in_one_write_and_published_in_one_go() -> None:
    store = Counted()
    environment = SubmissionEnvironment(jobs=store)

    outcomes = environment.submission.accept_many([new(metadata={"number": number}) for number in range(1000)])

    assert store.writes == 1
    jobs = [outcome.job for outcome in outcomes if isinstance(outcome, Accepted)]
    assert [job.metadata["number"] for job in jobs] == list(range(1000))
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [
        job.job_id for job in jobs
    ]
    assert environment.stats.counts == {Status.QUEUED: 1000}


def test_none_are_nothing() -> None:
    assert SubmissionEnvironment().submission.accept_many([]) == []


def test_of_equal_ones_with_one_key_the_first_is_accepted_and_the_others_repeat_it() -> None:
    environment = SubmissionEnvironment()

    first, second, other = environment.submission.accept_many(
        [new(idempotency_key="k", fingerprint=letter) for letter in ("f", "f", "g")]
    )

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.is_replay, second.is_replay) == (False, True)
    assert second.job == first.job
    assert isinstance(other, IdempotencyMismatchError)
    assert len(environment.publisher.delivery_messages) == 1


def test_many_again_repeat_what_each_was_answered() -> None:
    environment = SubmissionEnvironment()
    news = [new(idempotency_key=f"k-{number}", fingerprint="f") for number in range(3)]
    first = environment.submission.accept_many(news[:2])

    second = environment.submission.accept_many(news)

    assert [outcome.is_replay for outcome in second if isinstance(outcome, Accepted)] == [True, True, False]
    assert [o.job.job_id for o in second[:2] if isinstance(o, Accepted)] == [
        o.job.job_id for o in first if isinstance(o, Accepted)
    ]


def test_a_store_that_is_away_is_an_error_for_all() -> None:
    environment = SubmissionEnvironment(jobs=Counted(fails_after=0))

    with pytest.raises(StoreError):
        environment.submission.accept_many([new(), new()])

    assert environment.publisher.delivery_messages == []


def test_a_store_that_goes_away_among_refusals_fails_only_what_was_not_stored() -> None:
    environment = SubmissionEnvironment(jobs=Counted(fails_after=1))
    bad = new(metadata={"unstorable": True})

    outcomes = environment.submission.accept_many([new(), bad, bad, new()])

    assert [type(outcome) for outcome in outcomes] == [Accepted, InvalidRequestError, InvalidRequestError, StoreError]


def test_what_was_accepted_before_is_found_by_its_key_and_body_only() -> None:
    environment = SubmissionEnvironment()
    first = environment.submission.accept(new(idempotency_key="k", fingerprint="f"))

    assert environment.submission.earlier("bank", {"k": "f"})["k"].job.job_id == first.job.job_id
    assert environment.submission.earlier("bank", {"k": "g", "l": "f"}) == {}
    assert environment.submission.earlier("shop", {"k": "f"}) == {}


# --- Attachments ------------------------------------------------------------------------------------------------------

FILE = {"filename": "a.pdf", "contentType": "application/pdf", "content": b64encode(b"a" * 100_000).decode()}
MAIL = {"type": Channel.EMAIL, "to": RECIPIENTS[Channel.EMAIL], "payload": {"subject": "x", "attachments": [FILE]}}


def test_large_attachments_are_stored_before_their_job_and_apart_from_it() -> None:
    environment = SubmissionEnvironment()
    seen: list[bool] = []
    insert = environment.jobs.insert

    def look_first(jobs: Sequence[Job]) -> list[Job | None]:
        seen.extend(len(environment.blobs.get(names_in(job.payload), NOW)) == 1 for job in jobs)
        return insert(jobs)

    environment.jobs.insert = look_first  # type: ignore[method-assign]

    one = environment.submission.accept(new(**MAIL))
    environment.submission.accept_many([new(**MAIL), new(**MAIL)])

    assert seen == [True, True, True]
    stored = environment.jobs.get(one.job.job_id)
    assert stored is not None
    assert "content" not in stored.payload["attachments"][0]


def test_files_that_cannot_be_stored_leave_no_job() -> None:
    environment = SubmissionEnvironment()

    def cut(*_: object) -> None:
        raise UncertainWriteError("cut")

    environment.blobs.put = cut  # type: ignore[method-assign]

    with pytest.raises(StoreError) as error:
        environment.submission.accept(new(**MAIL))

    assert not isinstance(error.value, UncertainWriteError), "of the job certainly nothing was stored"
    assert environment.publisher.delivery_messages == []


# --- Asking first -------------------------------------------------------------------------------------------------


class Counter:
    """A ``QuotaService`` that refuses what costs 7 and knows the answer named "known"."""

    def __init__(self) -> None:
        self.steps: list[list[QuotaRequest]] = []
        self.refunds: list[tuple[QuotaRequest, int]] = []

    def ask(self, request: QuotaRequest) -> QuotaDecision:
        [decision] = self.ask_many([request])
        return decision

    def ask_many(self, requests: Sequence[QuotaRequest]) -> list[QuotaDecision]:
        self.steps.append(list(requests))
        return [self._decision(request) for request in requests]

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        self.refunds.append((request, count))

    def remember(self, name: str, answer: StoredAnswer) -> None:
        raise AssertionError("answers are kept by who gives them")

    @staticmethod
    def _decision(request: QuotaRequest) -> QuotaDecision:
        if request.names == ("known",):
            return QuotaDecision(answer=KNOWN)
        if request.cost == 7:
            return QuotaDecision(LEFT, refused="rate", retry_after_seconds=3)
        return QuotaDecision(LEFT, charged=request.cost)


KNOWN = StoredAnswer("f", "j", "{}")
LEFT = (LimitStatus("rate", 10, 10, 9, 1),)
FREE, REFUSED = (QuotaRequest("k", Limits(1), cost) for cost in (1, 7))
REPEATED = QuotaRequest("k", Limits(1), names=("known",), wants_answer=True)


class Together(OneByOne):
    """What a batcher calls when several came at one time."""

    flush: Callable[[Sequence[Any]], Sequence[Any]]

    def __init__(self, flush: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        super().__init__(flush)
        Together.flush = staticmethod(flush)


def asking_environment() -> tuple[SubmissionEnvironment, Counter]:
    counter = Counter()
    return SubmissionEnvironment(Together, counter), counter


def test_who_may_go_on_is_stored_and_who_may_not_is_only_told_why() -> None:
    environment, _ = asking_environment()

    decisions = [environment.submission.accept_asking(new(), ask) for ask in (None, FREE, REFUSED, REPEATED)]

    assert [accepted is not None for _, accepted in decisions] == [True, True, False, False]
    assert [decision.limits for decision, _ in decisions] == [(), LEFT, LEFT, ()]
    assert (decisions[2][0].refused, decisions[3][0].answer) == ("rate", KNOWN)
    assert len(environment.publisher.delivery_messages) == 2


def test_all_that_came_at_one_time_are_asked_for_in_one_step_and_each_gets_its_own_answer() -> None:
    environment, counter = asking_environment()
    asks = [REFUSED, None, FREE, REPEATED, FREE, REFUSED]
    jobs = [environment.submission._job(new(metadata={"n": number}), NOW) for number in range(len(asks))]

    results = Together.flush([(job, ask, None) for job, ask in zip(jobs, asks, strict=True)])

    assert counter.steps == [[ask for ask in asks if ask is not None]]
    assert [decision.is_allowed for decision, _ in results] == [False, True, True, False, True, False]
    assert [environment.jobs.get(job.job_id) is not None for job in jobs] == [False, True, True, False, True, False]


def test_one_that_is_refused_by_the_store_is_told_so_and_costs_no_verdict() -> None:
    environment, _ = asking_environment()
    bad = InvalidRequestError([Problem("/metadata", "can't be stored", "invalid")])
    jobs = [environment.submission._job(new(), NOW) for _ in range(3)]
    insert = environment.jobs.insert

    def refuse(given: Sequence[Job]) -> Sequence[Any]:
        if jobs[1] in given:
            raise bad
        return insert(given)

    environment.jobs.insert = refuse  # type: ignore[method-assign,assignment]

    results = Together.flush([(jobs[0], FREE, None), (jobs[1], FREE, None), (jobs[2], REFUSED, None)])

    assert results[0] == (QuotaDecision(LEFT, charged=1), None)
    assert results[1] is bad
    assert results[2][0].refused == "rate"


def test_what_could_not_be_stored_for_its_files_is_given_back() -> None:
    environment, counter = asking_environment()
    large = b64encode(b"x" * 200_000).decode()
    payload = PAYLOADS[Channel.EMAIL] | {
        "attachments": [{"filename": "a.txt", "contentType": "text/plain", "content": large}]
    }
    mail = new(type=Channel.EMAIL, to=RECIPIENTS[Channel.EMAIL], payload=payload)

    def away(*_: object) -> None:
        raise StoreError("no answer from the store")

    environment.blobs.put = away  # type: ignore[method-assign,assignment]

    with pytest.raises(StoreError):
        environment.submission.accept_asking(mail, FREE)

    assert counter.refunds == [(FREE, 1)]


def test_what_is_refused_leaves_no_files_behind() -> None:
    environment, counter = asking_environment()
    large = b64encode(b"x" * 200_000).decode()
    payload = PAYLOADS[Channel.EMAIL] | {
        "attachments": [{"filename": "a.txt", "contentType": "text/plain", "content": large}]
    }
    mail = new(type=Channel.EMAIL, to=RECIPIENTS[Channel.EMAIL], payload=payload)

    refused, nothing = environment.submission.accept_asking(mail, REFUSED)
    files_after_refusal = len(environment.blobs._blobs)
    allowed, accepted = environment.submission.accept_asking(mail, FREE)

    assert (refused.refused, nothing, files_after_refusal) == ("rate", None, 0)
    assert (allowed.limits, accepted is not None, len(environment.blobs._blobs)) == (LEFT, True, 1)
    assert counter.steps == [[REFUSED], [FREE]]
