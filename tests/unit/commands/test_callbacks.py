"""``wavecom callbacks``, over memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.contract.test_callback_storage import make_callback, make_delivery
from tests.factories import later
from tests.fakes import FakeClock
from tests.memory_storage import (
    MemoryCallbackAudit,
    MemoryCallbackDeliveryStore,
    MemoryCallbackStore,
    MemoryEventAccountStore,
    MemoryEventLog,
)
from tests.operator_services import operator_services_with
from wavecom.cli import main
from wavecom.core.callback_administration import CallbackAdministration
from wavecom.core.callbacks import Callback, CallbackState, CallbackTry, DeliveryState, DisabledReason
from wavecom.errors import StoreError

WELL, SLOWED, GONE, PAUSED = (letter * 32 for letter in "abcd")


class Store(MemoryCallbackStore):
    is_up = True

    def of_accounts(self, accounts: Any) -> Sequence[Callback]:
        if not self.is_up:
            raise StoreError("mongodb.internal:27017 does not answer")
        return super().of_accounts(accounts)


class Environment:
    def __init__(self) -> None:
        self.store = Store()
        self.deliveries = MemoryCallbackDeliveryStore()
        self.services = operator_services_with(
            callbacks=CallbackAdministration(
                callbacks=self.store,
                deliveries=self.deliveries,
                events=MemoryEventLog(),
                accounts=MemoryEventAccountStore(),
                audit=MemoryCallbackAudit(),
                clock=FakeClock(),
                new_id=lambda: "e" * 32,
                random_bytes=lambda size: b"s" * size,
            )
        )

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["callbacks", *arguments], obj=self.services)

    def listed(self, *arguments: str) -> list[str]:
        lines = self.run("list", "--json", *arguments).output.splitlines()
        return [json.loads(line)["callbackId"] for line in lines]


@pytest.fixture
def environment() -> Environment:
    made = Environment()
    made.store.add(make_callback(WELL, url="https://user:hidden@shop.example/hook?token=hidden", created_at=later(1)))
    made.store.add(make_callback(SLOWED, account="bank", failures=9, failing_since=later(5), created_at=later(2)))
    disabled = {"state": CallbackState.DISABLED, "disabled_reason": DisabledReason.GONE}
    made.store.add(make_callback(GONE, created_at=later(3), **disabled))
    made.store.add(make_callback(PAUSED, state=CallbackState.PAUSED, created_at=later(4)))
    return made


def test_all_callbacks_are_listed_without_what_their_addresses_may_hide(environment: Environment) -> None:
    table, lines = environment.run("list").output, environment.run("list", "--json").output

    assert [json.loads(line)["callbackId"] for line in lines.splitlines()] == [WELL, SLOWED, GONE, PAUSED]
    for output in (table, lines):
        assert "shop.example" in output
        assert "hidden" not in output
        assert "whsec_" not in output
    assert "active, slowed" in table
    assert "disabled (gone)" in table


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        (["--failing"], [SLOWED, GONE]),
        (["--client", "bank"], [SLOWED]),
        (["--state", "paused"], [PAUSED]),
        (["--state", "active"], [WELL, SLOWED]),
        (["--state", "active", "--failing"], [SLOWED]),
    ],
)
def test_a_list_is_narrowed(environment: Environment, options: list[str], listed: list[str]) -> None:
    assert environment.listed(*options) == listed


def test_what_became_of_events_is_listed_with_the_last_answer(environment: Environment) -> None:
    failed = CallbackTry(later(7), 12, 503, "http_503", "secret words of the receiver")
    delivery = make_delivery(callback_id=SLOWED, account="bank", state=DeliveryState.PENDING)
    environment.deliveries.add([delivery])
    environment.deliveries.record([(replace(delivery, tried=1), failed)])

    table = environment.run("deliveries", SLOWED)
    [line] = environment.run("deliveries", SLOWED, "--json").output.splitlines()

    assert table.exit_code == 0
    assert delivery.event_id in table.output
    assert "http_503" in table.output
    assert json.loads(line)["tries"][0]["status"] == 503
    assert "secret words" not in table.output + line
    assert environment.run("deliveries", SLOWED, "--state", "failed", "--json").output == ""


def test_a_callback_that_there_is_not_is_said_in_words(environment: Environment) -> None:
    answer = environment.run("deliveries", "f" * 32)

    assert answer.exit_code == 1
    assert "wavecom callbacks list" in answer.output


def test_a_store_that_is_away_is_said_in_words(environment: Environment) -> None:
    environment.store.is_up = False

    answer = environment.run("list")

    assert answer.exit_code == 1
    assert "Check MONGODB_URI" in answer.output
