from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.factories import later, make_claim, make_job, make_try
from wavecom.core import backoff
from wavecom.core.engine import AttemptFinished, DueReached, Policy, Transition, decide
from wavecom.core.job import CallResult, Job, Outcome, Reason, UnknownOutcomePolicy
from wavecom.core.states import Status

TOKEN = "mine"
UNKNOWN = make_try(Outcome.UNKNOWN)
UNAVAILABLE = make_try(Outcome.UNAVAILABLE)


def claimed(**overrides: object) -> Job:
    return make_job(status=Status.PROCESSING, claim=make_claim(TOKEN), **overrides)


def finish(job: Job, *tries: CallResult, seconds: float = 1, **details: object) -> Transition:
    transition = decide(job, AttemptFinished(TOKEN, tries, **details), later(seconds))
    assert transition is not None
    return transition


# --- accepted -----------------------------------------------------------------------------------------------------


def test_an_accepted_message_is_delivered_when_the_provider_sends_no_receipts() -> None:
    job = claimed()

    transition = finish(job, make_try(message_id="m-1"))

    done = transition.applied_to(job)
    assert (done.status, done.attempts, done.provider, done.provider_message_id) == (
        Status.DELIVERED,
        1,
        "sandbox",
        "m-1",
    )
    assert (done.finished_at, done.due_at, done.next_attempt_at, done.error) == (later(1), None, None, None)
    assert done.purge_at == later(1) + Policy().retention
    assert transition.delivery_message is None


def test_an_accepted_message_is_sent_when_a_receipt_is_to_come() -> None:
    job = claimed()

    sent = finish(job, make_try(message_id="m-1"), expects_receipt=True).applied_to(job)

    assert (sent.status, sent.finished_at, sent.purge_at) == (Status.SENT, None, None)
    assert sent.due_at == later(1) + Policy().receipt_deadline


def test_the_deadline_for_sending_does_not_cut_the_wait_for_a_receipt_short() -> None:
    """A one-time password lives two minutes; that it never arrived may be reported an hour later."""
    job = claimed(expires_at=later(120))

    sent = finish(job, make_try(), expects_receipt=True).applied_to(job)

    assert decide(sent, DueReached(), later(121)) is None
    assert decide(sent, DueReached(), later(hours=72, seconds=1)) is not None


def test_the_log_tells_each_provider_tried() -> None:
    job = claimed()
    first = make_try(Outcome.UNAVAILABLE, provider="a", latency_ms=3.21)
    second = make_try(provider="b")

    transition = finish(job, first, second)

    assert [(entry.event, entry.provider, entry.outcome, entry.attempt) for entry in transition.entries] == [
        ("unavailable", "a", "unavailable", 1),
        ("delivered", "b", "accepted", 1),
    ]
    assert (transition.entries[0].code, transition.entries[0].latency_ms) == ("http_503", 3.2)


# --- rejected -----------------------------------------------------------------------------------------------------


def test_a_rejected_message_fails_at_once_and_owes_a_dead_letter() -> None:
    job = claimed()

    transition = finish(job, make_try(Outcome.REJECTED, message="no such number"))

    failed = transition.applied_to(job)
    assert (failed.status, failed.attempts) == (Status.FAILED, 1)
    assert failed.error is not None
    assert (failed.error.code, failed.error.message, failed.error.provider) == (
        "rejected",
        "http_400: no such number",
        "sandbox",
    )
    assert (transition.needs_dead_letter, failed.dead_lettered_at) == (True, None)
    assert failed.due_at == later(1) + Policy().message_grace
    assert transition.delivery_message is None


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (Reason.RECIPIENT_GONE, "recipient_gone"),
        (Reason.RECIPIENT_INVALID, "recipient_invalid"),
        (Reason.RECIPIENT_OPTED_OUT, "recipient_opted_out"),
        (Reason.SENDER, "rejected"),
        (None, "rejected"),
    ],
)
def test_what_a_provider_says_of_the_recipient_names_the_error(reason: Reason | None, code: str) -> None:
    job = claimed()
    refused = make_try(Outcome.REJECTED)
    refused = replace(refused, answer=replace(refused.answer, reason=reason))

    failed = finish(job, refused).applied_to(job)

    assert failed.error is not None
    assert (failed.status, failed.error.code) == (Status.FAILED, code)


