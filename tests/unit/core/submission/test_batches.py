"""Many notifications are accepted in one write."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.memory_storage import MemoryJobRepository
from tests.unit.core.submission.environment import SubmissionEnvironment, new
from wavecom.core.job import Job
from wavecom.core.states import Status
from wavecom.core.submission import Accepted
from wavecom.errors import IdempotencyMismatchError, InvalidRequestError, Problem, StoreError


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
