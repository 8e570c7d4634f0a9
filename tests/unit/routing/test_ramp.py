from __future__ import annotations

import itertools

from wavecom.routing.ramp import AGAIN_SECONDS, SUCCESSES_TO_END, Ramp


def let_in(ramp: Ramp, now: float, most: int = 1000) -> int:
    return sum(1 for _ in itertools.takewhile(lambda _: ramp.take(now), range(most)))


def test_before_a_pause_there_is_none() -> None:
    assert not Ramp(6, 60).is_active(1000)


def test_it_doubles_with_each_round_of_good_answers_and_ends() -> None:
    ramp = Ramp(6, 60)
    ramp.begin(1000)

    rounds = []
    while ramp.is_active(1000):
        rounds.append(let_in(ramp, 1000))
        ramp.record(rounds[-1], 1000)

    assert rounds == [6, 12, 24, 48, 96, 192]
    assert sum(rounds) >= SUCCESSES_TO_END


def test_without_good_answers_it_stays_at_a_trickle() -> None:
    ramp = Ramp(6, 60)
    ramp.begin(1000)
    let_in(ramp, 1000)

    assert let_in(ramp, 1000 + AGAIN_SECONDS / 6) == 1
    assert let_in(ramp, 1000 + AGAIN_SECONDS) == 5


def test_it_is_over_after_its_time_whatever_was_answered() -> None:
    ramp = Ramp(6, 60)
    ramp.begin(1000)

    assert ramp.is_active(1059.9)
    assert not ramp.is_active(1060)


def test_it_may_begin_later_and_counts_nothing_before() -> None:
    ramp = Ramp(6, 60)
    ramp.begin(1010)
    ramp.record(SUCCESSES_TO_END, 1000)

    assert not ramp.is_active(1000)
    assert ramp.is_active(1010)


def test_no_calls_mean_no_slow_start() -> None:
    ramp = Ramp(0, 60)
    ramp.begin(1000)

    assert not ramp.is_active(1000)
