from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import NOW, later
from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.core.receipt_health import (
    DOWN_EVERY,
    STEPS,
    ReceiptHealth,
    WeightFactor,
    WindowCounts,
    health_by_provider,
    next_factor,
    window_of,
)
from wavecom.core.receipt_thresholds import ReceiptThresholds
from wavecom.core.routes import Alternative, Route, RouteStep

GOOD, FAIR, SLOW, BAD, UNKNOWN = ReceiptHealth
DEFAULT = ReceiptThresholds()
HEALTHS = st.sampled_from(ReceiptHealth)
#: Long enough for every step, down or up.
LONG_ENOUGH = 6 * 60


def window(**counts: float) -> WindowCounts:
    """Messages that should all have a receipt by now."""
    made = ReceiptCounts(**counts)  # type: ignore[arg-type]
    return WindowCounts(made, made)


def factors(healths: Iterable[ReceiptHealth], first: WeightFactor | None = None) -> list[WeightFactor | None]:
    """What holds after each look, one every half minute."""
    found = [first]
    for number, health in enumerate(healths, 1):
        found.append(next_factor(found[-1], health, later(30 * number)))
    return found


def percents(healths: Iterable[ReceiptHealth], first: WeightFactor | None = None) -> list[int]:
    return [100 if each is None else each.percent for each in factors(healths, first)]


def at(percent: int, health: ReceiptHealth = SLOW) -> WeightFactor | None:
    return None if percent == 100 else WeightFactor(percent, health, NOW, NOW)


@pytest.mark.parametrize(
    ("counts", "health"),
    [
        ({"sent": 100, "good": 100}, GOOD),
        ({"sent": 100, "good": 95, "late": 5}, GOOD),
        ({"sent": 100, "good": 95}, GOOD),
        ({"sent": 100, "good": 90, "late": 10}, FAIR),
        ({"sent": 100, "good": 85, "late": 15}, SLOW),
        ({"sent": 100, "good": 85}, SLOW),
        ({"sent": 100, "good": 100, "failed": 20}, FAIR),
        ({"sent": 100, "good": 75, "failed": 25}, BAD),
        ({"sent": 49, "late": 49}, UNKNOWN),
        # Counted twice by a Redis that was slow: nothing is missing then.
        ({"sent": 50, "good": 90}, GOOD),
        # Failures tell before anything can be late.
        ({"sent": 0, "failed": 60}, BAD),
    ],
)
def test_health_is_told_by_what_is_missing_late_or_failed(counts: dict[str, float], health: ReceiptHealth) -> None:
    assert window(**counts).health(DEFAULT) is health


@pytest.mark.parametrize(
    ("changed", "health"),
    [
        ({}, FAIR),
        ({"slow_share": 0.08}, SLOW),
        ({"bad_share": 0.2}, BAD),
        ({"slow_share": 0.3, "bad_share": 0.5}, GOOD),
        ({"least_messages": 101}, UNKNOWN),
    ],
)
def test_what_is_slow_and_bad_is_set(changed: dict[str, Any], health: ReceiptHealth) -> None:
    counts = window(sent=100, good=70, late=10, failed=20)

    assert counts.health(ReceiptThresholds(**changed)) is health


def test_the_window_and_when_a_receipt_is_missed_are_set() -> None:
    counts = {
        CountKey(NOW - timedelta(minutes=age), "a", "DE"): ReceiptCounts(sent=count)
        for age, count in ((2, 1), (4, 2), (9, 4), (11, 8))
    }

    found = window_of(counts, NOW, ReceiptThresholds(slow_after_seconds=60, window_seconds=600))["a", "DE"]

    assert (found.total.sent, found.due.sent) == (1 + 2 + 4, 2 + 4)


def test_a_message_is_missed_when_its_receipt_would_be_late() -> None:
    counts = {
        CountKey(NOW - timedelta(minutes=20), "a", "DE"): ReceiptCounts(sent=1),
        CountKey(NOW - timedelta(minutes=10), "a", "DE"): ReceiptCounts(sent=2, good=1, delay_seconds=4),
        CountKey(NOW - timedelta(minutes=8), "a", "DE"): ReceiptCounts(sent=4, good=1, late=1, delay_seconds=602),
        CountKey(NOW - timedelta(minutes=3), "a", "DE"): ReceiptCounts(sent=8, failed=1),
    }

    found = window_of(counts, NOW, DEFAULT)["a", "DE"]

    assert found.due == ReceiptCounts(sent=6, good=2, late=1, delay_seconds=606)
    assert found.total == ReceiptCounts(sent=14, good=2, late=1, failed=1, delay_seconds=606)
    assert found.mean_delay_seconds == 202


WELL, LATE, SILENT = window(sent=100, good=100), window(sent=100, late=100), window(sent=100)


