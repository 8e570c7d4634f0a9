"""What a recipient wants, asked before each delivery: whole deliveries over memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_answer, make_job
from tests.fakes import FakeClock, ScriptedProvider
from tests.memory_storage import MemoryCapHistory, MemoryJobRepository
from tests.recipients import RecipientEnvironment, hours, make_category, make_recipient
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.categories import CategoryDefault, FrequencyCap
from wavecom.core.frequency_caps import counted, wait_seconds
from wavecom.core.gone_tokens import GoneTokens
from wavecom.core.job import CallResult, Claim, Job, LogEntry, Outcome, Reason, UnknownOutcomePolicy
from wavecom.core.lanes import Channel, Priority
from wavecom.core.new_notification import NewNotification
from wavecom.core.preference_check import PreferenceCheck
from wavecom.core.preflights import Hold
from wavecom.core.registered_recipients import PushToken
from wavecom.core.states import Status
from wavecom.errors import RetryLater

DAY = timedelta(days=1)


class Deliveries:
    """Deliveries of jobs for user-42 of acme, who is registered; ``category`` news exists."""

    def __init__(self, **category: Any) -> None:
        self.clock = FakeClock(NOW + timedelta(seconds=1))
        self.jobs = MemoryJobRepository()
        self.recipients = RecipientEnvironment.over(self.clock)
        self.recipients.store.save([make_recipient()])
        self.recipients.categories.put(make_category(**category))
        self.history = MemoryCapHistory(self.jobs)
        check = PreferenceCheck(self.recipients.store, self.recipients.cache, self.history, self.clock)
        self.environment = DeliveryEnvironment(jobs=self.jobs, clock=self.clock, preflights=[check])

    def job(self, **overrides: Any) -> Job:
        fields: dict[str, Any] = {"recipient_id": "user-42", "category": "news", "created_at": self.clock.now()}
        return self.environment.job(**(fields | overrides))

    def deliver(self, job: Job) -> Job:
        return self.environment.deliver(job)

    @property
    def sent(self) -> int:
        return len(self.environment.providers["first"].messages)

    def change(self, **fields: Any) -> None:
        known = self.recipients.store.find("acme", ["user-42"])["user-42"]
        self.recipients.store.save([make_recipient(**fields, revision=known.revision)])


def outcome(job: Job) -> tuple[Status, str | None, str | None]:
    """Status, the error's code, and the reason in the log."""
    return job.status, job.error and job.error.code, _rejection(job).code


def _rejection(job: Job) -> LogEntry:
    return next(entry for entry in job.logs if entry.event == "rejected")


def test_who_has_changed_his_mind_since_gets_nothing() -> None:
    deliveries = Deliveries()
    job = deliveries.job()
    deliveries.change(choices={"news": {Channel.SMS: False}})

    after = deliveries.deliver(job)

    assert outcome(after) == (Status.FAILED, "unwanted", "opted_out")
    assert "does not want" in (_rejection(after).message or "")
    assert deliveries.sent == 0


def test_what_falls_into_quiet_hours_waits_for_their_end_and_says_so() -> None:
    deliveries = Deliveries()
    job = deliveries.job()
    # It is 10:26 in Zurich.
    deliveries.change(quiet_hours=hours("10:00", "11:30"))

    waiting = deliveries.deliver(job)

    until = NOW.replace(hour=10, minute=30, second=0, microsecond=0)
    assert (waiting.status, waiting.due_at, waiting.attempts) == (Status.RETRYING, until, 0)
    last = waiting.logs[-1]
    assert (last.event, last.code, last.next_attempt_at) == ("held", "quiet_hours", until)
    deliveries.clock.advance((until - deliveries.clock.now()).total_seconds())
    assert deliveries.deliver(job).status is Status.DELIVERED


