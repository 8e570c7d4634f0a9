from __future__ import annotations

from typing import Any

import pytest

from tests.factories import make_job
from wavecom.core.lanes import Channel
from wavecom.core.phone_countries import country_of
from wavecom.core.route_conditions import ASK_NOTHING, Conditions
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep

GERMANY = Conditions(countries=frozenset({"DE"}))


def words(*values: str) -> frozenset[str]:
    return frozenset(values)


def sms(number: str = "+447700900123", **overrides: Any) -> Any:
    return make_job(type=Channel.SMS, to={"phone": number}, **overrides)


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+4915112345678", "DE"),
        ("+447700900123", "GB"),  # known to no table: a number for films
        ("+441534123456", "JE"),
        ("+12125550123", "US"),
        ("+14165550123", "CA"),
        ("+390669812345", "VA"),
        ("+390236012345", "IT"),
        ("+77012345678", "KZ"),
        ("+74951234567", "RU"),
        ("+88216123456", None),
        ("", None),
        ("+", None),
        ("0151", None),
    ],
)
def test_a_number_belongs_to_a_country(number: str, country: str | None) -> None:
    assert country_of(number) == country


@pytest.mark.parametrize(
    ("conditions", "matching", "other"),
    [
        (GERMANY, sms("+4915112345678"), sms("+447700900123")),
        (Conditions(prefixes=words("+447", "+33")), sms("+33612345678"), sms("+441534123456")),
        (Conditions(clients=words("shop")), sms(client="shop"), sms(client="bank")),
        (Conditions(tags={"kind": words("otp", "alarm")}), sms(metadata={"kind": "otp"}), sms(metadata={"kind": "ad"})),
        (Conditions(tags={"kind": words("otp")}), sms(metadata={"kind": "otp", "more": 1}), sms(metadata={})),
        (Conditions(tags={"vip": words("true")}), sms(metadata={"vip": True}), sms(metadata={"vip": 1})),
        (
            Conditions(platforms=words("apns")),
            make_job(type=Channel.PUSH, to={"platform": "apns", "token": "a"}),
            make_job(type=Channel.PUSH, to={"platform": "fcm", "token": "a"}),
        ),
        (Conditions(is_test=True), sms(client="shop:test"), sms(client="shop")),
        (Conditions(clients=words("shop"), is_test=True), sms(client="shop:test"), sms(client="shop")),
        (ASK_NOTHING, sms(), sms(client="acme:test")),
    ],
)
def test_a_condition_tells_notifications_apart(conditions: Conditions, matching: Any, other: Any) -> None:
    assert conditions.mismatch(matching) == ""
    assert conditions.mismatch(other) != ""


def test_all_conditions_must_hold_and_a_mismatch_says_which_does_not() -> None:
    conditions = Conditions(words("DE", "AT"), clients=words("shop"), tags={"kind": words("otp")})

    assert conditions.mismatch(sms(client="bank")) == "the client is bank, not shop"
    assert conditions.mismatch(sms(client="shop")) == "kind in metadata is missing, not otp"
    shown = conditions.mismatch(sms(client="shop", metadata={"kind": "otp"}))
    assert shown == "the number is of GB, not of AT or DE"
    assert "7700" not in shown


@pytest.mark.parametrize(
    ("wide", "narrow", "does"),
    [
        (ASK_NOTHING, GERMANY, True),
        (GERMANY, ASK_NOTHING, False),
        (GERMANY, GERMANY, True),
        (Conditions(words("DE", "AT")), GERMANY, True),
        (GERMANY, Conditions(words("DE", "AT")), False),
        (Conditions(prefixes=words("+44")), Conditions(prefixes=words("+447", "+4420")), True),
        (Conditions(prefixes=words("+447")), Conditions(prefixes=words("+44")), False),
        (Conditions(prefixes=words("+44")), GERMANY, False),
        (Conditions(tags={"a": words("1")}), Conditions(tags={"a": words("1"), "b": words("2")}), True),
        (Conditions(tags={"a": words("1"), "b": words("2")}), Conditions(tags={"a": words("1")}), False),
        (ASK_NOTHING, Conditions(is_test=True), False),
    ],
)
def test_what_covers_another_leaves_it_nothing(wide: Conditions, narrow: Conditions, does: bool) -> None:
    assert wide.covers(narrow) is does


def test_the_first_route_whose_conditions_hold_is_the_notifications_own() -> None:
    german, rest = Route.of("a"), Route.of("b")
    routes = ChannelRoutes((Route(german.steps, "germany", GERMANY), Route(rest.steps, "rest")))

    found = [routes.route_of(sms(number)) for number in ("+4915112345678", "+447700900123")]

    assert [route and route.name for route in found] == ["germany", "rest"]
    assert routes.take_all
    assert routes.only is None
    assert routes.providers == ("a", "b")


def test_a_notification_that_no_route_is_for_has_none() -> None:
    routes = ChannelRoutes((Route(Route.of("a").steps, "germany", GERMANY),))

    assert routes.route_of(sms("+447700900123")) is None
    assert not routes.take_all


def test_one_route_for_all_is_the_only_one_unless_it_has_a_sender() -> None:
    route = Route.of("a")

    assert ChannelRoutes((route,)).only == route
    assert ChannelRoutes((Route(route.steps, sender="SHOP"),)).only is None
    assert ChannelRoutes((Route(route.steps, conditions=GERMANY),)).only is None


def test_a_routes_sender_is_for_messages_that_name_none() -> None:
    route = Route(Route.of("a").steps, sender="SHOP")

    assert route.with_sender(Channel.SMS, {"text": "a"}) == {"text": "a", "senderId": "SHOP"}
    assert route.with_sender(Channel.SMS, {"text": "a", "senderId": "OWN"}) == {"text": "a", "senderId": "OWN"}
    assert route.with_sender(Channel.EMAIL, {"subject": "a"}) == {"subject": "a", "from": "SHOP"}
    assert route.with_sender(Channel.PUSH, {"title": "a"}) == {"title": "a"}
    assert Route.of("a").with_sender(Channel.SMS, {"text": "a"}) == {"text": "a"}


def test_weights_that_people_set_hold_whole_and_of_the_files_a_factor_is_left() -> None:
    step = RouteStep((Alternative("a", 90), Alternative("b", 10)))

    [changed] = (
        ChannelRoutes((Route((step,), "all"),)).with_weights({"a": 0, "elsewhere": 5}, {"a": 0.5, "b": 0.5}).routes
    )

    assert changed == Route((RouteStep((Alternative("a", 0), Alternative("b", 5))),), "all")
    assert {changed.order(draw)[0] for draw in (0, 0.5, 0.99)} == {"b"}
