"""Percentiles of counted buckets."""

from __future__ import annotations

from math import inf

import pytest

from wavecom.core.measurements import Buckets, added, percentiles


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({}, (0, None, None, None)),
        ({0.1: 0, inf: 0}, (0, None, None, None)),
        # Spread evenly over a bucket.
        ({1.0: 100}, (100, 0.5, 0.95, 0.99)),
        ({1.0: 50, 2.0: 50}, (100, 1.0, 1.9, 1.98)),
        # An empty bucket lies between.
        ({1.0: 50, 2.0: 0, 3.0: 50}, (100, 1.0, 2.9, 2.98)),
        # Nobody knows how long, but longer than that.
        ({1.0: 10, inf: 90}, (100, 1.0, 1.0, 1.0)),
    ],
)
def test_percentiles_are_those_that_prometheus_reckons(
    buckets: Buckets, expected: tuple[int, float | None, float | None, float | None]
) -> None:
    found = percentiles(buckets)

    assert found.count == expected[0]
    assert (found.p50, found.p95, found.p99) == pytest.approx(expected[1:])


def test_buckets_add_up() -> None:
    assert added([{1.0: 1, inf: 2}, {1.0: 3, 2.0: 4}]) == {1.0: 4, 2.0: 4, inf: 2}
