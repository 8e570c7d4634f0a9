from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.factories import make_answer, make_job
from tests.waiting import wait_until
from wavecom.core.activity import Activity
from wavecom.core.attempts import AttemptResult, OnAttemptResult, PartialAttempt
from wavecom.core.job import CallResult, Job, JobId
from wavecom.core.ports import Permit
from wavecom.core.windows import Windows
from wavecom.errors import RequeueError, RetryLater
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
        #: A claim has begun.
        self.claiming = threading.Event()
        self.calling = 0
        self.most_calling = 0
        #: Jobs called "async" need no thread: here they wait for ``answer``.
        self.begun: list[tuple[Job, OnAttemptResult]] = []
        self._lock = threading.Lock()

    def claim(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        self.claiming.set()
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
        if job.job_id.startswith("async"):
            self.begun.append((job, on_attempted))
        return job.job_id.startswith("async")

    def answer(self) -> None:
        """All that was begun has an answer now."""
        begun, self.begun = self.begun, []
        for job, on_attempted in begun:
            tries = (CallResult("first", make_answer(), job.created_at, 1.0),)
            if job.job_id.startswith("async odd"):
                on_attempted(ValueError("a bug"))
            elif job.job_id.startswith("async unfinished"):
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


class Harness:
    """A pipeline with everything around it."""

    def __init__(
        self,
        threads: int = 4,
        spawn: Callable[[Callable[[], None], str], threading.Thread] = start,
        window_seconds: float = 0.002,
    ) -> None:
        self.stages = FakeStages()
        self.released: list[Permit] = []
        self.retried: list[JobId] = []
        self.retry_fails = False
        self.ends: dict[int, Disposition] = {}
        self.reported: list[int] = []
        self.events: list[str] = []
        self.freed = 0
        self._tags = 0
        self.pipeline = DeliveryPipeline(
            self.stages,
            self.stages,
            threads=threads,
            release=self.released.append,
            retry=self._retry,
            on_end=self._on_end,
            on_freed=self._free,
            windows=Windows(accept=0, claim=window_seconds, record=window_seconds),
            spawn=spawn,
        )

    def send(self, *job_ids: str, is_urgent: bool = False) -> None:
        for job_id in job_ids:
            self._tags += 1
            self.pipeline.offer(
                InFlightMessage(
                    JobId(job_id), "notifications.sms.normal", Permit("first"), None, self._tags, is_urgent=is_urgent
                )
            )

    def wait_for_ends(self, count: int) -> None:
        wait_until(lambda: len(self.reported) >= count)

    def _retry(self, message: InFlightMessage, _retry: RetryLater) -> None:
        self.events.append(f"retry {message.job_id}")
        self.retried.append(message.job_id)
        if self.retry_fails:
            raise ConnectionError("away")

    def _on_end(self, ends: Sequence[tuple[InFlightMessage, Disposition]]) -> None:
        for message, end in ends:
            self.events.append(f"end {message.job_id}")
            self.ends[message.tag] = end
            self.reported.append(message.tag)

    def _free(self) -> None:
        self.freed += 1


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[MutableMapping[str, Any]]]:
    """What was logged; and tracebacks of the bugs that these tests have on purpose are not drawn."""
    with capture_logs() as logs:
        yield logs


@pytest.fixture
def harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.stages.may_claim.set()
    harness.stages.may_call.set()
    assert harness.pipeline.drain(30)


def test_a_job_is_claimed_sent_recorded_and_only_then_done(harness: Harness) -> None:
    harness.stages.may_call.clear()

    harness.send("one")
    wait_until(lambda: harness.stages.calling == 1)
    ends_before_the_call = dict(harness.ends)
    harness.stages.may_call.set()
    harness.wait_for_ends(1)

    assert ends_before_the_call == {}
    assert (harness.stages.claims, harness.stages.calls, harness.stages.records) == ([["one"]], ["one"], [["one"]])
    assert harness.ends == {1: Disposition.ACK}


