"""What a recipient wants, asked before each delivery: whole deliveries over memory."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.factories import NOW, later, make_answer, make_job
from tests.fakes import FakeClock, ScriptedProvider
from tests.memory_storage import MemoryCapHistory, MemoryJobRepository
from tests.recipients import RecipientEnvironment, hours, make_category, make_recipient
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.categories import CategoryDefault, FrequencyCap
from wavecom.core.gone_tokens import GoneTokens
from wavecom.core.job import Job, LogEntry, Outcome, Reason
from wavecom.core.lanes import Channel, Priority
from wavecom.core.preference_check import PreferenceCheck
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
    deliveries.recipients.store.remove("acme", "user-42")

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


def test_a_job_that_may_have_been_sent_does_not_count_against_itself() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    deliveries.environment.providers["first"].answers.insert(0, make_answer(Outcome.UNKNOWN))
    job = deliveries.job()

    with pytest.raises(RetryLater):
        deliveries.deliver(job)
    deliveries.clock.advance(3600)

    assert deliveries.deliver(job).status is Status.DELIVERED


def test_of_many_that_wait_the_oldest_are_sent_in_whatever_order_they_are_claimed() -> None:
    deliveries = Deliveries(cap=FrequencyCap(1, DAY))
    older, younger = deliveries.job(), deliveries.job(created_at=deliveries.clock.now() + timedelta(seconds=1))

    assert outcome(deliveries.deliver(younger))[1:] == ("unwanted", "frequency_cap")
    assert deliveries.deliver(older).status is Status.DELIVERED


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
    deliveries.job(status=Status.FAILED, may_have_been_sent=True, updated_at=deliveries.clock.now())

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
    jobs = [deliveries.job(), deliveries.job(created_at=later(5)), deliveries.job(category=None)]

    check.prepare(jobs)

    reads = deliveries.recipients.store.reads, deliveries.recipients.categories.reads, deliveries.history.reads
    assert reads == (1, 1, 1)
    assert [getattr(check.check(job), "code", None) for job in jobs] == [None, "frequency_cap", None]


@pytest.mark.parametrize("default", CategoryDefault)
def test_a_category_that_was_deleted_stops_nobody(default: CategoryDefault) -> None:
    deliveries = Deliveries(default=default)
    deliveries.recipients.categories.remove("acme", "news")

    assert deliveries.deliver(deliveries.job()).status is Status.DELIVERED


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