def test_one_time_passwords_and_what_is_required_never_wait() -> None:
    deliveries = Deliveries(windows=(), quiet_hours=hours("00:00", "23:00"))
    deliveries.recipients.categories.put(
        make_category("legal", is_required=True, quiet_hours=hours("00:00", "23:00"), cap=FrequencyCap(1, DAY))
    )

    for _ in range(3):
        assert deliveries.deliver(deliveries.job(priority=Priority.HIGH)).status is Status.DELIVERED
        assert deliveries.deliver(deliveries.job(category="legal")).status is Status.DELIVERED
    assert deliveries.deliver(deliveries.job()).status is Status.RETRYING


def test_a_recipient_who_was_deleted_gets_what_is_required_alone() -> None:
    deliveries = Deliveries()
    deliveries.recipients.categories.put(make_category("legal", is_required=True))
    deliveries.recipients.administration.remove("acme", "user-42")

    plain, legal = deliveries.deliver(deliveries.job()), deliveries.deliver(deliveries.job(category="legal"))

    assert outcome(plain) == (Status.FAILED, "unwanted", "recipient_removed")
    assert legal.status is Status.DELIVERED


def test_no_more_than_the_cap_are_sent_whatever_is_retried() -> None:
    deliveries = Deliveries(cap=FrequencyCap(2, DAY))
    deliveries.environment.providers["first"].answers.insert(0, make_answer(Outcome.UNAVAILABLE))
    first = deliveries.job()

    with pytest.raises(RetryLater):
        deliveries.deliver(first)
    deliveries.clock.advance(3600)
    again, second = deliveries.deliver(first), deliveries.deliver(deliveries.job())
    third = deliveries.deliver(deliveries.job())

    assert (again.status, again.attempts, second.status) == (Status.DELIVERED, 2, Status.DELIVERED)
    assert outcome(third) == (Status.FAILED, "unwanted", "frequency_cap")
    deliveries.clock.advance(DAY.total_seconds() + 1)
    assert deliveries.deliver(deliveries.job()).status is Status.DELIVERED


def test_a_receipt_counts_nothing_a_second_time() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    sent = deliveries.deliver(deliveries.job())
    deliveries.clock.advance(DAY.total_seconds() - 60)
    # A late receipt, or a complaint, sets ``updated_at`` anew.
    deliveries.jobs.put(replace(sent, updated_at=deliveries.clock.now()))
    deliveries.clock.advance(120)

    assert sent.sent_at is not None
    assert deliveries.deliver(deliveries.job()).status is Status.DELIVERED


def test_a_job_that_may_have_been_sent_does_not_count_against_itself() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    deliveries.environment.providers["first"].answers.insert(0, make_answer(Outcome.UNKNOWN))
    job = deliveries.job()

    with pytest.raises(RetryLater):
        deliveries.deliver(job)
    deliveries.clock.advance(3600)

    assert deliveries.deliver(job).status is Status.DELIVERED


def claimed(token: str) -> dict[str, Any]:
    return {"status": Status.PROCESSING, "claim": Claim(token, "worker", later(600))}


def test_one_that_waits_uses_up_no_cap_before_it_is_sent() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    first = deliveries.environment.providers["first"]
    older, younger = deliveries.job(), deliveries.job(created_at=deliveries.clock.now() + timedelta(seconds=1))
    first.answers.insert(0, make_answer(Outcome.REJECTED))

    # The older one fails, so the younger one goes.
    assert deliveries.deliver(older).status is Status.FAILED
    assert deliveries.deliver(younger).status is Status.DELIVERED
    assert outcome(deliveries.deliver(deliveries.job()))[1:] == ("unwanted", "frequency_cap")


@pytest.mark.parametrize("seconds", [-5, 5])
def test_while_another_worker_has_one_that_may_be_the_last_it_waits(seconds: int) -> None:
    # Older or younger: one that was scheduled may be much older, and start later.
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    other = deliveries.job(created_at=deliveries.clock.now() + timedelta(seconds=seconds), **claimed("another"))
    job = deliveries.job()

    waiting = deliveries.deliver(job)

    assert (waiting.status, waiting.attempts, deliveries.sent) == (Status.RETRYING, 0, 0)
    deliveries.jobs.put(replace(other, status=Status.FAILED))
    deliveries.clock.advance(30)
    assert deliveries.deliver(job).status is Status.DELIVERED