# --- unavailable --------------------------------------------------------------------------------------------------


def test_an_attempt_that_no_provider_took_is_followed_by_another() -> None:
    job = claimed()

    transition = finish(job, UNAVAILABLE, jitter=0.5)

    waiting = transition.applied_to(job)
    assert (waiting.status, waiting.attempts, waiting.may_have_been_sent) == (Status.RETRYING, 1, False)
    assert waiting.error is not None
    assert waiting.error.code == "provider_unavailable"
    assert waiting.due_at == later(1 + 5) + Policy().message_grace


def test_the_delay_that_is_stored_and_the_one_that_is_published_are_the_same_number() -> None:
    job = claimed(attempts=2)

    transition = finish(job, UNAVAILABLE, jitter=0.37)

    assert transition.delivery_message is not None
    assert transition.delivery_message.job_id == job.job_id
    assert transition.changes["next_attempt_at"] == later(1) + timedelta(
        seconds=transition.delivery_message.delay_seconds
    )
    assert transition.entries[-1].next_attempt_at == transition.changes["next_attempt_at"]


def test_a_message_in_the_delay_queues_does_not_count_as_missed_before_its_time() -> None:
    job = claimed()

    transition = finish(job, UNAVAILABLE)

    assert transition.changes["queued_at"] == transition.changes["next_attempt_at"]


def test_a_retry_never_comes_sooner_than_the_provider_asked() -> None:
    job = claimed()

    transition = finish(job, make_try(Outcome.UNAVAILABLE, retry_after_seconds=90.2), jitter=0.0)

    assert transition.delivery_message is not None
    assert transition.delivery_message.delay_seconds == 91


def test_of_several_providers_the_one_that_wants_the_job_first_decides() -> None:
    job = claimed()
    in_an_hour = make_try(Outcome.UNAVAILABLE, provider="a", retry_after_seconds=3600)
    in_a_minute = make_try(Outcome.UNAVAILABLE, provider="b", retry_after_seconds=60)

    transition = finish(job, in_an_hour, in_a_minute, jitter=0.0)

    assert transition.delivery_message is not None
    assert transition.delivery_message.delay_seconds == 60


def test_one_that_will_never_take_it_does_not_hurry_the_one_that_may() -> None:
    job = claimed()
    lacking = make_try(Outcome.UNAVAILABLE, provider="old", is_final_here=True)
    in_an_hour = make_try(Outcome.UNAVAILABLE, provider="mail", retry_after_seconds=3600)

    transition = finish(job, lacking, in_an_hour, jitter=0.0)

    assert transition.delivery_message is not None
    assert transition.delivery_message.delay_seconds == 3600


def test_a_retry_never_comes_sooner_than_the_provider_floor() -> None:
    job = claimed()

    transition = finish(job, UNAVAILABLE, jitter=0.0, floor_seconds=300)

    assert transition.delivery_message is not None
    assert transition.delivery_message.delay_seconds == 300


@pytest.mark.parametrize("wish", [1e12, float("inf"), float("nan"), -5.0])
def test_a_provider_with_an_absurd_wish_can_t_break_the_record(wish: float) -> None:
    job = claimed()

    transition = finish(job, make_try(Outcome.UNAVAILABLE, retry_after_seconds=wish))

    assert transition.delivery_message is not None
    assert 1 <= transition.delivery_message.delay_seconds <= backoff.LONGEST_SECONDS


def test_a_retry_is_looked_at_no_later_than_the_deadline() -> None:
    job = claimed(expires_at=later(20))

    transition = finish(job, UNAVAILABLE)

    assert transition.changes["due_at"] == later(20)


def test_the_last_attempt_fails_the_job() -> None:
    job = claimed(attempts=4, max_attempts=5)

    transition = finish(job, UNAVAILABLE)

    failed = transition.applied_to(job)
    assert (failed.status, failed.attempts) == (Status.FAILED, 5)
    assert failed.error is not None
    assert failed.error.code == "attempts_exhausted"
    assert [entry.event for entry in transition.entries] == ["unavailable", "failed"]


# --- unknown ------------------------------------------------------------------------------------------------------


