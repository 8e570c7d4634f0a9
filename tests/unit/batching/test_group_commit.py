from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.batches import Gathering, Waits, commit_under_load, submit_behind_a_running_flush
from wavecom.batching import BatchWindow, GroupCommit


def test_a_lone_call_is_flushed_at_once_on_its_own_thread() -> None:
    threads = []

    def flush(items: Sequence[int]) -> list[int]:
        threads.append(threading.get_ident())
        return [item + 1 for item in items]

    commit: GroupCommit[int, int] = GroupCommit(flush, wait=lambda _lock, _seconds: pytest.fail("a lone call waited"))

    assert [commit.submit(1), commit.submit(2), commit.submit(3)] == [2, 3, 4]
    assert set(threads) == {threading.get_ident()}


def test_calls_that_come_during_a_flush_form_one_batch_in_order() -> None:
    flush = Gathering()
    commit: GroupCommit[int, int] = GroupCommit(flush)

    results = submit_behind_a_running_flush(flush, commit, [1, 2, 3, 4])

    assert results == [10, 20, 30, 40]
    assert flush.batches == [[0], [1, 2, 3, 4]]


def test_whoever_is_refused_still_wakes_the_next_of_its_batch() -> None:
    flush = Gathering()
    commit: GroupCommit[int, int] = GroupCommit(flush)

    results = submit_behind_a_running_flush(flush, commit, [-1, -2, 3, -4, 5])

    assert [result if isinstance(result, int) else str(result) for result in results] == [
        "odd one: -1",
        "odd one: -2",
        30,
        "odd one: -4",
        50,
    ]


def test_a_batch_is_never_larger_than_its_bound() -> None:
    flush = Gathering()
    commit: GroupCommit[int, int] = GroupCommit(flush, max_batch=2)

    results = submit_behind_a_running_flush(flush, commit, [1, 2, 3, 4, 5])

    assert results == [10, 20, 30, 40, 50]
    assert flush.batches == [[0], [1, 2], [3, 4], [5]]


def test_an_exception_among_the_results_reaches_only_its_own_caller() -> None:
    flush = Gathering()
    commit: GroupCommit[int, int] = GroupCommit(flush)

    results = submit_behind_a_running_flush(flush, commit, [1, -2, 3])

    assert results[0] == 10
    assert isinstance(results[1], ValueError)
    assert results[2] == 30


def test_a_flush_that_fails_fails_every_caller_of_its_batch_and_no_other() -> None:
    fails = iter([True, False])

    def flush(items: Sequence[int]) -> list[int]:
        if next(fails):
            raise ConnectionError("away")
        return list(items)

    commit: GroupCommit[int, int] = GroupCommit(flush)

    with pytest.raises(ConnectionError, match="away"):
        commit.submit(1)
    assert commit.submit(2) == 2


def test_a_flush_that_answers_too_few_results_fails_its_callers_instead_of_leaving_one_waiting() -> None:
    commit: GroupCommit[int, int] = GroupCommit(lambda _items: [])

    with pytest.raises(ValueError, match="shorter"):
        commit.submit(1)


def test_under_load_the_leader_waits_for_more_items_within_its_bound() -> None:
    pauses: list[float] = []
    flush = Gathering()

    def note(_lock: threading.Lock, seconds: float) -> bool:
        pauses.append(seconds)
        return False

    # All batches at one moment: by this machine's clock, a slow one's rate of calls may be too low to wait for more.
    commit: GroupCommit[int, int] = GroupCommit(flush, max_window_seconds=0.005, wait=note, monotonic=lambda: 1.0)

    for _ in range(6):
        submit_behind_a_running_flush(flush, commit, list(range(1, 13)))

    assert pauses, "no leader ever waited for more"
    assert max(pauses) <= 0.005


@pytest.mark.parametrize(
    ("most_at_once", "full_batch"), [(9, 3), (3, 48)], ids=["a batch is large enough", "never were more here"]
)
def test_a_full_batch_does_not_wait_for_the_rest_of_its_window(most_at_once: int, full_batch: int) -> None:
    flush, waits = Gathering(), Waits()
    commit = commit_under_load(flush, waits, most_at_once, full_batch=full_batch)

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(commit.submit, [1, 2, 3]))

    assert results == [10, 20, 30]
    assert [sorted(batch) for batch in flush.batches] == [[1, 2, 3]]
    assert waits.were_worth_it == [True]


def test_who_was_waited_for_in_vain_is_soon_not_waited_for_any_more() -> None:
    flush, waits = Gathering(), Waits(patience_seconds=0.001)
    commit = commit_under_load(flush, waits, most_at_once=20)

    results = [commit.submit(item) for item in range(50)]

    assert results == [item * 10 for item in range(50)]
    assert waits.were_worth_it == [False] * 5, "20 were expected, then 10, 5, 3, 2 and nobody"


def test_one_client_that_is_now_and_then_not_alone_does_not_wait_for_others_afterwards() -> None:
    flush, waits = Gathering(), Waits(patience_seconds=0.001)
    commit = commit_under_load(flush, waits, most_at_once=2)

    for item in range(200):
        commit.submit(item)

    assert waits.were_worth_it == [False]


def test_a_wait_that_is_interrupted_leaves_nobody_behind() -> None:
    flush = Gathering()

    waits = Waits(patience_seconds=0.001)
    interrupts = iter([KeyboardInterrupt()])

    def interrupted_once(lock: threading.Lock, seconds: float) -> bool:
        for interrupt in interrupts:
            raise interrupt
        return waits(lock, seconds)

    commit = commit_under_load(flush, interrupted_once, most_at_once=5)

    with pytest.raises(KeyboardInterrupt):
        commit.submit(1)

    assert commit.submit(2) == 20
    assert flush.batches == [[1], [2]]