def test_two_that_met_do_not_wait_for_each_other_again() -> None:
    now, cap = NOW, FrequencyCap(1, DAY)
    fields = {"recipient_id": "user-42", "category": "news"}
    older = make_job(**fields, **claimed("a"), created_at=later(-9))
    younger = make_job(**fields, **claimed("b"), created_at=later(-8))
    both = [each for each in map(counted, (older, younger)) if each is not None]

    assert 0 < wait_seconds(older, both, now, cap) < wait_seconds(younger, both, now, cap)
    # Of those that were claimed together the oldest goes.
    together = replace(younger, claim=older.claim)
    both = [each for each in map(counted, (older, together)) if each is not None]
    assert wait_seconds(older, both, now, cap) == 0
    assert wait_seconds(together, both, now, cap) > 0


def test_what_is_not_sent_and_what_is_of_others_counts_for_nobody() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    deliveries.recipients.categories.put(make_category("bills"))
    deliveries.recipients.store.save([make_recipient("user-43"), make_recipient(account="globex")])
    deliveries.recipients.categories.put(make_category(account="globex", cap=FrequencyCap(1, DAY)))
    for status in (Status.FAILED, Status.CANCELLED, Status.EXPIRED, Status.SCHEDULED):
        deliveries.job(status=status, updated_at=deliveries.clock.now())
    for fields in ({"category": "bills"}, {"recipient_id": "user-43"}, {"client": "globex"}):
        assert deliveries.deliver(deliveries.job(**fields)).status is Status.DELIVERED

    assert deliveries.deliver(deliveries.job()).status is Status.DELIVERED


def test_one_of_which_nobody_knows_whether_it_was_sent_counts() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    deliveries.environment.providers["first"].answers.insert(0, make_answer(Outcome.UNKNOWN))
    doubtful = deliveries.job(on_unknown_outcome=UnknownOutcomePolicy.STOP)
    assert deliveries.deliver(doubtful).status is Status.UNCONFIRMED

    assert outcome(deliveries.deliver(deliveries.job()))[2] == "frequency_cap"


def test_jobs_that_name_nobody_cost_no_question() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    check = deliveries.recipients.check_of(deliveries.jobs)
    plain = make_job()

    check.prepare([plain])

    assert check.check(plain) is None
    assert (deliveries.recipients.store.reads, deliveries.recipients.categories.reads) == (0, 0)


def test_jobs_that_were_claimed_together_are_looked_up_together() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    check = PreferenceCheck(
        deliveries.recipients.store, deliveries.recipients.cache, deliveries.history, deliveries.clock
    )
    deliveries.recipients.store.save([make_recipient(account="globex")])
    deliveries.recipients.categories.put(make_category(account="globex"))
    deliveries.recipients.cache.of("globex")
    first = deliveries.job(**claimed("t"))
    jobs = [first, deliveries.job(**claimed("t"), created_at=later(5)), deliveries.job(category=None)]
    jobs.append(deliveries.job(client="globex"))

    check.prepare(jobs)

    reads = deliveries.recipients.store.reads, deliveries.recipients.categories.reads, deliveries.history.reads
    assert reads == (1, 2, 1)
    assert [check.check(job) for job in jobs] == [None, Hold(3.0), None, None]


@pytest.mark.parametrize("default", CategoryDefault)
def test_of_a_category_that_was_deleted_goes_what_is_urgent_alone(default: CategoryDefault) -> None:
    deliveries = Deliveries(default=default)
    deliveries.recipients.categories.remove("acme", "news")

    assert outcome(deliveries.deliver(deliveries.job())) == (Status.FAILED, "unwanted", "category_removed")
    assert deliveries.deliver(deliveries.job(priority=Priority.HIGH)).status is Status.DELIVERED
    deliveries.change(choices={"news": {Channel.SMS: False}})
    assert outcome(deliveries.deliver(deliveries.job(priority=Priority.HIGH)))[2] == "opted_out"


