"""What a drill says of fallbacks: nothing of those that kept their promises, and each promise that one broke."""

from __future__ import annotations

import pytest

from tests.faults.fallbacks import FallbackEvidence, reconcile_fallbacks

GOOD = [
    FallbackEvidence("delivered", [1], {1}),
    FallbackEvidence("delivered", [1, 2], {2}),
    FallbackEvidence("unconfirmed", [1], {1}),
    FallbackEvidence("unconfirmed", [1], ()),
    FallbackEvidence("failed", [2, 1], ()),
    FallbackEvidence("expired", [1], ()),
]


def test_fallbacks_that_end_with_one_message_at_most_break_nothing() -> None:
    assert reconcile_fallbacks(GOOD, len(GOOD)) == []
    assert reconcile_fallbacks([], 0) == []


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (FallbackEvidence("waiting", [1], {1}), "is waiting at the end"),
        (FallbackEvidence("delivered", [1, 2, 2], {2}), "have the jobs"),
        (FallbackEvidence("delivered", [1, 2], {1, 2}), "under stop"),
        (FallbackEvidence("delivered", [1], ()), "nothing was sent"),
        (FallbackEvidence("expired", [1], {1}), "something was sent"),
    ],
)
def test_each_broken_promise_is_told(broken: FallbackEvidence, said: str) -> None:
    [violation] = reconcile_fallbacks([broken], 1)

    assert said in violation


def test_one_that_is_gone_is_told() -> None:
    assert reconcile_fallbacks(GOOD[:1], 2) == ["1 fallbacks are stored, and 2 were accepted"]