def window_after(batches: Sequence[tuple[int, float]], *, silence: float = 0.0) -> float:
    """The window, of 20 ms or in a crowd 40, after batches of so many items, so many seconds apart, and a silence."""
    window, now = BatchWindow(0.02, 0.04), 0.0
    for size, pause in batches:
        now += pause
        window.note(size, now)
    return window.seconds(now + silence)


def test_the_window_grows_with_the_rate_of_arrivals_up_to_its_bounds() -> None:
    rates = [10, 50, 100, 200, 400, 800, 2000, 100_000]

    windows = [window_after([(1, 1 / rate)] * 100) for rate in rates]

    assert windows == sorted(windows)
    assert windows[:2] == [0, 0], "calls that come now and then were taxed"
    assert 0 < windows[2] < windows[3] < windows[4] == pytest.approx(0.02 + 0.02 * 0.3, rel=0.01)
    assert windows[-2:] == pytest.approx([0.04, 0.04])


def test_a_rate_is_the_same_rate_however_it_is_parted() -> None:
    singles, tens = window_after([(1, 0.004)] * 200), window_after([(10, 0.04)] * 200)

    assert singles == pytest.approx(tens)


def test_many_at_once_now_and_then_are_no_high_rate() -> None:
    assert window_after([(20, 1.0)] * 20) == 0
    assert window_after([(3, 3600.0)] * 20) == 0


def test_a_burst_after_a_quiet_hour_is_noticed_at_once_and_so_is_the_quiet() -> None:
    quiet, burst = [(1, 600.0)] * 20, [(1, 0.002)] * 30

    assert window_after(quiet) == 0
    assert window_after([*quiet, *burst]) > 0.015
    assert window_after([*burst * 10, (1, 3600.0)]) == 0
    assert window_after(burst * 10, silence=3600) == 0


def test_many_threads_get_each_their_own_result_and_flushes_never_overlap() -> None:
    flush = Gathering()
    commit: GroupCommit[int, int] = GroupCommit(flush, max_batch=7, max_window_seconds=0.001)

    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(commit.submit, range(2000)))

    assert results == [item * 10 for item in range(2000)]
    assert sorted(item for batch in flush.batches for item in batch) == list(range(2000))
    assert flush.overlaps == 0


class Results:
    """What callers that did not wait were told, in the order in which they were."""

    def __init__(self, count: int) -> None:
        self.found: dict[int, object] = {}
        self._missing = threading.Semaphore(0)
        self._count = count

    def take(self, item: int) -> Callable[[object], None]:
        def on_done(result: object) -> None:
            self.found[item] = result
            self._missing.release()

        return on_done

    def wait(self) -> dict[int, object]:
        for _ in range(self._count):
            assert self._missing.acquire(timeout=10)
        return self.found


def test_who_does_not_wait_is_told_in_the_thread_that_has_flushed() -> None:
    flush = Gathering()
    flush.may_run.clear()
    commit: GroupCommit[int, int] = GroupCommit(flush)
    results = Results(2)
    threads: list[int] = []

    def take(result: object) -> None:
        threads.append(threading.get_ident())
        results.take(2)(result)

    # The flush is held up, and nobody here waits for it.
    commit.enqueue(1, results.take(1))
    commit.enqueue(2, take)
    flush.may_run.set()

    assert results.wait() == {1: 10, 2: 20}
    assert threads != [threading.get_ident()]


def test_who_waits_and_who_does_not_share_batches_and_lead_for_each_other() -> None:
    flush = Gathering()
    commit: GroupCommit[int, int] = GroupCommit(flush, max_batch=3)
    results = Results(30)

    def both(number: int) -> int:
        commit.enqueue(number, results.take(number))
        return commit.submit(number + 100)

    with ThreadPoolExecutor(6) as pool:
        waited = list(pool.map(both, range(30)))

    assert waited == [10 * (number + 100) for number in range(30)]
    assert results.wait() == {number: 10 * number for number in range(30)}
    assert flush.overlaps == 0
    assert sorted(item for batch in flush.batches for item in batch) == [*range(30), *range(100, 130)]


def test_who_does_not_wait_gets_his_own_error_and_one_that_all_share() -> None:
    results = Results(1)
    odd: GroupCommit[int, int] = GroupCommit(Gathering())
    odd.enqueue(-1, results.take(-1))
    broken: GroupCommit[int, int] = GroupCommit(lambda _items: [])
    all_of_them = Results(1)
    broken.enqueue(1, all_of_them.take(1))

    assert isinstance(results.wait()[-1], ValueError)
    assert isinstance(all_of_them.wait()[1], ValueError)


def test_who_can_not_take_his_result_costs_nobody_else_theirs() -> None:
    flush = Gathering()
    flush.may_run.clear()
    commit: GroupCommit[int, int] = GroupCommit(flush)
    results = Results(2)

    def refuse(_result: object) -> None:
        raise RuntimeError("the loop is closed")

    commit.enqueue(1, refuse)
    commit.enqueue(2, results.take(2))
    flush.may_run.set()
    commit.enqueue(3, results.take(3))

    assert results.wait() == {2: 20, 3: 30}


def test_an_interrupted_flush_ends_no_thread_that_others_need() -> None:
    class Interrupt(BaseException):
        pass

    def flush(items: Sequence[int]) -> list[int]:
        if 1 in items:
            raise Interrupt
        return [item * 10 for item in items]

    commit: GroupCommit[int, int] = GroupCommit(flush)
    first, second = Results(1), Results(1)

    commit.enqueue(1, first.take(1))
    told = first.wait()[1]
    commit.enqueue(2, second.take(2))

    assert isinstance(told, Interrupt)
    assert second.wait() == {2: 20}
