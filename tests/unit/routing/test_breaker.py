from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wavecom.core.job import Answer, Outcome
from wavecom.routing.breaker import (
    THROTTLED_CAP_SECONDS,
    THROTTLED_SECONDS,
    Breaker,
    BreakerSettings,
    BreakerState,
    Tally,
    is_failure,
    throttled_seconds,
)

SETTINGS = BreakerSettings()


def a_tally(*, good: int = 0, bad: int = 0, slow: int = 0) -> Tally:
    """``good`` calls, then ``bad`` ones; ``slow`` of all were slow."""
    return Tally(calls=good + bad, failures=bad, slow=slow, failures_in_a_row=bad)


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
        breaker.report(Tally(calls=2, failures=1, failures_in_a_row=0), 0, second)

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
    changed = breaker.report(Tally(calls=2, failures=1), 0, 25)

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


def test_one_bad_probe_opens_it_again_for_longer_up_to_the_cap() -> None:
    breaker = an_open_breaker()
    pauses = [breaker.open_until]

    for _ in range(6):
        now = breaker.open_until
        breaker.wake(now)
        breaker.lease_probe("probe", now)
        breaker.return_probe("probe", False, now)
        pauses.append(breaker.open_until - now)

    assert pauses == [5, 10, 20, 40, 60, 60, 60]


def test_who_fails_soon_after_closing_is_shut_out_for_longer_and_who_was_good_for_long_is_not() -> None:
    breaker, now = a_half_open_breaker()
    for number in range(SETTINGS.successes_to_close):
        breaker.lease_probe(str(number), now)
        breaker.return_probe(str(number), True, now)
    late = Breaker(SETTINGS, _openings=7, _closed_at=now)

    breaker.report(a_tally(bad=10), breaker.epoch, now + 1)
    late.report(a_tally(bad=10), 0, now + 61)

    assert breaker.open_until - (now + 1) == 10
    assert late.open_until - (now + 61) == 5


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
    def tally_of(calls: list[tuple[bool, bool]]) -> Tally:
        tally = Tally()
        for failed, slow in calls:
            tally.count(is_failure=failed, is_slow=slow)
        return tally

    total = Tally()
    for part in parts:
        total.add(tally_of(part))

    assert total == tally_of([call for part in parts for call in part])


class BreakerLife(RuleBasedStateMachine):
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
        tally = Tally()
        for failed, slow in calls:
            tally.count(is_failure=failed, is_slow=slow)
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
        assert len(self.breaker._probes) <= SETTINGS.max_probes

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


TestBreakerLife = BreakerLife.TestCase


@pytest.mark.parametrize(
    ("outcome", "code", "expected"),
    [
        (Outcome.ACCEPTED, "http_202", False),
        (Outcome.REJECTED, "http_400", False),
        (Outcome.UNAVAILABLE, "http_503", True),
        (Outcome.UNAVAILABLE, "connection_refused", True),
        (Outcome.UNAVAILABLE, "http_429", False),
        (Outcome.UNKNOWN, "timeout", True),
    ],
)
def test_what_speaks_against_a_provider(outcome: Outcome, code: str, expected: bool) -> None:
    assert is_failure(Answer(outcome, code)) is expected


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (Answer(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=7), 7),
        (Answer(Outcome.UNAVAILABLE, "http_503", retry_after_seconds=7), 7),
        (Answer(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=1e9), THROTTLED_CAP_SECONDS),
        (Answer(Outcome.UNAVAILABLE, "http_429", retry_after_seconds=-1), 0),
        (Answer(Outcome.UNAVAILABLE, "http_429"), THROTTLED_SECONDS),
        (Answer(Outcome.UNAVAILABLE, "http_503"), 0),
        (Answer(Outcome.ACCEPTED, "http_202", retry_after_seconds=7), 0),
    ],
)
def test_how_long_a_tap_stays_closed(answer: Answer, seconds: float) -> None:
    assert throttled_seconds(answer) == seconds
