from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.factories import NOW, make_job
from tests.fakes import FakeClock
from tests.memory_storage import MemorySuppressionStore
from tests.unit.core.delivery.environment import DeliveryEnvironment
from wavecom.core.job import Job
from wavecom.core.lanes import Channel, Priority
from wavecom.core.recipients import recipient_of
from wavecom.core.states import Status
from wavecom.core.suppression_check import FRESH_SECONDS, SuppressionCheck
from wavecom.core.suppressions import NewSuppression, SuppressionScope, SuppressionSource
from wavecom.errors import StoreError


class CheckEnvironment:
    """A check over a store in memory, with a clock to turn."""

    def __init__(self) -> None:
        self.clock = FakeClock(NOW)
        self.store = MemorySuppressionStore()
        self.check = SuppressionCheck(self.store, self.clock)

    def suppress(self, job: Job, **overrides: Any) -> str:
        recipient = recipient_of(job.type, job.to)
        assert recipient is not None
        fields: dict[str, Any] = {
            "account": job.client,
            "channel": job.type,
            "recipient": recipient,
            "source": SuppressionSource.MANUAL,
            "scope": SuppressionScope.ALL,
            "by": "operator",
        }
        return self.store.add([NewSuppression(**fields | overrides)], self.clock.now())[0].suppression_id


@pytest.fixture
def checked() -> CheckEnvironment:
    return CheckEnvironment()


def test_a_suppressed_job_fails_without_a_call_and_others_are_sent(checked: CheckEnvironment) -> None:
    environment = DeliveryEnvironment(preflights=[checked.check])
    job = environment.job(to={"email": "amina@example.com"}, type=Channel.EMAIL)
    other = environment.job(to={"email": "bela@example.com"}, type=Channel.EMAIL)
    suppression_id = checked.suppress(job)

    after, others = environment.deliver(job), environment.deliver(other)

    assert after.status is Status.FAILED
    assert after.error is not None
    assert after.error.code == "suppressed"
    assert suppression_id in after.error.message
    assert "amina" not in str(after.logs)
    assert others.status is Status.DELIVERED
    assert [message.job_id for message in environment.providers["first"].messages] == [other.job_id]


def test_capitals_make_no_other_recipient(checked: CheckEnvironment) -> None:
    checked.suppress(make_job(type=Channel.EMAIL, to={"email": "amina@example.com"}))

    job = make_job(type=Channel.EMAIL, to={"email": "Amina@Example.COM"})

    assert list(checked.check.find([job])) == [job.job_id]


@pytest.mark.parametrize(
    ("scope", "priority", "is_found"),
    [
        (SuppressionScope.MARKETING, Priority.HIGH, False),
        (SuppressionScope.MARKETING, Priority.NORMAL, True),
        (SuppressionScope.MARKETING, Priority.BULK, True),
        (SuppressionScope.ALL, Priority.HIGH, True),
        (SuppressionScope.ALL, Priority.NORMAL, True),
        (SuppressionScope.ALL, Priority.BULK, True),
    ],
)
def test_marketing_stops_all_but_the_high_lane(
    checked: CheckEnvironment, scope: SuppressionScope, priority: Priority, is_found: bool
) -> None:
    job = make_job(type=Channel.SMS, priority=priority)
    checked.suppress(job, scope=scope)

    assert bool(checked.check.find([job])) is is_found


def test_lists_are_each_accounts_and_each_channels_own(checked: CheckEnvironment) -> None:
    job = make_job(type=Channel.SMS, client="acme")
    checked.suppress(job)

    others = [make_job(type=Channel.SMS, client="acme:test"), make_job(type=Channel.SMS, client="shop")]

    assert checked.check.find(others) == {}


def test_an_empty_list_is_never_asked_about(checked: CheckEnvironment) -> None:
    checked.check.refresh()

    checked.check.prepare([make_job() for _ in range(100)])

    assert checked.store.reads == 0


def test_only_those_are_asked_about_who_may_be_on_the_list(checked: CheckEnvironment) -> None:
    on_it = make_job(type=Channel.SMS)
    checked.suppress(on_it)
    checked.check.refresh()
    others = [make_job(type=Channel.SMS, to={"phone": f"+1202666{number:04}"}) for number in range(500)]

    assert checked.check.find(others[:200]) == {}
    assert checked.store.reads <= 1
    assert list(checked.check.find([*others, on_it])) == [on_it.job_id]