def test_what_waits_is_claimed_together_and_no_more_than_there_are_threads(harness: Harness) -> None:
    harness.stages.may_claim.clear()
    harness.send("first")
    assert harness.stages.claiming.wait(30)

    harness.send(*(f"job-{number}" for number in range(9)))
    harness.stages.may_call.clear()
    harness.stages.may_claim.set()
    wait_until(lambda: harness.stages.calling == 4)
    claimed_while_all_are_busy = [len(batch) for batch in harness.stages.claims]
    harness.stages.may_call.set()
    harness.wait_for_ends(10)

    assert claimed_while_all_are_busy == [1, 3]
    assert harness.stages.most_calling == 4
    assert sorted(job_id for batch in harness.stages.claims for job_id in batch) == sorted(harness.stages.calls)
    assert set(harness.ends.values()) == {Disposition.ACK}


def test_what_is_urgent_waits_for_no_batch_to_fill_neither_before_its_claim_nor_before_its_record() -> None:
    harness = Harness(threads=2000, window_seconds=3600)
    harness.stages.may_claim.clear()
    harness.send("first")
    assert harness.stages.claiming.wait(30)
    # Now so many come that a batch is waited for to the end of its hour.
    harness.send(*(f"async {number}" for number in range(100)))
    harness.stages.may_claim.set()
    wait_until(lambda: len(harness.stages.begun) == 100)

    harness.send("async normal")
    harness.send("async urgent", is_urgent=True)
    wait_until(lambda: len(harness.stages.begun) == 102)
    harness.stages.answer()

    harness.wait_for_ends(103)
    assert set(harness.ends.values()) == {Disposition.ACK}


def test_a_delivery_message_that_comes_twice_is_done_with_and_its_permit_given_back(harness: Harness) -> None:
    harness.send("gone")
    harness.wait_for_ends(1)

    assert harness.ends == {1: Disposition.ACK}
    assert harness.released == [Permit("first")]
    assert harness.stages.calls == []
    assert harness.freed >= 1


def test_without_a_store_messages_are_given_back_and_nothing_is_sent(harness: Harness) -> None:
    harness.stages.store_is_away = True

    harness.send("one", "two")
    harness.wait_for_ends(2)

    assert set(harness.ends.values()) == {Disposition.REQUEUE}
    assert len(harness.released) == 2
    assert harness.stages.calls == []


def test_a_result_that_could_not_be_recorded_gives_its_message_back(harness: Harness) -> None:
    harness.stages.may_call.clear()
    harness.send("one")
    wait_until(lambda: harness.stages.calling == 1)

    harness.stages.store_is_away = True
    harness.stages.may_call.set()
    harness.wait_for_ends(1)

    assert harness.ends == {1: Disposition.REQUEUE}
    assert harness.released == []  # the attempt has given its permit back


def test_a_job_to_be_tried_again_is_published_before_its_message_is_done(harness: Harness) -> None:
    harness.send("again")
    harness.wait_for_ends(1)

    assert harness.events == ["retry again", "end again"]


def test_a_retry_that_can_not_be_published_is_left_to_the_sweep(harness: Harness) -> None:
    harness.retry_fails = True

    harness.send("again")
    harness.wait_for_ends(1)

    assert harness.ends == {1: Disposition.ACK}


def test_a_bug_in_one_job_costs_only_that_one_its_message(harness: Harness) -> None:
    harness.stages.may_claim.clear()
    harness.send("first")
    assert harness.stages.claiming.wait(30)

    harness.send("unreadable", "odd", "unwritable", "fine")
    harness.stages.may_claim.set()
    harness.wait_for_ends(5)

    assert harness.ends == {
        1: Disposition.ACK,
        2: Disposition.REJECT,
        3: Disposition.REJECT,
        4: Disposition.REJECT,
        5: Disposition.ACK,
    }
    assert harness.released == [Permit("first")]  # of the one that was not even claimed


def test_calls_that_need_no_thread_get_none_and_are_recorded_together(harness: Harness) -> None:
    harness.send("async one", "async two", "async three")
    wait_until(lambda: len(harness.stages.begun) == 3)

    harness.stages.answer()
    harness.wait_for_ends(3)

    assert set(harness.ends.values()) == {Disposition.ACK}
    assert harness.stages.calls == []
    assert sorted(job_id for batch in harness.stages.records for job_id in batch) == [
        "async one",
        "async three",
        "async two",
    ]
    assert harness.stages.activity.running == 0
    assert harness.freed == 3


