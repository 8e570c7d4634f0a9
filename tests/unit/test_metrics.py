from __future__ import annotations

import ast
import socket
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import prometheus_client
import pytest
from structlog.testing import capture_logs

import wavecom
from tests.documented_metrics import documented_metrics
from tests.factories import NOW
from wavecom import metrics
from wavecom.errors import StoreError
from wavecom.settings import Settings
from wavecom.storage.clock import StoreClock

REPOSITORY = Path(wavecom.__file__).parents[1]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        body: bytes = answer.read()
    return body.decode()


def test_without_a_port_nothing_is_served() -> None:
    assert metrics.serve(Settings(), "web") is None


def test_each_process_serves_on_the_first_port_that_is_free(taken_port: int) -> None:
    settings = Settings(metrics_port=taken_port, worker_name="this-host:1")

    port = metrics.serve(settings, "web")

    assert port is not None
    assert taken_port < port < taken_port + metrics.PORTS
    assert f'wavecom_process_info{{name="this-host:1",process="web",version="{wavecom.__version__}"}} 1.0' in scrape(
        port
    )


def test_a_host_that_is_not_this_machine_costs_the_metrics_and_not_the_start(taken_port: int) -> None:
    with capture_logs() as logs:
        port = metrics.serve(Settings(metrics_port=taken_port, metrics_host="192.0.2.1"), "web")

    assert (port, [entry["event"] for entry in logs]) == (None, ["metrics_not_served"])


def declared() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Name of every metric in the source, as it is scraped → its type and labels."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for path in (REPOSITORY / "wavecom").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or not node.args:
                continue
            name = node.args[0]
            kind = node.func.id
            if kind not in {"Counter", "Gauge", "Histogram"} or not isinstance(name, ast.Constant):
                continue
            labels = ast.literal_eval(node.args[2]) if len(node.args) > 2 else []
            suffix = "_total" if kind == "Counter" and not str(name.value).endswith("_total") else ""
            found[f"{name.value}{suffix}"] = kind.lower(), tuple(labels)
    return found


def test_every_metric_is_documented_with_its_type_and_labels_and_nothing_else_is() -> None:
    assert len(declared()) > 20
    assert {name: (each.type, each.labels) for name, each in documented_metrics().items()} == declared()


UNITS = ("_seconds", "_percent", "_share", "_messages", "_state", "_info", "_up", "_total", "_timestamp_seconds")


def test_names_end_in_their_unit_and_every_metric_has_a_meaning() -> None:
    #: 1 or 0, or how many there are now.
    flags = {"fast_path_disabled", "gate_degraded", "worker_stalled", "deliveries_stalled", "provider_paused"}
    flags |= {
        "store_older",
        "provider_account_trouble",
        "region_taken_over",
        "region_unattended_queues",
        "open_streams",
    }

    for name, metric in documented_metrics().items():
        assert metric.meaning, name
        assert (metric.type == "counter") == name.endswith("_total"), name
        assert name.endswith(UNITS) or name.removeprefix("wavecom_") in flags, name


def test_no_label_clashes_with_one_that_prometheus_sets_itself() -> None:
    used = {label for _, labels in declared().values() for label in labels}

    assert not used & {"job", "instance", "le", "quantile", "__name__"}


def test_a_store_that_goes_away_is_counted_and_told_once_and_so_is_its_return() -> None:
    answers = iter([True, False, False, True])

    def read() -> datetime:
        if not next(answers):
            raise StoreError("away")
        return NOW

    def value(name: str) -> float:
        return prometheus_client.REGISTRY.get_sample_value(name) or 0.0

    clock = StoreClock(read)
    losses = value("wavecom_store_losses_total")
    seen = []
    with capture_logs() as logs:
        for _ in range(4):
            clock.look()
            seen.append(value("wavecom_store_up"))

    assert seen == [1, 0, 0, 1]
    assert value("wavecom_store_losses_total") - losses == 1
    assert [entry["event"] for entry in logs if "reachable" in entry["event"]] == [
        "store_unreachable",
        "store_reachable_again",
    ]
