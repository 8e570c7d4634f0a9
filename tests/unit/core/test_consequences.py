"""Where a provider's calls go when it gets fewer of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.consequences import Consequence, FleetCalls, consequences
from wavecom.core.lanes import Channel
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep


def fleet(
    *steps: dict[str, float],
    rates: dict[str, float] | None = None,
    limits: dict[str, float | None] | None = None,
    closed: frozenset[str] = frozenset(),
) -> FleetCalls:
    route = Route(tuple(RouteStep(tuple(Alternative(name, weight) for name, weight in step.items())) for step in steps))
    rates = {"a": 1240.0, "b": 100.0, "c": 50.0} if rates is None else rates
    return FleetCalls({Channel.SMS: ChannelRoutes((route,))}, rates, limits or {}, closed)


def moved(found: list[Consequence]) -> dict[str, float]:
    [only] = found
    return {move.provider: round(move.added, 6) for move in only.moves}


def test_a_paused_providers_calls_go_to_the_others_of_its_step_by_weight() -> None:
    [found] = consequences(fleet({"a": 2, "b": 3, "c": 1}, limits={"b": 300}), "a", None)

    assert moved([found]) == {"b": 930, "c": 310}
    assert [(move.provider, move.rate_after, move.is_over_limit) for move in found.moves] == [
        ("b", 1030, True),
        ("c", 360, False),
    ]


def test_without_others_in_its_step_they_go_to_the_next_one() -> None:
    assert moved(consequences(fleet({"a": 1}, {"b": 1}, {"c": 1}), "a", None)) == {"b": 1240}


def test_who_is_closed_gets_none_of_them() -> None:
    closed = frozenset({"b"})

    assert moved(consequences(fleet({"a": 1, "b": 1}, {"c": 1}, closed=closed), "a", None)) == {"c": 1240}


def test_without_anybody_they_wait() -> None:
    [found] = consequences(fleet({"a": 1}), "a", None)

    assert (found.waits, found.moved, found.moves) == (True, 1240, ())


def test_a_weight_of_nothing_drains_where_there_are_others() -> None:
    assert moved(consequences(fleet({"a": 2, "b": 1}), "a", 0)) == {"b": 1240}


def test_a_lower_weight_moves_a_part_and_a_higher_one_brings_some_back() -> None:
    shared = fleet({"a": 1, "b": 1}, rates={"a": 500.0, "b": 500.0})

    assert moved(consequences(shared, "a", 0.25)) == {"b": 300}
    assert moved(consequences(shared, "a", 4)) == {"b": -300}


def test_a_provider_without_calls_moves_nothing() -> None:
    [found] = consequences(fleet({"a": 1}, {"b": 1}, rates={}), "a", None)

    assert (found.moved, found.waits) == (0, False)


def test_who_stands_on_no_route_has_no_consequence() -> None:
    assert consequences(fleet({"b": 1}), "a", None) == []


@given(
    st.dictionaries(st.sampled_from("bcd"), st.floats(0, 100), max_size=3),
    st.floats(0, 10_000),
    st.one_of(st.none(), st.floats(0, 100)),
)
def test_whatever_is_moved_arrives_or_waits(others: dict[str, float], rate: float, weight: float | None) -> None:
    for found in consequences(fleet({"a": 1, **others}, rates={"a": rate}), "a", weight):
        assert sum(move.added for move in found.moves) == pytest.approx(0 if not found.moves else found.moved, abs=1e-6)