def test_an_entry_is_in_force_within_a_second_whatever_was_read(checked: CheckEnvironment) -> None:
    job = make_job()
    checked.check.refresh()
    checked.suppress(job)

    checked.clock.advance(FRESH_SECONDS)

    assert list(checked.check.find([job])) == [job.job_id]


def test_a_reading_finds_what_was_added_since(checked: CheckEnvironment) -> None:
    jobs = [make_job(to={"email": f"person{number}@example.com"}, type=Channel.EMAIL) for number in range(3)]
    for job in jobs:
        checked.check.refresh()
        checked.suppress(job)
        checked.clock.advance(0.4)
    checked.check.refresh()

    assert set(checked.check.find(jobs)) == {job.job_id for job in jobs}


def test_a_lift_is_in_force_at_once(checked: CheckEnvironment) -> None:
    job = make_job()
    suppression_id = checked.suppress(job)
    checked.check.refresh()

    checked.store.lift(suppression_id, None, by="operator", reason="", now=checked.clock.now())

    assert checked.check.find([job]) == {}


def test_what_was_added_while_the_store_was_away_for_long_is_found_afterwards(checked: CheckEnvironment) -> None:
    job = make_job()
    checked.check.refresh()
    checked.suppress(job)
    checked.store.is_away = True
    for _ in range(100):
        checked.clock.advance(0.4)
        checked.check.keep_fresh()
    checked.store.is_away = False

    checked.check.refresh()

    assert list(checked.check.find([job])) == [job.job_id]


def test_a_store_that_is_away_lets_nobody_pass(checked: CheckEnvironment) -> None:
    checked.check.refresh()
    checked.store.is_away = True
    checked.clock.advance(FRESH_SECONDS)

    with pytest.raises(StoreError):
        checked.check.prepare([make_job()])


def test_a_list_that_outgrows_its_filter_is_read_anew(checked: CheckEnvironment) -> None:
    checked.check.refresh()
    additions = [
        NewSuppression(
            account="acme",
            channel=Channel.EMAIL,
            recipient=f"person{number}@example.com",
            source=SuppressionSource.MANUAL,
            scope=SuppressionScope.ALL,
            by="operator",
        )
        for number in range(12_000)
    ]
    checked.store.add(additions, checked.clock.now())
    checked.check.refresh()
    checked.check.refresh()

    strangers = [
        make_job(client="acme", type=Channel.EMAIL, to={"email": f"stranger{number}@example.com"})
        for number in range(2000)
    ]
    found = sum(bool(checked.check.find([job])) for job in strangers)
    assert (found, checked.store.reads < 100) == (0, True)
    job = make_job(client="acme", type=Channel.EMAIL, to={"email": "person11999@example.com"})
    assert list(checked.check.find([job])) == [job.job_id]


def test_of_several_entries_one_that_stops_the_job_is_named(checked: CheckEnvironment) -> None:
    job = make_job(priority=Priority.HIGH)
    checked.suppress(job, source=SuppressionSource.STOP, scope=SuppressionScope.MARKETING)
    bounce = checked.suppress(job, source=SuppressionSource.BOUNCE)

    assert [entry.suppression_id for entry in checked.check.find([job]).values()] == [bounce]


def test_what_was_found_under_one_claim_says_nothing_about_the_next(checked: CheckEnvironment) -> None:
    environment = DeliveryEnvironment(preflights=[checked.check])
    job = environment.job()
    suppression_id = checked.suppress(job)
    [claimed] = environment.delivery.claim([job.job_id])
    assert claimed is not None
    assert checked.check.check(claimed) is not None
    checked.store.lift(suppression_id, None, by="operator", reason="", now=checked.clock.now())
    environment.clock.advance(60)

    other = make_job(job_id=job.job_id, status=Status.PROCESSING)

    assert checked.check.check(other) is None


def test_readers_and_a_writer_do_not_disturb_one_another(checked: CheckEnvironment) -> None:
    jobs = [make_job(type=Channel.EMAIL, to={"email": f"person{number}@example.com"}) for number in range(300)]
    errors: list[BaseException] = []

    def read() -> None:
        try:
            for job in jobs:
                checked.check.prepare([job])
                checked.check.check(job)
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for job in jobs:
        checked.suppress(job)
        checked.check.refresh()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(checked.check.find(jobs)) == len(jobs)