def test_a_provider_is_judged_by_all_of_its_countries() -> None:
    found = health_by_provider({("a", "DE"): WELL, ("a", "FR"): LATE, ("b", "DE"): WELL, ("b", ""): WELL}, DEFAULT)

    assert found == {"a": SLOW, "b": GOOD}


def test_a_country_that_is_slow_with_every_provider_is_held_against_none() -> None:
    found = health_by_provider({("a", "DE"): WELL, ("a", "FR"): LATE, ("b", "FR"): LATE}, DEFAULT)

    assert found == {"a": GOOD, "b": UNKNOWN}


def test_a_country_that_only_one_provider_serves_is_held_against_it() -> None:
    few = window(sent=3, late=3)

    assert health_by_provider({("a", "FR"): LATE, ("b", "FR"): few}, DEFAULT) == {"a": SLOW, "b": UNKNOWN}


def test_what_has_no_country_is_compared_with_nothing() -> None:
    assert health_by_provider({("a", ""): LATE, ("b", ""): LATE}, DEFAULT) == {"a": SLOW, "b": SLOW}


def test_who_reports_nothing_is_slow_while_others_report_and_unknown_while_nobody_does() -> None:
    assert health_by_provider({("a", "DE"): SILENT, ("b", "DE"): WELL}, DEFAULT) == {"a": SLOW, "b": GOOD}
    assert health_by_provider({("a", "DE"): SILENT, ("b", "FR"): SILENT}, DEFAULT) == {"a": UNKNOWN, "b": UNKNOWN}


def test_the_first_trouble_takes_a_step_at_once_and_the_next_ones_follow_quickly() -> None:
    assert percents([SLOW] * 17) == [100] + [80] * 4 + [60] * 4 + [40] * 4 + [20] * 4 + [10]


def test_weight_comes_back_by_a_step_every_ten_good_minutes() -> None:
    found = percents([GOOD] * 200, at(40))

    assert [found.index(each) for each in (40, 60, 80, 100)] == [0, 20 + 1, 40 + 1, 60 + 1]


def test_no_step_up_is_made_right_after_trouble() -> None:
    long_at_the_floor = [SLOW] * 200

    found = percents([*long_at_the_floor, GOOD, SLOW, GOOD, SLOW], at(10))

    assert set(found) == {10}


def test_where_nobody_can_tell_weight_comes_back_slowly() -> None:
    for health in (FAIR, UNKNOWN):
        found = percents([health] * 130, at(60))
        assert [found.index(each) for each in (80, 100)] == [60 + 1, 120 + 1]


def test_since_when_there_is_trouble_is_told() -> None:
    down = next_factor(None, SLOW, NOW)
    assert down is not None
    worse = next_factor(down, BAD, later(30))
    better = next_factor(worse, GOOD, later(60))

    assert worse is not None
    assert better is not None
    assert (down.reason, worse.since, better.since) == (f"receipts slow since {NOW:%H:%M} UTC", NOW, later(60))


@given(HEALTHS, st.sampled_from(STEPS), HEALTHS)
def test_at_a_constant_input_weight_moves_one_way_and_comes_to_rest(
    health: ReceiptHealth, percent: int, before: ReceiptHealth
) -> None:
    found = percents([health] * LONG_ENOUGH, at(percent, before))

    assert found == sorted(found, reverse=health.is_trouble)
    assert found[-1] == (STEPS[-1] if health.is_trouble else 100)


@given(st.lists(st.tuples(HEALTHS, st.integers(1, 40)), max_size=12))
def test_whatever_comes_weight_moves_by_single_steps_never_below_the_floor_and_returns(
    story: list[tuple[ReceiptHealth, int]],
) -> None:
    healths = [health for health, looks in story for _ in range(looks)]

    held = factors([*healths, *[GOOD] * LONG_ENOUGH])
    found = [STEPS.index(100 if each is None else each.percent) for each in held]

    assert all(abs(after - before) <= 1 for before, after in pairwise(found))
    assert held[-1] is None
    steps = [number for number, (one, two) in enumerate(pairwise(found)) if one != two]
    assert all(two - one >= DOWN_EVERY / timedelta(seconds=30) for one, two in pairwise(steps))


@given(
    st.lists(st.tuples(st.integers(0, 1000), st.sampled_from(STEPS)), min_size=1, max_size=6),
    st.floats(0, 1, exclude_max=True),
)
def test_no_factor_takes_a_provider_out_of_its_route(shares: list[tuple[int, int]], draw: float) -> None:
    step = RouteStep(tuple(Alternative(str(number), weight) for number, (weight, _) in enumerate(shares)))
    left = {str(number): percent / 100 for number, (_, percent) in enumerate(shares)}

    changed = Route((step,)).with_weights({}, left)

    assert sorted(changed.order(draw)) == sorted(left)
    [alternatives] = [each.alternatives for each in changed.steps]
    assert [each.weight > 0 for each in alternatives] == [weight > 0 for weight, _ in shares]
