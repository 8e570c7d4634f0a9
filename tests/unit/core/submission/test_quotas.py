"""Who has no quota left is refused before anything is stored."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.factories import PAYLOADS, RECIPIENTS, make_job
from tests.fakes import OneByOne
from tests.unit.core.submission.environment import SubmissionEnvironment, new
from wavecom.core.job import Job
from wavecom.core.lanes import Channel
from wavecom.core.quota import Limits, QuotaDecision, QuotaRequest, StoredAnswer
from wavecom.errors import InvalidRequestError, LimitStatus, Problem, StoreError


class Counter:
    """A ``QuotaService`` that refuses what costs 7 and knows the answer named "known"."""

    def __init__(self) -> None:
        self.steps: list[list[QuotaRequest]] = []
        self.refunds: list[tuple[QuotaRequest, int]] = []

    def check(self, request: QuotaRequest) -> QuotaDecision:
        [decision] = self.check_many([request])
        return decision

    def check_many(self, requests: Sequence[QuotaRequest]) -> list[QuotaDecision]:
        self.steps.append(list(requests))
        return [self._decision(request) for request in requests]

    def refund(self, request: QuotaRequest, decision: QuotaDecision, count: int) -> None:
        self.refunds.append((request, count))

    def store_answer(self, name: str, answer: StoredAnswer) -> None:
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
    jobs = [make_job() for _ in asks]

    results = Together.flush([(job, ask, None) for job, ask in zip(jobs, asks, strict=True)])

    assert counter.steps == [[ask for ask in asks if ask is not None]]
    assert [decision.is_allowed for decision, _ in results] == [False, True, True, False, True, False]
    assert [environment.jobs.get(job.job_id) is not None for job in jobs] == [False, True, True, False, True, False]


def test_one_that_is_refused_by_the_store_is_told_so_and_costs_no_verdict() -> None:
    environment, _ = asking_environment()
    bad = InvalidRequestError([Problem("/metadata", "can't be stored", "invalid")])
    jobs = [make_job() for _ in range(3)]
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
    files_after_refusal = len(environment.blobs.names)
    allowed, accepted = environment.submission.accept_asking(mail, FREE)

    assert (refused.refused, nothing, files_after_refusal) == ("rate", None, 0)
    assert (allowed.limits, accepted is not None, len(environment.blobs.names)) == (LEFT, True, 1)
    assert counter.steps == [[REFUSED], [FREE]]
