"""The guide of events and callbacks, docs/guides/callbacks.md, as it stands: each of its examples runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.guides import examples_in, page_of, run_commands
from tests.waiting import wait_until
from tests.web_process import WebProcess, workers
from wavecom.core.callback_schedule import DELAYS
from wavecom.local.ports import free_ports

PAGE = page_of("callbacks.md")
COMMANDS = examples_in(PAGE)
[RECEIVER] = examples_in(PAGE, "python")


@pytest.fixture
def web(tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str) -> Iterator[WebProcess]:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    allowed = {"WAVECOM_CALLBACK_PRIVATE_HOSTS": "127.0.0.1"}
    with WebProcess(tmp_path, servers, variables=allowed) as web, workers(tmp_path, servers, allowed):
        yield web


@pytest.mark.timeout(180)
def test_every_example_of_the_guide_does_what_it_says(tmp_path: Path, web: WebProcess) -> None:
    [port] = free_ports(1)
    variables = {
        **os.environ,
        "WAVECOM": web.url,
        "WAVECOM_API_KEY": web.key,
        "RECEIVER": f"http://127.0.0.1:{port}",
        "RECEIVER_PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }
    run_commands(COMMANDS[:3], tmp_path, variables)
    callback = json.loads((tmp_path / "callback.json").read_text())
    heard = tmp_path / "receiver.log"
    with heard.open("wb") as log:
        receiver = subprocess.Popen(
            [sys.executable, "-c", RECEIVER],
            env=variables | {"WEBHOOK_SECRET": callback["secret"]},
            stdout=log,
            stderr=log,
        )
    try:
        run_commands(COMMANDS[3:], tmp_path, variables)

        def deliveries() -> list[dict[str, Any]]:
            address = f"{web.url}/api/callbacks/{callback['callbackId']}/deliveries"
            found: list[dict[str, Any]] = requests.get(address, headers=web.authorization, timeout=10).json()["items"]
            return found

        wait_until(lambda: [each["state"] for each in deliveries()] == ["delivered"], "the test event")
        # What is sent now has events: the guide has taken longer than the recording takes to begin. The receiver has
        # the old secret still.
        sent = requests.post(
            f"{web.url}/api/notifications",
            json={"type": "sms", "to": {"phone": "+12025550143"}, "payload": {"text": "Your order is on its way."}},
            headers=web.authorization,
            timeout=10,
        ).json()
        wait_until(lambda: f"notification.delivered {sent['jobId']}" in heard.read_text(), "the event")
    finally:
        receiver.kill()
        receiver.wait()


def test_the_guide_has_the_schedule_of_the_code() -> None:
    written = []
    for delay in DELAYS:
        seconds = int(delay.total_seconds())
        unit, divisor = ("h", 3600) if seconds >= 3600 else ("min", 60) if seconds >= 60 else ("s", 1)
        written.append(f"{seconds // divisor} {unit}")

    assert f"| {', '.join(written)}, each up to a tenth longer" in PAGE
