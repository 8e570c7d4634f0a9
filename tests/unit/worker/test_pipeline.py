from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import make_answer, make_job
from wavecom.core.activity import Activity
from wavecom.core.attempts import AttemptResult, OnAttemptResult, PartialAttempt
from wavecom.core.delivery import RequeueError
from wavecom.core.job import CallResult, Job, JobId
from wavecom.core.ports import Permit
from wavecom.errors import RetryLater
from wavecom.worker.pipeline import DeliveryPipeline, Disposition, InFlightMessage


class FakeStages:
    """A delivery that notes what it is asked for. A job's id says what becomes of it: "gone", "again" and so on."""

    def __init__(self) -> None:
        self.activity = Activity(time.monotonic)
        self.claims: list[list[JobId]] = []
        self.records: list[list[JobId]] = []
        self.calls: list[JobId] = []
        self.store_is_away = False
        self.may_claim = threading.Event()
        self.may_call = threading.Event()
        self.may_claim.set()
        self.may_call.set()
        self.calling = 0
        self.most_calling = 0
        #: Jobs called "swift" need no thread: here they wait for ``answer``.
        self.begun: list[tuple[Job, OnAttemptResult]] = []
        self._lock = threading.Lock()

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        assert self.may_claim.wait(30)
        if self.store_is_away:
            raise RequeueError("the store is away")
        if "unreadable" in job_ids:
            raise ValueError("what is this?")
        self.claims.append(list(job_ids))
        return [None if job_id.startswith("gone") else make_job(job_id=job_id) for job_id in job_ids]

    def attempt(self, job: Job, permit: Permit) -> AttemptResult:
        with self._lock:
            self.calling += 1
            self.most_calling = max(self.most_calling, self.calling)
        assert self.may_call.wait(30)
        with self._lock:
            self.calling -= 1
            self.calls.append(job.job_id)
        if job.job_id.startswith("odd"):
            raise ValueError("a bug")
        return AttemptResult(job, (CallResult("first", make_answer(), job.created_at, 1.0),), expects_receipt=False)

    def begin(self, job: Job, permit: Permit, on_attempted: OnAttemptResult) -> bool:
        if job.job_id.startswith("tripping"):
            raise ValueError("a bug")
        if job.job_id.startswith("swift"):
            self.begun.append((job, on_attempted))
        return job.job_id.startswith("swift")

    def answer(self) -> None:
        """All that was begun has an answer now."""
        begun, self.begun = self.begun, []
        for job, on_attempted in begun:
            tries = (CallResult("first", make_answer(), job.created_at, 1.0),)
            if job.job_id.startswith("swift odd"):
                on_attempted(ValueError("a bug"))
            elif job.job_id.startswith("swift unfinished"):
                on_attempted(PartialAttempt(job, tries, job.expires_at))
            else:
                on_attempted(AttemptResult(job, tries, expects_receipt=False))

    def finish(self, unfinished: PartialAttempt) -> AttemptResult:
        return self.attempt(unfinished.job, Permit("second"))

    def record(self, attempts: Sequence[AttemptResult]) -> list[RetryLater | None]:
        ids = [attempted.job.job_id for attempted in attempts]
        if self.store_is_away:
            raise RequeueError("the store is away")
        if any(job_id.startswith("unwritable") for job_id in ids):
            raise ValueError("can't be written")
        self.records.append(ids)
        return [RetryLater(4, "again") if job_id.startswith("again") else None for job_id in ids]


def start(work: Callable[[], None], name: str) -> threading.Thread:
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread


