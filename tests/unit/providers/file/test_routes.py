from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.providers.file.test_reader import BOX, problems_of
from wavecom.core.lanes import Channel
from wavecom.core.route_conditions import Conditions
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep
from wavecom.providers.file import parse_providers, served_routes

PROVIDERS = """\
[providers.a]
type = "sandbox"
[providers.b]
type = "http"
url = "https://gateway.example"
[providers.own]
type = "http"
url = "https://gateway.example"
client = "shop"
"""
LINES = PROVIDERS.count("\n")


def sms_routes(source: str) -> ChannelRoutes:
    return parse_providers(PROVIDERS + source, {}).routes[Channel.SMS]


def test_routes_have_conditions_steps_with_weights_and_senders() -> None:
    routes = sms_routes("""
[[routes.sms]]
name = "german shop"
when = { country = ["DE", "AT"], prefix = "+49", client = "shop", tag = { kind = ["otp", "alarm"] } }
providers = [{ provider = "own", weight = 90 }, { provider = "b", weight = 10 }, "a"]
sender = "SHOP"

[[routes.sms]]
providers = ["b"]
""")

    first, second = routes.routes
    assert first == Route(
        (
            RouteStep((Alternative("own", 90), Alternative("b", 10))),
            RouteStep((Alternative("a"),)),
        ),
        "german shop",
        Conditions(
            frozenset({"DE", "AT"}),
            frozenset({"+49"}),
            frozenset({"shop"}),
            {"kind": frozenset({"otp", "alarm"})},
        ),
        "SHOP",
    )
    assert second == Route((RouteStep((Alternative("b"),)),), "sms-2")


def test_a_route_for_test_accounts_leads_to_a_sandbox_of_the_file() -> None:
    routes = sms_routes("""
[[routes.sms]]
when = { test = true }
providers = ["a"]
[[routes.sms]]
providers = ["b"]
""")

    assert routes.providers == ("b",)
    assert routes.routes[0].conditions.is_test


@pytest.mark.parametrize(
    ("route", "place", "message"),
    [
        ('when = { country = "UK" }', "routes.sms.when.country", 'did you mean "GB"?'),
        ('when = { country = "Germany" }', "routes.sms.when.country", "two letters"),
        ("when = { country = [] }", "routes.sms.when.country", "must be a country"),
        ('when = { prefix = "0049" }', "routes.sms.when.prefix", "with + and the country code"),
        ('when = { client = "not a client" }', "routes.sms.when.client", "a client's name has"),
        ('when = { platform = "apns" }', "routes.sms.when.platform", "push messages alone"),
        ('when = { tag = "otp" }', "routes.sms.when.tag", "must be a table"),
        ('when = { countri = "DE" }', "routes.sms.when.countri", 'did you mean "country"?'),
        ('when = "DE"', "routes.sms.when", "must be a table of conditions"),
        ("sender = 7", "routes.sms.sender", "must be text"),
        ('sendr = "A"', "routes.sms.sendr", 'did you mean "sender"?'),
        ("when = { test = true }", "routes.sms.providers", 'one provider of type "sandbox"'),
    ],
)
def test_a_mistake_in_a_route_is_named_with_its_line(route: str, place: str, message: str) -> None:
    source = f'{PROVIDERS}[[routes.sms]]\n{route}\nproviders = ["b"]\n'

    [(where, text)] = problems_of(source)

    assert where in {f"providers.toml:{LINES + 2}", f"providers.toml:{LINES + 3}"}
    assert text.startswith(f"{place}: ")
    assert message in text


def test_the_sender_of_a_mail_route_is_an_address_written_as_a_mail_servers() -> None:
    source = '[[routes.email]]\nsender = "{}"\nproviders = ["b"]\n'

    [(where, text)] = problems_of(PROVIDERS + source.format("Bank"))
    routes = parse_providers(PROVIDERS + source.format("Bank <noreply@bank.example>"), {}).routes[Channel.EMAIL]

    assert where == f"providers.toml:{LINES + 2}"
    assert text.startswith("routes.email.sender: must be an address such as")
    assert routes.routes[0].sender == "Bank <noreply@bank.example>"


@pytest.mark.parametrize(
    ("routes", "line", "message"),
    [
        ('[[routes.sms]]\nproviders = ["b"]\n[[routes.sms]]\nproviders = ["a"]\n', 3, "is never used"),
        (
            '[[routes.sms]]\nwhen = { country = ["DE", "AT"] }\nproviders = ["b"]\n'
            '[[routes.sms]]\nwhen = { country = "DE", client = "bank" }\nproviders = ["a"]\n',
            4,
            'route "sms-1" before it takes all',
        ),
        ("[[routes.sms]]\nproviders = []\n", 2, "must be a list of providers"),
        ('[[routes.sms]]\nsender = "A"\n', 1, "must be a list of providers"),
        ('[[routes.sms]]\nproviders = ["c"]\n', 2, 'there is no provider "c"'),
        ('[[routes.sms]]\nproviders = ["own"]\n', 2, "is of the client shop"),
        ('[[routes.sms]]\nwhen = { client = ["shop", "bank"] }\nproviders = ["own"]\n', 3, "is of the client shop"),
        ('[routes]\nsms = ["b", "own"]\n', 2, "is of the client shop"),
        ('[routes]\nsms = ["b", { providers = ["a"] }]\n', 2, "stands beside [[routes.sms]]"),
        ('[[routes.push]]\nsender = "A"\nproviders = ["b"]\n', 2, "a push message has no sender"),
        (
            '[[routes.sms]]\nname = "x"\nwhen = { country = "DE" }\nproviders = ["a"]\n'
            '[[routes.sms]]\nname = "x"\nproviders = ["b"]\n',
            5,
            'another route is called "x" too',
        ),
    ],
)
def test_routes_that_can_not_be_meant_so_are_mistakes(routes: str, line: int, message: str) -> None:
    [(where, text)] = problems_of(PROVIDERS + routes)

    assert where == f"providers.toml:{LINES + line}"
    assert message in text


def test_who_only_accepts_reads_routes_without_providers_and_secrets(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text(
        BOX + 'latency_ms = "$UNSET"\n[[routes.sms]]\nwhen = { country = "DE" }\nproviders = ["nobody"]\n',
        encoding="utf-8",
    )

    routes = served_routes(file)

    assert set(routes) == {Channel.SMS}
    assert not routes[Channel.SMS].take_all


def test_where_routes_can_not_be_read_who_accepts_takes_everything(tmp_path: Path) -> None:
    file = tmp_path / "providers.toml"
    file.write_text('[[routes.sms]]\nwhen = { country = "UK" }\nproviders = ["a"]\n', encoding="utf-8")

    assert served_routes(file)[Channel.SMS].take_all
