from __future__ import annotations

from wavecom.label_values import LabelValues


def test_values_beyond_the_limit_have_one_name_and_those_before_keep_theirs() -> None:
    values = LabelValues(2)

    found = [values.of(value) for value in ("a", "b", "c", "a", "d", "b")]

    assert found == ["a", "b", "other", "a", "other", "b"]
