"""One delivery: claimed, called, recorded; and what follows when it fails."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.factories import make_answer, make_job
from tests.fakes import ScriptedProvider
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.job import JobId, Outcome, UnknownOutcomePolicy
from wavecom.core.lanes import Channel
from wavecom.core.ports import Permit
from wavecom.core.states import Status
from wavecom.errors import RetryLater


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
    assert provider.messages[0].expires_at == job.expires_at


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


def test_an_sms_is_charged_by_its_segments() -> None:
    environment = DeliveryEnvironment()
    job = environment.job(type=Channel.SMS, payload={"text": "x" * 400})

    environment.deliver(job)

    assert environment.route.charged == [2]
