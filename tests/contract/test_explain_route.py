"""``wavecom providers explain`` over a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click.testing import Result

from tests.contract.provider_commands import ProviderCommandEnvironment
from wavecom.core.lanes import Channel
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.core.route_conditions import Conditions
from wavecom.core.routes import Alternative, ChannelRoutes, Route, RouteStep
from wavecom.local.servers import PrivateRedis

WEIGHTED = (RouteStep((Alternative("gateway", 80), Alternative("mail", 20))),)
ROUTES = {
    Channel.SMS: ChannelRoutes(
        (
            Route(
                WEIGHTED,
                "germany",
                Conditions(frozenset({"DE"}), clients=frozenset({"shop"}), tags={"kind": frozenset({"otp"})}),
                "SHOP",
            ),
            Route(Route.of("mail").steps, "britain", Conditions(frozenset({"GB"}))),
        )
    ),
}
GERMAN = ("--type", "sms", "--to", "+49 151 1234-5678")


@pytest.fixture
def environment(redis_server: PrivateRedis, redis_url: str) -> Iterator[ProviderCommandEnvironment]:
    environment = ProviderCommandEnvironment(redis_url, ROUTES)
    yield environment
    environment.client.close()
    redis_server.start()


def explain(environment: ProviderCommandEnvironment, *words: str) -> Result:
    return environment.run("explain", *words)


def words_of(result: Result) -> str:
    return " ".join(result.output.split())


def test_the_route_that_applies_is_named_with_its_sender_steps_and_states(
    environment: ProviderCommandEnvironment,
) -> None:
    environment.run("pause", "gateway", "--for", "30m", "--reason", "maintenance", "--operator", "ada")

    result = explain(environment, *GERMAN, "--client", "shop", "--tag", "kind=otp")

    assert result.exit_code == 0
    assert "germany country DE, client shop, kind otp this one" in words_of(result)
    assert "It goes by germany, as SHOP:" in words_of(result)
    assert "1 gateway 80% paused" in words_of(result)
    assert "paused by ada: maintenance" in words_of(result)
    assert "1 mail 20% in use" in words_of(result)


def test_shares_are_those_of_now(environment: ProviderCommandEnvironment) -> None:
    environment.overrides.set_weight("mail", 240, "ada", "new contract", environment.clock.now())

    result = explain(environment, *GERMAN, "--client", "shop", "--tag", "kind=otp")

    assert "1 gateway 25%" in words_of(result)
    assert "1 mail 75%" in words_of(result)


def test_what_receipts_leave_of_a_weight_counts_and_is_told(environment: ProviderCommandEnvironment) -> None:
    now = environment.clock.now()
    environment.factors.replace("gateway", None, WeightFactor(10, ReceiptHealth.SLOW, now, now))

    result = explain(environment, *GERMAN, "--client", "shop", "--tag", "kind=otp")

    assert "1 gateway 29%" in words_of(result)
    assert "1 mail 71%" in words_of(result)
    assert f"gateway: weight 80 (10 % of it: receipts slow since {now:%H:%M} UTC)" in result.output


def test_each_route_that_does_not_apply_says_why(environment: ProviderCommandEnvironment) -> None:
    result = explain(environment, "--type", "sms", "--to", "+447700900123", "--client", "shop")

    assert result.exit_code == 0
    assert "kind in metadata is missing, not otp" in words_of(result)
    assert "britain country GB this one" in words_of(result)


def test_where_no_route_is_for_it_that_is_said_and_told_by_the_exit_code(
    environment: ProviderCommandEnvironment,
) -> None:
    result = explain(environment, *GERMAN, "--client", "bank")

    assert result.exit_code == 3
    assert "the client is bank, not shop" in words_of(result)
    assert "the number is of DE, not of GB" in words_of(result)
    assert "422 channel_not_served" in words_of(result)


def test_what_a_test_key_sends_reaches_nobody(environment: ProviderCommandEnvironment) -> None:
    result = explain(environment, *GERMAN, "--client", "shop", "--tag", "kind=otp", "--test")

    assert result.exit_code == 0
    assert "it is for live accounts" in words_of(result)
    assert "nothing of a test account reaches anybody" in words_of(result)


def test_without_redis_the_route_is_explained_all_the_same(
    environment: ProviderCommandEnvironment, redis_server: PrivateRedis
) -> None:
    redis_server.stop()

    result = explain(environment, *GERMAN, "--client", "shop", "--tag", "kind=otp")

    assert result.exit_code == 0
    assert "this one" in words_of(result)
    assert "Redis does not answer" in words_of(result)


@pytest.mark.parametrize(
    "words",
    [
        ("--type", "sms", "--to", "0151 1234", "--client", "shop"),
        ("--type", "push", "--to", "token", "--client", "shop"),
        (*GERMAN, "--client", "shop", "--tag", "otp"),
        (*GERMAN, "--client", "operator"),
    ],
)
def test_what_can_not_be_asked_is_a_usage_error(
    environment: ProviderCommandEnvironment, words: tuple[str, ...]
) -> None:
    assert explain(environment, *words).exit_code == 2
