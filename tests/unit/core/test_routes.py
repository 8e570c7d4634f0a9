from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavecom.core.routes import Alternative, Route, RouteStep

names = st.sampled_from(["a", "b", "c", "d", "e"])
alternatives = st.builds(Alternative, names, st.one_of(st.just(0.0), st.floats(0.01, 100)))
routes = st.builds(Route, st.lists(st.builds(RouteStep, st.lists(alternatives, max_size=4).map(tuple))).map(tuple))
draws = st.floats(0, 1, exclude_max=True)


@given(routes, draws, st.one_of(st.none(), names))
def test_every_provider_of_a_route_is_tried_once(route: Route, draw: float, prefer: str | None) -> None:
    order = route.order(draw, prefer)

    assert sorted(order) == sorted(route.providers)


@given(routes, draws, names)
def test_the_preferred_provider_comes_first_where_it_is_on_the_route(route: Route, draw: float, prefer: str) -> None:
    order = route.order(draw, prefer)

    assert prefer not in route.providers or order[0] == prefer


@given(draws)
def test_a_later_step_is_tried_after_every_member_of_an_earlier_one(draw: float) -> None:
    route = Route((RouteStep((Alternative("a", 3), Alternative("b", 1))), RouteStep((Alternative("c", 100),))))

    order = route.order(draw)

    assert set(order[:2]) == {"a", "b"}
    assert order[2] == "c"


def test_jobs_are_shared_by_weight_and_so_are_the_fallbacks() -> None:
    route = Route((RouteStep((Alternative("a", 70), Alternative("b", 20), Alternative("c", 10))),))
    draws = [(number + 0.5) / 9000 for number in range(9000)]

    orders = Counter(route.order(draw) for draw in draws)

    first = Counter[str]()
    for order, count in orders.items():
        first[order[0]] += count
    assert first == {"a": 6300, "b": 1800, "c": 900}
    assert orders["a", "b", "c"] == pytest.approx(6300 * 20 / 30, abs=2)


@given(draws)
def test_a_member_without_weight_is_only_a_fallback(draw: float) -> None:
    route = Route((RouteStep((Alternative("spare", 0), Alternative("main", 1))),))

    order = route.order(draw)

    assert order == ("main", "spare")


def test_providers_without_weights_are_tried_as_declared() -> None:
    route = Route.of("mail", "gateway")

    order = route.order(0.99)

    assert order == ("mail", "gateway")


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Alternative("a", -1)
