from __future__ import annotations

from decimal import Decimal

import pytest

from wavecom.core.lanes import Channel
from wavecom.core.prices import PriceRange, SegmentPrices, written
from wavecom.core.route_conditions import Conditions
from wavecom.core.routes import ChannelRoutes, Route

CHEAP = PriceRange("EUR", Decimal("0.02"), Decimal("0.05"))
DEAR = PriceRange("EUR", Decimal("0.04"), Decimal("0.11"))
DOLLARS = PriceRange("USD", Decimal("0.0079"), Decimal("0.0079"))


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.0079 USD", DOLLARS),
        ("0.02 to 0.05 EUR", CHEAP),
        ("0 to 12 JPY", PriceRange("JPY", Decimal(0), Decimal(12))),
    ],
)
def test_a_price_is_read_as_it_is_written(text: str, price: PriceRange) -> None:
    assert PriceRange.parse(text) == price


@pytest.mark.parametrize("text", ["", "0.05", "EUR 0.05", "0,05 EUR", "-1 EUR", "0.05 eur", "0.1 - 0.2 EUR", "1e3 EUR"])
def test_what_is_no_price_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a price such as"):
        PriceRange.parse(text)


def test_the_lower_price_comes_first() -> None:
    with pytest.raises(ValueError, match="lower"):
        PriceRange.parse("0.05 to 0.02 EUR")


def prices(*routes: Route) -> SegmentPrices:
    by_provider = {"cheap": CHEAP, "dear": DEAR, "dollars": DOLLARS}
    return SegmentPrices({Channel.SMS: ChannelRoutes(routes)}, by_provider)


def test_the_range_is_that_of_all_providers_of_the_route_by_currency() -> None:
    found = prices(Route.of("dear", "dollars", "cheap", "without a price")).of("acme")

    assert found == [PriceRange("EUR", Decimal("0.02"), Decimal("0.11")), DOLLARS]
    assert prices(Route.of("without a price")).of("acme") == []
    assert SegmentPrices({}, {"cheap": CHEAP}).of("acme") == []


def test_routes_of_other_clients_and_of_tests_count_for_nothing() -> None:
    asked = prices(
        Route(Route.of("dear").steps, conditions=Conditions(clients=frozenset({"globex"}))),
        Route(Route.of("dollars").steps, conditions=Conditions(is_test=True)),
        Route.of("cheap"),
    )

    assert asked.of("acme") == asked.of("acme:test") == [CHEAP]
    assert asked.of("globex") == [PriceRange("EUR", Decimal("0.02"), Decimal("0.11"))]


def test_a_message_costs_its_segments_and_no_digit_is_lost() -> None:
    cost = DOLLARS.of_segments(1, 3)

    assert (written(cost.lowest), written(cost.highest)) == ("0.0079", "0.0237")
    assert [written(Decimal(text)) for text in ("0.10", "20", "1.000", "0")] == ["0.1", "20", "1", "0"]
