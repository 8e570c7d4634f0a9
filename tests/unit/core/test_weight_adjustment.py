from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import timedelta

from structlog.testing import capture_logs

from tests.fakes import FakeClock
from tests.memory_storage import MemoryOverrideStore, MemoryWeightFactorStore
from tests.provider_administration import MemoryProviderAudit
from tests.unit.core.test_receipt_counts import MemoryCounter
from wavecom.core.provider_control import ProviderAction
from wavecom.core.receipt_counts import CountKey, ReceiptCounts
from wavecom.core.receipt_health import ReceiptHealth, WeightFactor, WindowCounts
from wavecom.core.receipt_thresholds import ReceiptThresholds
from wavecom.core.weight_adjustment import WeightAdjustment


class Environment:
    def __init__(self, *adjusted: str) -> None:
        self.clock = FakeClock()
        self.counter = MemoryCounter()
        self.factors = MemoryWeightFactorStore()
        self.overrides = MemoryOverrideStore()
        self.audit = MemoryProviderAudit()
        self.reported: Mapping[str, int] = {}
        self.windows: Mapping[tuple[str, str], WindowCounts] = {}
        numbers = itertools.count(1)
        self.adjustment = WeightAdjustment(
            adjusted=adjusted,
            counter=self.counter,
            factors=self.factors,
            overrides=self.overrides,
            audit=self.audit,
            clock=self.clock,
            new_id=lambda: f"event-{next(numbers)}",
            report=self.report,
            thresholds=ReceiptThresholds(),
        )

    def report(self, window: Mapping[tuple[str, str], WindowCounts], factors: Mapping[str, int]) -> None:
        self.windows, self.reported = window, factors

    def count(self, provider: str, counts: ReceiptCounts) -> None:
        minute = (self.clock.now() - timedelta(minutes=10)).replace(second=0, microsecond=0)
        self.counter.add([(CountKey(minute, provider, "DE"), counts)])


SLOW, GOOD = ReceiptCounts(sent=100, good=60, late=40), ReceiptCounts(sent=100, good=100)


def test_a_slow_provider_loses_weight_and_the_step_is_audited_logged_and_shown() -> None:
    environment = Environment("a", "b")
    environment.count("a", SLOW)
    environment.count("b", GOOD)
    now = environment.clock.now()

    with capture_logs() as logs:
        environment.adjustment.run()
        environment.adjustment.run()

    assert environment.factors.all() == {"a": WeightFactor(80, ReceiptHealth.SLOW, now, now)}
    assert [(each.action, each.actor, each.provider, each.percent) for each in environment.audit.events] == [
        (ProviderAction.ADJUST, "wavecom", "a", 80)
    ]
    assert [(each["event"], each["provider"], each["percent"]) for each in logs] == [("provider_loses_weight", "a", 80)]
    assert logs[0]["is_in_effect"]
    assert environment.reported == {"a": 80, "b": 100}
    assert set(environment.windows) == {("a", "DE"), ("b", "DE")}


def test_a_step_of_a_provider_whose_weight_people_have_set_is_logged_as_without_effect() -> None:
    environment = Environment("a")
    environment.count("a", SLOW)
    environment.overrides.set_weight("a", 20, "ada", "contract", environment.clock.now())

    with capture_logs() as logs:
        environment.adjustment.run()

    assert [(each["percent"], each["is_in_effect"]) for each in logs] == [(80, False)]


def test_a_provider_that_is_well_again_regains_its_weight() -> None:
    environment = Environment("a")
    environment.count("a", SLOW)
    environment.adjustment.run()

    with capture_logs() as logs:
        for _ in range(30):
            environment.clock.advance(60)
            environment.count("a", GOOD)
            environment.adjustment.run()

    assert environment.factors.all() == {}
    assert logs[-1]["event"] == "provider_regains_weight"
    assert environment.audit.events[-1].percent == 100


def test_of_a_provider_that_is_not_adjusted_any_more_no_factor_is_kept() -> None:
    environment = Environment("b")
    now = environment.clock.now()
    environment.factors.replace("a", None, WeightFactor(40, ReceiptHealth.SLOW, now, now))
    environment.count("a", SLOW)

    environment.adjustment.run()

    assert environment.factors.all() == {}
    assert [(each.provider, each.percent) for each in environment.audit.events] == [("a", 100)]


def test_without_the_store_what_holds_goes_on_to_hold() -> None:
    environment = Environment("a")
    environment.count("a", SLOW)
    environment.factors.is_up = False

    environment.adjustment.run()

    assert environment.audit.events == []
    assert environment.reported == {}