def test_an_unknown_outcome_is_tried_again_and_said_so_under_retry() -> None:
    job = claimed(on_unknown_outcome=UnknownOutcomePolicy.RETRY)

    transition = finish(job, UNKNOWN)

    waiting = transition.applied_to(job)
    assert (waiting.status, waiting.may_have_been_sent) == (Status.RETRYING, True)
    assert [entry.event for entry in transition.entries] == ["outcome_unknown"]


def test_an_unknown_outcome_is_never_tried_again_under_stop() -> None:
    job = claimed(on_unknown_outcome=UnknownOutcomePolicy.STOP)

    transition = finish(job, UNKNOWN)

    stopped = transition.applied_to(job)
    assert (stopped.status, stopped.may_have_been_sent, stopped.next_attempt_at) == (Status.UNCONFIRMED, True, None)
    assert stopped.due_at == later(1) + Policy().receipt_deadline
    assert transition.delivery_message is None
    assert [entry.event for entry in transition.entries] == ["outcome_unknown", "unconfirmed"]


def test_an_unconfirmed_job_s_log_says_in_words_why_it_waits_until_when_and_what_can_be_done() -> None:
    job = claimed(on_unknown_outcome=UnknownOutcomePolicy.STOP)

    transition = finish(job, UNKNOWN)

    words = transition.entries[-1].message or ""
    closes_at = later(1) + Policy().receipt_deadline
    assert f"{closes_at:%Y-%m-%dT%H:%M:%SZ}" in words
    assert {"stop", "failed", "receipt", "settlement", "acceptDuplicate"} <= set(re.findall(r"\w+", words))


def test_unavailable_is_tried_again_under_stop_because_nothing_was_sent() -> None:
    job = claimed(on_unknown_outcome=UnknownOutcomePolicy.STOP)

    transition = finish(job, UNAVAILABLE)

    assert transition.status is Status.RETRYING


def test_a_last_attempt_without_a_clear_answer_says_so_in_the_error() -> None:
    job = claimed(attempts=4, max_attempts=5)

    failed = finish(job, UNKNOWN).applied_to(job)

    assert (failed.status, failed.may_have_been_sent) == (Status.FAILED, True)
    assert failed.error is not None
    assert failed.error.code == "outcome_unknown"


def test_a_doubt_outlives_later_attempts_with_a_clear_answer() -> None:
    job = claimed(attempts=1, may_have_been_sent=True)

    waiting = finish(job, UNAVAILABLE).applied_to(job)

    assert waiting.may_have_been_sent


# --- late results -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", UnknownOutcomePolicy)
def test_a_late_success_settles_a_job_that_the_sweep_has_given_up(policy: UnknownOutcomePolicy) -> None:
    job = claimed(on_unknown_outcome=policy)
    lost = decide(job, DueReached(), later(30))
    assert lost is not None
    given_up = lost.applied_to(job)

    late = finish(job, make_try(), seconds=40)

    assert late.guard.holds(given_up)
    settled = late.applied_to(given_up)
    assert (settled.status, settled.attempts, settled.may_have_been_sent) == (Status.DELIVERED, 1, False)
    assert [entry.event for entry in settled.logs if entry.event != "unconfirmed"][-2:] == [
        "outcome_unknown",
        "delivered",
    ]


@pytest.mark.parametrize("policy", UnknownOutcomePolicy)
def test_a_late_refusal_takes_the_doubt_back(policy: UnknownOutcomePolicy) -> None:
    job = claimed(on_unknown_outcome=policy)
    lost = decide(job, DueReached(), later(30))
    assert lost is not None
    given_up = lost.applied_to(job)
    assert given_up.may_have_been_sent

    late = finish(job, UNAVAILABLE, seconds=40)

    assert late.guard.holds(given_up)
    waiting = late.applied_to(given_up)
    assert (waiting.status, waiting.attempts, waiting.may_have_been_sent) == (Status.RETRYING, 1, False)


def test_a_late_result_is_refused_once_another_worker_has_claimed_the_job() -> None:
    job = claimed()
    taken_over = make_job(status=Status.PROCESSING, job_id=job.job_id, attempts=1, claim=make_claim("theirs"))

    late = finish(job, make_try(), seconds=90)

    assert not late.guard.holds(taken_over)
