from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavecom.core.breaker_settings import BreakerSettings
from wavecom.routing.breaker import (
    PROBES_TO_REOPEN,
    Breaker,
    BreakerState,
    ResultWindow,
)
from wavecom.routing.evidence import EVERYBODY, CallCounts, HealthSignal

SETTINGS = BreakerSettings()


def a_tally(*, good: int = 0, bad: int = 0, slow: int = 0) -> CallCounts:
    """``good`` calls, then ``bad`` ones; ``slow`` of all were slow."""
    return CallCounts(calls=good + bad, failures=bad, slow=slow, failures_in_a_row=bad, successes=good)


def an_open_breaker(now: float = 0) -> Breaker:
    breaker = Breaker(SETTINGS)
    breaker.report(a_tally(bad=10), 0, now)
    assert breaker.state is BreakerState.OPEN
    return breaker


def a_half_open_breaker() -> tuple[Breaker, float]:
    breaker = an_open_breaker()
    now = breaker.open_until
    breaker.wake(now)
    assert breaker.state is BreakerState.HALF_OPEN
    return breaker, now


def test_few_failures_among_few_calls_do_not_open_it() -> None:
    breaker = Breaker(SETTINGS)

    changed = breaker.report(a_tally(bad=9), 0, 0)

    assert changed is None


def test_a_rate_of_failures_over_the_window_opens_it() -> None:
    breaker = Breaker(SETTINGS)

    for second in range(8):
        breaker.report(CallCounts(calls=2, failures=1, failures_in_a_row=0, successes=1), 0, second)

    assert breaker.state is BreakerState.OPEN
    assert breaker.open_until == 4 + SETTINGS.open_seconds


def test_failures_in_a_row_open_it_however_good_the_window_was() -> None:
    breaker = Breaker(SETTINGS)
    breaker.report(a_tally(good=100_000), 0, 0)

    changed = [breaker.report(a_tally(bad=5), 0, 1), breaker.report(a_tally(bad=5), 0, 2)]

    assert changed == [None, BreakerState.OPEN]


def test_slow_answers_open_it_though_they_are_good() -> None:
    breaker = Breaker(SETTINGS)

    changed = breaker.report(a_tally(good=10, slow=8), 0, 0)

    assert changed is BreakerState.OPEN


def test_what_is_older_than_the_window_is_forgotten() -> None:
    breaker = Breaker(SETTINGS)
    breaker.report(a_tally(bad=9), 0, 0)

    breaker.report(a_tally(good=1), 0, 25)
    changed = breaker.report(CallCounts(calls=2, failures=1, successes=1), 0, 25)

    assert changed is None
    assert breaker.rates(25) == (3, 1, 0)


def test_the_window_slides() -> None:
    breaker = Breaker(SETTINGS)
    breaker.report(a_tally(good=8), 0, 0)

    rates = [breaker.rates(now)[0] for now in (0, 10, 15, 19, 20)]

    assert rates == pytest.approx([8, 8, 4, 0.8, 0])


def test_it_stays_open_for_its_time_and_then_lets_probes_out() -> None:
    breaker = an_open_breaker(now=100)

    changed = [breaker.wake(100 + SETTINGS.open_seconds - 0.001), breaker.wake(100 + SETTINGS.open_seconds)]

    assert changed == [None, BreakerState.HALF_OPEN]


def test_only_so_many_probes_are_out_at_once() -> None:
    breaker, now = a_half_open_breaker()

    out = 0
    while breaker.has_probe(now):
        breaker.lease_probe(str(out), now)
        out += 1

    assert out == SETTINGS.max_probes


def test_a_probe_that_never_comes_back_makes_room_after_its_lease() -> None:
    breaker, now = a_half_open_breaker()
    for number in range(SETTINGS.max_probes):
        breaker.lease_probe(str(number), now)

    is_free = [breaker.has_probe(now + SETTINGS.probe_lease_seconds + early) for early in (-0.001, 0)]

    assert is_free == [False, True]


def test_enough_good_probes_close_it() -> None:
    breaker, now = a_half_open_breaker()

    changed = []
    for number in range(SETTINGS.successes_to_close):
        breaker.lease_probe(str(number), now)
        changed.append(breaker.return_probe(str(number), True, now))

    assert changed == [None, None, BreakerState.CLOSED]


def test_bad_probes_open_it_again_for_longer_up_to_the_cap() -> None:
    breaker = an_open_breaker()
    pauses = [breaker.open_until]

    for _ in range(6):
        now = breaker.open_until
        breaker.wake(now)
        for name in range(PROBES_TO_REOPEN):
            breaker.lease_probe(str(name), now)
            breaker.return_probe(str(name), False, now)
        pauses.append(breaker.open_until - now)

    assert pauses == [5, 10, 20, 40, 60, 60, 60]


@pytest.mark.parametrize(
    ("closed_for", "pause"), [(0, 60), (14, 60), (15, 40), (29, 40), (30, 20), (45, 10), (60, 5), (3600, 5)]
)
def test_each_quarter_of_a_good_minute_takes_one_doubling_back(closed_for: float, pause: float) -> None:
    breaker = Breaker(SETTINGS, _openings=4, _closed_at=1000)

    breaker.report(a_tally(bad=10), 0, 1000 + closed_for)

    assert breaker.open_until == 1000 + closed_for + pause


