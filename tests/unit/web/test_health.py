"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.unit.web.conftest import make_environment
from tests.waiting import wait_until
from wavecom.core.provider_administration import ProviderAvailability, ProviderStatus
from wavecom.errors import BrokerError, StoreError
from wavecom.web.health import OK, Readiness


def _fine() -> None:
    pass


def _failing(error: Exception) -> Callable[[], None]:
    def check() -> None:
        raise error

    return check


class _Hanging:
    """A check that hangs until it is let go, and counts its runs."""

    def __init__(self) -> None:
        self.runs = 0
        self.may_end = threading.Event()

    def __call__(self) -> None:
        self.runs += 1
        self.may_end.wait(30)


def test_alive_is_alive_whatever_else_is_down() -> None:
    api = make_environment(checks={"mongodb": _failing(StoreError("away"))}).client(None)

    answer = api.get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_ready_when_all_servers_answer() -> None:
    api = make_environment(checks={"mongodb": _fine, "redis": _fine}).client(None)

    answer = api.get("/readyz")

    assert (answer.status_code, answer.json) == (
        200,
        {"status": "ready", "checks": {"mongodb": "ok", "redis": "ok"}, "troubledProviders": 0},
    )


def test_not_ready_names_every_server_that_is_away_and_nothing_secret() -> None:
    checks = {
        "mongodb": _failing(StoreError("mongodb://user:password@internal")),
        "rabbitmq": _failing(BrokerError("amqp.internal")),
        "redis": _fine,
        "other": _failing(KeyError("secret")),
    }
    api = make_environment(checks=checks).client(None)

    answer = api.get("/readyz")

    assert answer.status_code == 503
    assert answer.json == {
        "status": "unavailable",
        "checks": {
            "mongodb": "failed (store_unavailable)",
            "rabbitmq": "failed (broker_unavailable)",
            "redis": "ok",
            "other": "failed (KeyError)",
        },
        "troubledProviders": 0,
    }
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("away", "status_code"), [("mongodb", 503), ("rabbitmq", 200), ("redis", 200), ("deliveries", 200)]
)
def test_it_accepts_whatever_is_away_but_the_store(away: str, status_code: int) -> None:
    checks: dict[str, Callable[[], None]] = dict.fromkeys(("mongodb", "rabbitmq", "redis", "deliveries"), _fine)
    api = make_environment(checks=checks | {away: _failing(StoreError("away"))}).client(None)

    answer = api.get("/readyz/accepting")

    assert answer.status_code == status_code
    assert set(answer.json["checks"]) == {"mongodb"}


@pytest.mark.parametrize(
    ("status", "troubled"),
    [
        (ProviderStatus("sandbox", ProviderAvailability.IN_USE, None, "", ""), 0),
        (ProviderStatus("sandbox", ProviderAvailability.STARTING, None, "3 probes succeeded", ""), 0),
        (ProviderStatus("sandbox", ProviderAvailability.LEFT_ALONE, None, "9 failures", ""), 1),
        (ProviderStatus("sandbox", ProviderAvailability.LEFT_ALONE, None, "http_402", "balance"), 1),
        (ProviderStatus("sandbox", ProviderAvailability.IN_USE, None, "", "", "60 %: slow"), 1),
    ],
)
def test_a_provider_in_trouble_is_counted_and_makes_nobody_unready(status: ProviderStatus, troubled: int) -> None:
    answer = make_environment(checks={"mongodb": _fine}, statuses={"sandbox": status}).client(None).get("/readyz")

    assert (answer.status_code, answer.json["status"], answer.json["troubledProviders"]) == (200, "ready", troubled)


def test_strangers_are_told_neither_which_provider_is_in_trouble_nor_why() -> None:
    status = ProviderStatus("sandbox", ProviderAvailability.LEFT_ALONE, None, "http_402", "balance")

    answer = make_environment(checks={"mongodb": _fine}, statuses={"sandbox": status}).client(None).get("/readyz")

    assert "sandbox" not in answer.text
    assert "balance" not in answer.text


def test_a_server_that_hangs_does_not_hang_the_answer_and_is_not_asked_twice() -> None:
    hanging = _Hanging()
    readiness = Readiness({"mongodb": hanging, "redis": _fine}, timeout_seconds=0.05, ttl_seconds=0)
    try:
        results = [readiness.results() for _ in range(3)]

        assert results == [{"mongodb": "no answer within 0.05 s", "redis": OK}] * 3
        assert hanging.runs == 1
    finally:
        hanging.may_end.set()


def test_a_server_that_hung_is_well_again_when_it_answers() -> None:
    hanging = _Hanging()
    readiness = Readiness({"mongodb": hanging}, timeout_seconds=0.05, ttl_seconds=0)
    readiness.results()

    hanging.may_end.set()

    wait_until(lambda: readiness.results() == {"mongodb": OK})


def test_probes_share_an_answer_for_a_while() -> None:
    runs: list[int] = []
    readiness = Readiness({"mongodb": lambda: runs.append(1)}, ttl_seconds=3600)

    threads = [threading.Thread(target=readiness.results) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert runs == [1]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/readyz/accepting"])
def test_no_key_is_needed(path: str) -> None:
    answer = make_environment().client("a wrong key").get(path)

    assert answer.status_code == 200
