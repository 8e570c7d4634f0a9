"""``/metrics`` of a web process, a worker and the process that sweeps, against docs/metrics.md."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.documented_metrics import documented_metrics
from tests.waiting import wait_until
from tests.web_process import WebProcess
from wavecom.local.ports import free_ports
from wavecom.local.programs import PROGRAMS


@pytest.fixture
def servers(prepared_amqp_url: str, redis_url: str, mongodb_uri: str) -> Mapping[str, str]:
    return {"AMQP_URL": prepared_amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}


def scraped(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            body: bytes = answer.read()
    except OSError:
        return ""
    return body.decode()


@contextmanager
def celery_process(name: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """A process of the Procfile, until the end of the block."""
    [program] = [each for each in PROGRAMS if each.name == name]
    variables = {**os.environ, "WAVECOM_HOME": str(folder / name), **environment}
    with subprocess.Popen(
        program.arguments(variables), env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.kill()


def test_what_web_worker_and_ops_serve_is_what_the_table_says(tmp_path: Path, servers: Mapping[str, str]) -> None:
    ports = dict(zip(("web", "worker", "ops"), free_ports(3), strict=True))
    with ExitStack() as opened:
        for name in ("worker", "ops"):
            variables = {**servers, "WAVECOM_METRICS_PORT": str(ports[name])}
            opened.enter_context(celery_process(name, tmp_path, variables))
        variables = {"WAVECOM_METRICS_PORT": str(ports["web"])}
        opened.enter_context(WebProcess(tmp_path, servers, variables=variables))
        for name, port in ports.items():
            wait_until(lambda port=port, name=name: f'process="{name}"' in scraped(port), f"the metrics of {name}")
        served = {name: scraped(port) for name, port in ports.items()}

    types: dict[str, str] = {}
    for text in served.values():
        types |= dict(re.findall(r"^# TYPE (wavecom_\w+) (\w+)$", text, re.MULTILINE))
    # prometheus_client adds a gauge to each counter: when it was made.
    types = {name: kind for name, kind in types.items() if not name.endswith("_created")}
    assert types == {name: each.type for name, each in documented_metrics().items()}
    assert all("process_resident_memory_bytes" in text for text in served.values())


def test_a_worker_of_one_process_has_its_services_once(tmp_path: Path, servers: Mapping[str, str]) -> None:
    # A second set would serve the next port, and ask the servers a second time, for ever.
    [port] = free_ports(1)
    with celery_process("ops", tmp_path, {**servers, "WAVECOM_METRICS_PORT": str(port)}):
        wait_until(lambda: 'process="ops"' in scraped(port), "its metrics")
        wait_until(lambda: list((tmp_path / "ops").rglob("*ops@*")), "its first report of health")

        assert 'process="' not in scraped(port + 1)