class House:
    """A line with everything around it."""

    def __init__(self, threads: int = 4, spawn: Callable[[Callable[[], None], str], threading.Thread] = start) -> None:
        self.stages = FakeStages()
        self.released: list[Permit] = []
        self.retried: list[JobId] = []
        self.retry_fails = False
        self.ends: dict[int, Disposition] = {}
        self.told: list[int] = []
        self.events: list[str] = []
        self.freed = 0
        self._tags = 0
        self.line = DeliveryPipeline(
            self.stages,
            self.stages,
            threads=threads,
            release=self.released.append,
            retry=self._retry,
            on_end=self._hear,
            on_freed=self._free,
            window_seconds=0.002,
            spawn=spawn,
        )

    def send(self, *job_ids: str) -> None:
        for job_id in job_ids:
            self._tags += 1
            self.line.offer(
                InFlightMessage(JobId(job_id), "notifications.sms.normal", Permit("first"), None, self._tags)
            )

    def wait_for_ends(self, count: int) -> None:
        self.wait_until(lambda: len(self.told) >= count)

    @staticmethod
    def wait_until(is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.001)

    def _retry(self, parcel: InFlightMessage, _retry: RetryLater) -> None:
        self.events.append(f"retry {parcel.job_id}")
        self.retried.append(parcel.job_id)
        if self.retry_fails:
            raise ConnectionError("away")

    def _hear(self, ends: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        for parcel, end in ends:
            self.events.append(f"end {parcel.job_id}")
            self.ends[parcel.tag] = end
            self.told.append(parcel.tag)

    def _free(self) -> None:
        self.freed += 1


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged; and tracebacks of the bugs that these tests have on purpose are not drawn."""
    with capture_logs() as logs:
        yield logs


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.stages.may_claim.set()
    house.stages.may_call.set()
    assert house.line.drain(30)


def test_a_job_is_claimed_sent_recorded_and_only_then_done(house: House) -> None:
    house.stages.may_call.clear()

    house.send("one")
    house.wait_until(lambda: house.stages.calling == 1)
    ends_before_the_call = dict(house.ends)
    house.stages.may_call.set()
    house.wait_for_ends(1)

    assert ends_before_the_call == {}
    assert (house.stages.claims, house.stages.calls, house.stages.records) == ([["one"]], ["one"], [["one"]])
    assert house.ends == {1: Disposition.ACK}


def test_what_waits_is_claimed_together_and_no_more_than_there_are_threads(house: House) -> None:
    house.stages.may_claim.clear()
    house.send("first")
    house.wait_until(lambda: not house.line._to_claim._items)

    house.send(*(f"job-{number}" for number in range(9)))
    house.stages.may_call.clear()
    house.stages.may_claim.set()
    house.wait_until(lambda: house.stages.calling == 4)
    claimed_while_all_are_busy = [len(batch) for batch in house.stages.claims]
    house.stages.may_call.set()
    house.wait_for_ends(10)

    assert claimed_while_all_are_busy == [1, 3]
    assert house.stages.most_calling == 4
    assert sorted(job_id for batch in house.stages.claims for job_id in batch) == sorted(house.stages.calls)
    assert set(house.ends.values()) == {Disposition.ACK}


def test_a_hint_that_comes_twice_is_done_with_and_its_permit_given_back(house: House) -> None:
    house.send("gone")
    house.wait_for_ends(1)

    assert house.ends == {1: Disposition.ACK}
    assert house.released == [Permit("first")]
    assert house.stages.calls == []
    assert house.freed >= 1


def test_without_a_store_messages_are_given_back_and_nothing_is_sent(house: House) -> None:
    house.stages.store_is_away = True

    house.send("one", "two")
    house.wait_for_ends(2)

    assert set(house.ends.values()) == {Disposition.REQUEUE}
    assert len(house.released) == 2
    assert house.stages.calls == []


def test_a_result_that_could_not_be_recorded_gives_its_message_back(house: House) -> None:
    house.stages.may_call.clear()
    house.send("one")
    house.wait_until(lambda: house.stages.calling == 1)

    house.stages.store_is_away = True
    house.stages.may_call.set()
    house.wait_for_ends(1)

    assert house.ends == {1: Disposition.REQUEUE}
    assert house.released == []  # the attempt has given its permit back


def test_a_job_to_be_tried_again_is_published_before_its_message_is_done(house: House) -> None:
    house.send("again")
    house.wait_for_ends(1)

    assert house.events == ["retry again", "end again"]


def test_a_retry_that_can_not_be_published_is_left_to_the_sweep(house: House) -> None:
    house.retry_fails = True

    house.send("again")
    house.wait_for_ends(1)

    assert house.ends == {1: Disposition.ACK}


def test_a_bug_in_one_job_costs_only_that_one_its_message(house: House) -> None:
    house.stages.may_claim.clear()
    house.send("first")
    house.wait_until(lambda: not house.line._to_claim._items)

    house.send("unreadable", "odd", "unwritable", "fine")
    house.stages.may_claim.set()
    house.wait_for_ends(5)

    assert house.ends == {
        1: Disposition.ACK,
        2: Disposition.REJECT,
        3: Disposition.REJECT,
        4: Disposition.REJECT,
        5: Disposition.ACK,
    }
    assert house.released == [Permit("first")]  # of the one that was not even claimed


def test_calls_that_need_no_thread_get_none_and_are_recorded_together(house: House) -> None:
    house.send("swift one", "swift two", "swift three")
    house.wait_until(lambda: len(house.stages.begun) == 3)

    house.stages.answer()
    house.wait_for_ends(3)

    assert set(house.ends.values()) == {Disposition.ACK}
    assert house.stages.calls == []
    assert sorted(job_id for batch in house.stages.records for job_id in batch) == [
        "swift one",
        "swift three",
        "swift two",
    ]
    assert house.stages.activity.running == 0
    assert house.freed == 3


def test_calls_without_a_thread_count_among_those_at_once(house: House) -> None:
    house.send(*(f"swift {number}" for number in range(6)))
    house.wait_until(lambda: len(house.stages.begun) == 4)
    time.sleep(0.05)
    begun_while_all_are_busy = len(house.stages.begun)

    house.stages.answer()
    house.wait_until(lambda: len(house.stages.begun) == 2)
    house.stages.answer()
    house.wait_for_ends(6)

    assert begun_while_all_are_busy == 4


def test_a_call_under_way_shows_in_the_health_check_until_it_is_answered(house: House) -> None:
    house.send("swift one")
    house.wait_until(lambda: len(house.stages.begun) == 1)
    house.wait_until(lambda: house.stages.activity.running == 1)
    age_under_way = house.stages.activity.oldest_age(time.monotonic() + 100)

    house.stages.answer()
    house.wait_for_ends(1)

    assert age_under_way >= 100


def test_an_attempt_that_its_first_provider_could_not_make_goes_on_with_a_thread(house: House) -> None:
    house.send("swift unfinished")
    house.wait_until(lambda: len(house.stages.begun) == 1)

    house.stages.answer()
    house.wait_for_ends(1)

    assert house.stages.calls == ["swift unfinished"]
    assert house.ends == {1: Disposition.ACK}


def test_a_bug_met_without_a_thread_costs_only_that_one_its_message(house: House) -> None:
    house.send("tripping", "swift odd", "swift fine")
    house.wait_until(lambda: len(house.stages.begun) == 2)

    house.stages.answer()
    house.wait_for_ends(3)

    assert house.ends == {1: Disposition.REJECT, 2: Disposition.REJECT, 3: Disposition.ACK}
    assert house.stages.activity.running == 0


def test_a_shutdown_finishes_calls_that_have_no_thread(house: House) -> None:
    house.send("swift one")
    house.wait_until(lambda: len(house.stages.begun) == 1)

    threading.Timer(0.1, house.stages.answer).start()

    assert house.line.drain(10)
    assert house.ends == {1: Disposition.ACK}


def test_a_shutdown_finishes_what_is_claimed_and_gives_back_what_is_not(house: House) -> None:
    house.stages.may_call.clear()
    house.send("a", "b", "c", "d", "late")
    house.wait_until(lambda: house.stages.calling == 4)

    threading.Timer(0.1, house.stages.may_call.set).start()
    is_drained = house.line.drain(10)

    assert is_drained
    assert house.ends == {
        1: Disposition.ACK,
        2: Disposition.ACK,
        3: Disposition.ACK,
        4: Disposition.ACK,
        5: Disposition.REQUEUE,
    }


def test_a_shutdown_waits_no_longer_than_it_is_told() -> None:
    house = House()
    house.stages.may_call.clear()
    house.send("slow")
    house.wait_until(lambda: house.stages.calling == 1)

    assert not house.line.drain(0.05)

    house.stages.may_call.set()
    assert house.line.drain(30)


def test_every_parcel_of_many_ends_exactly_once() -> None:
    house = House(threads=16)
    kinds = ["job", "gone", "again"]

    house.send(*(f"{kinds[number % 3]}-{number}" for number in range(1200)))
    house.wait_for_ends(1200)

    assert sorted(house.told) == list(range(1, 1201))
    assert house.line.in_hand == 0
    assert len(house.stages.calls) == 800
    assert len(house.retried) == 400
    assert house.stages.most_calling <= 16
    assert len(house.stages.claims) < 1200 / 2


def test_a_system_that_refuses_more_threads_costs_nobody_a_delivery() -> None:
    started: list[str] = []

    def grudging(work: Callable[[], None], name: str) -> threading.Thread:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(name)
        return start(work, name)

    house = House(spawn=grudging)

    with capture_logs():
        house.send("a", "b", "c")
        house.wait_for_ends(3)

    assert set(house.ends.values()) == {Disposition.ACK}
    assert sorted(house.stages.calls) == ["a", "b", "c"]
    assert house.line.drain(5)
