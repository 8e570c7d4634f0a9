"""One notification is accepted: stored, then published; the same key again repeats the answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from tests.factories import NOW
from tests.fakes import OneByOne
from tests.memory_storage import MemoryJobRepository
from tests.unit.core.submission.environment import SubmissionEnvironment, new
from wavecom.core.engine import Policy
from wavecom.core.job import DeliveryMessage, Job
from wavecom.core.lanes import Channel, Lane, Priority
from wavecom.core.states import Status
from wavecom.core.submission import Accepted
from wavecom.errors import IdempotencyMismatchError, InvalidRequestError, Problem


def test_an_accepted_job_is_stored_and_published_to_its_lane() -> None:
    environment = SubmissionEnvironment()

    accepted = environment.submission.accept(new(priority=Priority.HIGH))

    stored = environment.jobs.get(accepted.job.job_id)
    assert stored == accepted.job
    assert stored.status is Status.QUEUED
    assert environment.publisher.delivery_messages == [DeliveryMessage(stored.job_id, Lane(Channel.SMS, Priority.HIGH))]
    assert environment.stats.counts == {Status.QUEUED: 1}


def test_a_job_is_in_the_store_before_its_message_is_published() -> None:
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


def test_a_scheduled_job_waits_without_a_message() -> None:
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


def test_the_same_key_and_body_give_the_first_job_again_and_no_second_message() -> None:
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


class RefusingRepository(MemoryJobRepository):
    """A store that refuses a whole batch for one job in it, as BSON does."""

    def insert(self, jobs: Sequence[Job]) -> list[Job | None]:
        if any("unstorable" in job.metadata for job in jobs):
            raise InvalidRequestError([Problem("/metadata", "can't be stored")])
        return super().insert(jobs)


def test_a_job_that_cannot_be_stored_costs_nobody_else_of_its_batch() -> None:
    store = RefusingRepository()
    environment = SubmissionEnvironment(jobs=store)

    first, second, third = environment.submission.accept_many([new(), new(metadata={"unstorable": True}), new()])

    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)
    assert isinstance(second, InvalidRequestError)
    assert [delivery_message.job_id for delivery_message in environment.publisher.delivery_messages] == [
        first.job.job_id,
        third.job.job_id,
    ]


class NotingBatcher(OneByOne):
    """Notes of each item whether it was urgent."""

    noted: ClassVar[list[bool]] = []

    def submit(self, item: Any, *, is_urgent: bool = False) -> Any:
        self.noted.append(is_urgent)
        return super().submit(item, is_urgent=is_urgent)


def test_only_what_has_high_priority_waits_for_no_company() -> None:
    NotingBatcher.noted.clear()
    environment = SubmissionEnvironment(NotingBatcher)

    for priority in Priority:
        environment.submission.accept(new(priority=priority))

    assert NotingBatcher.noted == [priority is Priority.HIGH for priority in Priority]