def test_calls_without_a_thread_count_among_those_at_once(harness: Harness) -> None:
    harness.send(*(f"async {number}" for number in range(6)))
    wait_until(lambda: len(harness.stages.begun) == 4)
    time.sleep(0.05)
    begun_while_all_are_busy = len(harness.stages.begun)

    harness.stages.answer()
    wait_until(lambda: len(harness.stages.begun) == 2)
    harness.stages.answer()
    harness.wait_for_ends(6)

    assert begun_while_all_are_busy == 4


def test_a_call_under_way_shows_in_the_health_check_until_it_is_answered(harness: Harness) -> None:
    harness.send("async one")
    wait_until(lambda: len(harness.stages.begun) == 1)
    wait_until(lambda: harness.stages.activity.running == 1)
    age_under_way = harness.stages.activity.oldest_age(time.monotonic() + 100)

    harness.stages.answer()
    harness.wait_for_ends(1)

    assert age_under_way >= 100


def test_an_attempt_that_its_first_provider_could_not_make_goes_on_with_a_thread(harness: Harness) -> None:
    harness.send("async unfinished")
    wait_until(lambda: len(harness.stages.begun) == 1)

    harness.stages.answer()
    harness.wait_for_ends(1)

    assert harness.stages.calls == ["async unfinished"]
    assert harness.ends == {1: Disposition.ACK}


def test_a_bug_met_without_a_thread_costs_only_that_one_its_message(harness: Harness) -> None:
    harness.send("tripping", "async odd", "async fine")
    wait_until(lambda: len(harness.stages.begun) == 2)

    harness.stages.answer()
    harness.wait_for_ends(3)

    assert harness.ends == {1: Disposition.REJECT, 2: Disposition.REJECT, 3: Disposition.ACK}
    assert harness.stages.activity.running == 0


def test_a_shutdown_finishes_calls_that_have_no_thread(harness: Harness) -> None:
    harness.send("async one")
    wait_until(lambda: len(harness.stages.begun) == 1)

    threading.Timer(0.1, harness.stages.answer).start()

    assert harness.pipeline.drain(10)
    assert harness.ends == {1: Disposition.ACK}


def test_a_shutdown_finishes_what_is_claimed_and_gives_back_what_is_not(harness: Harness) -> None:
    harness.stages.may_call.clear()
    harness.send("a", "b", "c", "d", "late")
    wait_until(lambda: harness.stages.calling == 4)

    threading.Timer(0.1, harness.stages.may_call.set).start()
    is_drained = harness.pipeline.drain(10)

    assert is_drained
    assert harness.ends == {
        1: Disposition.ACK,
        2: Disposition.ACK,
        3: Disposition.ACK,
        4: Disposition.ACK,
        5: Disposition.REQUEUE,
    }


def test_a_shutdown_waits_no_longer_than_it_is_told() -> None:
    harness = Harness()
    harness.stages.may_call.clear()
    harness.send("slow")
    wait_until(lambda: harness.stages.calling == 1)

    assert not harness.pipeline.drain(0.05)

    harness.stages.may_call.set()
    assert harness.pipeline.drain(30)


def test_every_message_of_many_ends_exactly_once() -> None:
    harness = Harness(threads=16)
    kinds = ["job", "gone", "again"]

    harness.send(*(f"{kinds[number % 3]}-{number}" for number in range(1200)))
    harness.wait_for_ends(1200)

    assert sorted(harness.reported) == list(range(1, 1201))
    assert harness.pipeline.in_flight == 0
    assert len(harness.stages.calls) == 800
    assert len(harness.retried) == 400
    assert harness.stages.most_calling <= 16
    assert len(harness.stages.claims) < 1200 / 2


def test_a_system_that_refuses_more_threads_costs_nobody_a_delivery() -> None:
    started: list[str] = []

    def grudging(work: Callable[[], None], name: str) -> threading.Thread:
        if started:
            raise RuntimeError("can't start new thread")
        started.append(name)
        return start(work, name)

    harness = Harness(spawn=grudging)

    with capture_logs():
        harness.send("a", "b", "c")
        harness.wait_for_ends(3)

    assert set(harness.ends.values()) == {Disposition.ACK}
    assert sorted(harness.stages.calls) == ["a", "b", "c"]
    assert harness.pipeline.drain(5)
