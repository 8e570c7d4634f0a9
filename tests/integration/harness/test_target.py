"""``python -m benchmarks --target``: a deployment of one's own, real, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web_process import WebProcess, workers
from wavecom.local.ports import LOOPBACK, free_ports

ROOT = Path(__file__).parents[3]
PROVIDERS = """
[providers.recorder]
type = "http"
url = "http://{host}:{port}/send"

[routes]
email = ["recorder"]
sms = ["recorder"]
push = ["recorder"]
"""


def run(home: Path, *arguments: str, key: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"WAVECOM_HOME": str(home)} | ({} if key is None else {"WAVECOM_API_KEY": key})
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=150)


@pytest.fixture
def servers(amqp_url: str, redis_url: str, mongodb_uri: str) -> dict[str, str]:
    return {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}


@pytest.fixture
def recorder_port(tmp_path: Path) -> int:
    [port] = free_ports(1)
    (tmp_path / "providers.toml").write_text(PROVIDERS.format(host=LOOPBACK, port=port), encoding="utf-8")
    return port


@pytest.fixture
def deployment(tmp_path: Path, servers: dict[str, str], recorder_port: int) -> Iterator[WebProcess]:
    """Web process and worker, whose provider is where the benchmark will listen."""
    variables = {"WAVECOM_PROVIDERS": str(tmp_path / "providers.toml")}
    with WebProcess(tmp_path, servers, variables=variables) as web, workers(tmp_path, servers | variables):
        yield web


@pytest.mark.timeout(300)
def test_with_a_provider_of_ours_what_arrives_is_counted(
    tmp_path: Path, deployment: WebProcess, recorder_port: int
) -> None:
    listen = f"--listen={LOOPBACK}:{recorder_port}"
    report = f"--report={tmp_path / 'report'}"
    paced = ("--rate=5", "--minutes=0.1")

    done = run(tmp_path, f"--target={deployment.url}", *paced, listen, report, key=deployment.key)

    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "report" / "target.json").read_text(encoding="utf-8"))
    assert (figures["offered"], figures["accepted"], figures["answers"]) == (30, 30, {"202": 30})
    assert (figures["lost"], figures["repeated"], figures["statuses"]) == (0, 0, {"delivered": 30})
    assert 0 < figures["accept"]["p50"] <= figures["accept"]["most"]
    assert figures["end_to_end"]["count"] == figures["polled"]["count"] == 30
    assert deployment.key not in done.stdout + done.stderr


def test_a_wrong_key_and_an_address_where_nobody_is_are_named(tmp_path: Path) -> None:
    with WebProcess(tmp_path) as web:
        wrong_key = run(tmp_path, f"--target={web.url}", key="wc_live_" + "x" * 43)
        no_key = run(tmp_path, f"--target={web.url}")
    [port] = free_ports(1)
    nobody = run(tmp_path, f"--target=http://{LOOPBACK}:{port}", key="any")
    nonsense = run(tmp_path, "--target=ftp://wavecom", key="any")
    no_port = run(tmp_path, "--target=http://127.0.0.1:1", "--listen=9000", key="any")

    assert [done.returncode for done in (wrong_key, no_key, nobody, nonsense, no_port)] == [2] * 5
    assert "WAVECOM_API_KEY: is not accepted there" in wrong_key.stderr
    assert "WAVECOM_API_KEY: is not set" in no_key.stderr
    assert "--target: " in nobody.stderr
    assert "--target: 'ftp://wavecom' is not the address of an API" in nonsense.stderr
    assert "--listen: '9000' is no HOST:PORT" in no_port.stderr
