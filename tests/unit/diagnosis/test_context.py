"""What checks share."""

from __future__ import annotations

import threading

import pytest

from wavecom.diagnosis.context import side_by_side


def test_all_are_asked_at_once_and_answer_in_their_order() -> None:
    # Lets nobody go before three are there.
    all_there = threading.Barrier(3)

    def ask(number: int) -> int:
        all_there.wait(20)
        return number * 10

    assert list(side_by_side(ask, [1, 2, 3])) == [10, 20, 30]


def test_an_error_is_raised_where_the_answer_would_have_come() -> None:
    answers = side_by_side(lambda number: 10 // number, [5, 0])

    assert next(answers) == 2
    with pytest.raises(ZeroDivisionError):
        next(answers)
