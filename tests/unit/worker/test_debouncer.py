from __future__ import annotations

from tests.fakes import FakeTimer
from wavecom.worker.debouncer import Debouncer


class Caller:
    """Notes when the debouncer calls and sets it again, as long as there is something to wait for."""

    def __init__(self, timer: FakeTimer, every: float | None = None) -> None:
        self.calls: list[float] = []
        self.debouncer = Debouncer(timer, self._on_call, timer.monotonic)
        self._timer = timer
        self._every = every

    def _on_call(self) -> None:
        self.calls.append(round(self._timer.now - 100.0, 3))
        if self._every is not None:
            self.debouncer.schedule(self._every)


def test_a_debouncer_calls_once_at_the_earliest_of_its_times() -> None:
    timer = FakeTimer()
    caller = Caller(timer)

    for seconds in (1.0, 0.2, 0.5):
        caller.debouncer.schedule(seconds)
    timer.pass_time(5.0)

    assert caller.calls == [0.2]


def test_a_debouncer_that_is_set_early_again_and_again_does_not_multiply() -> None:
    timer = FakeTimer()
    caller = Caller(timer, every=0.05)

    caller.debouncer.schedule(0.05)
    for _ in range(100):
        timer.pass_time(0.01)
        caller.debouncer.schedule(0.005)
    caller.calls.clear()
    timer.pass_time(1.0)

    assert len(caller.calls) <= 21
    assert len(timer.pending) == 1


def test_a_debouncer_that_was_turned_off_is_silent_until_it_is_set_again() -> None:
    timer = FakeTimer()
    caller = Caller(timer)

    caller.debouncer.schedule(0.2)
    caller.debouncer.cancel()
    timer.pass_time(1.0)
    caller.debouncer.schedule(0.2)
    timer.pass_time(1.0)

    assert caller.calls == [1.2]