def test_a_category_that_another_process_has_just_made_is_found() -> None:
    deliveries = Deliveries()
    deliveries.recipients.cache.of("acme")
    deliveries.recipients.categories.put(make_category("offers", default=CategoryDefault.OPT_IN))

    assert outcome(deliveries.deliver(deliveries.job(category="offers")))[2] == "not_opted_in"
    new = NewNotification(client="acme", type=Channel.SMS, to={"phone": "+12025550143"}, payload={}, category="bills")
    assert [problem.code for _, wrong in deliveries.recipients.rules.applied("acme", [new]) for problem in wrong] == [
        "unknown_value"
    ]
    deliveries.recipients.categories.put(make_category("bills"))
    assert [wrong for _, wrong in deliveries.recipients.rules.applied("acme", [new])] == [[]]


def test_who_has_stopped_everything_gets_the_password_that_he_asks_for() -> None:
    deliveries = Deliveries()
    deliveries.recipients.administration.stop("acme", "user-42")

    assert outcome(deliveries.deliver(deliveries.job()))[2] == "stopped"
    assert deliveries.deliver(deliveries.job(priority=Priority.HIGH)).status is Status.DELIVERED


def test_a_no_holds_for_what_is_urgent_after_the_recipient_was_deleted() -> None:
    deliveries = Deliveries()
    deliveries.change(choices={"news": {Channel.SMS: False}})
    deliveries.recipients.administration.remove("acme", "user-42")

    assert outcome(deliveries.deliver(deliveries.job(priority=Priority.HIGH)))[2] == "opted_out"


def test_what_is_not_wanted_is_no_dead_letter() -> None:
    deliveries = Deliveries()
    deliveries.change(choices={"news": {Channel.SMS: False}})

    after = deliveries.deliver(deliveries.job())

    assert (after.status, after.due_at, after.dead_lettered_at) == (Status.FAILED, None, None)


def test_a_push_token_that_is_gone_is_forgotten_by_itself() -> None:
    recipients = RecipientEnvironment.over(FakeClock())
    tokens = tuple(PushToken({"platform": "fcm", "token": name}, later(-at)) for at, name in enumerate(("new", "old")))
    recipients.store.save([make_recipient(push_tokens=tokens)])
    gone = make_answer(Outcome.REJECTED, reason=Reason.RECIPIENT_GONE)
    environment = DeliveryEnvironment(
        ScriptedProvider("first", gone), on_rejected_recipients=GoneTokens(recipients.store).forget
    )

    job = environment.job(type=Channel.PUSH, to=dict(tokens[0].to), recipient_id="user-42")
    after = environment.deliver(job)

    assert (after.status, after.error and after.error.code) == (Status.FAILED, "recipient_gone")
    assert recipients.store.find("acme", ["user-42"])["user-42"].push_tokens == tokens[1:]


def test_a_push_token_that_was_registered_again_meanwhile_stays() -> None:
    recipients = RecipientEnvironment.over(FakeClock())
    token = PushToken({"platform": "fcm", "token": "new"}, later(5))
    recipients.store.save([make_recipient(push_tokens=(token,))])
    job = make_job(type=Channel.PUSH, to=dict(token.to), recipient_id="user-42")
    gone = make_answer(Outcome.REJECTED, reason=Reason.RECIPIENT_GONE)

    GoneTokens(recipients.store).forget([(job, CallResult("fcm", gone, later(6), 2_000))])
    assert recipients.store.find("acme", ["user-42"])["user-42"].push_tokens == (token,)

    GoneTokens(recipients.store).forget([(job, CallResult("fcm", gone, later(8), 2_000))])
    assert recipients.store.find("acme", ["user-42"])["user-42"].push_tokens == ()