def test_a_breaker_that_opens_again_and_again_remembers_no_more_than_its_longest_pause() -> None:
    breaker = an_open_breaker()
    now = breaker.open_until
    for _ in range(50):
        now = breaker.open_until
        breaker.wake(now)
        breaker.lease_probe("probe", now)
        breaker.return_probe("probe", False, now, recipient=EVERYBODY)
    now = breaker.open_until
    breaker.wake(now)
    for number in range(SETTINGS.successes_to_close):
        breaker.lease_probe(str(number), now)
        breaker.return_probe(str(number), True, now)

    breaker.report(a_tally(bad=10), breaker.epoch, now + 60)

    assert breaker.open_until == now + 60 + SETTINGS.open_seconds


@pytest.mark.parametrize(
    ("recipients", "expected"),
    [
        (["a", "a", "a"], BreakerState.HALF_OPEN),
        (["a", "b"], BreakerState.OPEN),
        (["", ""], BreakerState.OPEN),
        ([EVERYBODY], BreakerState.OPEN),
    ],
)
def test_one_recipients_probes_do_not_open_it_again(recipients: list[str], expected: BreakerState) -> None:
    breaker, now = a_half_open_breaker()

    for number, recipient in enumerate(recipients):
        breaker.lease_probe(str(number), now)
        breaker.return_probe(str(number), False, now, recipient=recipient, code="http_503")

    assert breaker.state is expected


@pytest.mark.parametrize(
    ("tally", "reason"),
    [
        (
            CallCounts(calls=10, failures=10, failures_in_a_row=10, code="http_503"),
            "10 failures in a row, last http_503",
        ),
        (CallCounts(calls=10, failures=6, successes=4, code="timeout"), "6 of 10 calls failed, last timeout"),
        (CallCounts(calls=10, slow=9, successes=10), "9 of 10 calls were slow"),
    ],
)
def test_it_says_why_it_opened(tally: CallCounts, reason: str) -> None:
    breaker = Breaker(SETTINGS)

    breaker.report(tally, 0, 5)

    assert (breaker.reason, breaker.changed_at) == (reason, 5)


def test_a_probe_that_was_not_used_says_nothing() -> None:
    breaker, now = a_half_open_breaker()
    breaker.lease_probe("probe", now)

    changed = breaker.return_probe("probe", None, now)

    assert changed is None
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.has_probe(now)


def test_calls_let_through_before_it_opened_say_nothing_about_the_time_after() -> None:
    breaker, now = a_half_open_breaker()
    for number in range(SETTINGS.successes_to_close):
        breaker.lease_probe(str(number), now)
        breaker.return_probe(str(number), True, now)

    changed = breaker.report(a_tally(bad=100), 0, now)

    assert changed is None
    assert breaker.rates(now) == (0, 0, 0)


def test_a_state_taken_over_is_kept_for_what_is_left_of_its_time() -> None:
    breaker = Breaker(SETTINGS)

    breaker.take_over(BreakerState.OPEN, 3, 100)

    assert breaker.state is BreakerState.OPEN
    assert breaker.wake(103) is BreakerState.HALF_OPEN


tallies = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30)


@given(st.lists(tallies, max_size=6))
def test_tallies_add_up_to_the_tally_of_all_calls(parts: list[list[tuple[bool, bool]]]) -> None:
    def tally_of(calls: list[tuple[bool, bool]]) -> CallCounts:
        tally = CallCounts()
        for failed, slow in calls:
            tally.count(HealthSignal.FAILS if failed else HealthSignal.WORKS, is_slow=slow)
        return tally

    total = ResultWindow()
    for part in parts:
        total.add(tally_of(part))

    whole = tally_of([call for part in parts for call in part])
    assert total == ResultWindow(whole.calls, whole.failures, whole.slow, whole.failures_in_a_row)


class BreakerLifecycle(RuleBasedStateMachine):
    """Whatever happens in whatever order: bounded probes, bounded pauses, and always a way back to closed."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(SETTINGS)
        self.now = 0.0
        self.out: list[str] = []
        self.count = 0

    @rule(seconds=st.floats(0, 120))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.breaker.wake(self.now)

    @rule(calls=tallies, lag=st.integers(0, 1))
    def calls_end(self, calls: list[tuple[bool, bool]], lag: int) -> None:
        tally = CallCounts()
        for failed, slow in calls:
            tally.count(HealthSignal.FAILS if failed else HealthSignal.WORKS, is_slow=slow)
        self.breaker.report(tally, self.breaker.epoch - lag, self.now)

    @precondition(lambda self: self.breaker.state is BreakerState.HALF_OPEN)
    @rule()
    def a_probe_leaves(self) -> None:
        if self.breaker.has_probe(self.now):
            self.count += 1
            self.out.append(str(self.count))
            self.breaker.lease_probe(self.out[-1], self.now)

    @precondition(lambda self: self.out)
    @rule(is_success=st.sampled_from([True, False, None]))
    def a_probe_returns(self, is_success: bool | None) -> None:
        self.breaker.return_probe(self.out.pop(0), is_success, self.now)

    @invariant()
    def probes_are_bounded(self) -> None:
        assert self.breaker.probes_out <= SETTINGS.max_probes

    @invariant()
    def it_is_never_open_for_longer_than_the_cap(self) -> None:
        assert self.breaker.open_until - self.now <= SETTINGS.open_cap_seconds

    def teardown(self) -> None:
        self.now += SETTINGS.open_cap_seconds + SETTINGS.probe_lease_seconds
        self.breaker.wake(self.now)
        while self.breaker.state is BreakerState.HALF_OPEN:
            self.a_probe_leaves()
            self.breaker.return_probe(self.out.pop(), True, self.now)
        assert self.breaker.state is BreakerState.CLOSED


TestBreakerLife = BreakerLifecycle.TestCase
