"""The guide docs/guides/campaigns.md as it stands: each of its examples runs, and each right row is delivered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.guides import examples_in, page_of, run_commands
from tests.waiting import wait_until
from tests.web_process import WebProcess, workers

COMMANDS = examples_in(page_of("campaigns.md"))


@pytest.fixture
def web(tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str) -> Iterator[WebProcess]:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as web, workers(tmp_path, servers, {}):
        yield web


@pytest.mark.timeout(180)
def test_the_rows_that_are_right_are_delivered_and_the_others_told(tmp_path: Path, web: WebProcess) -> None:
    run_commands(COMMANDS, tmp_path, {**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key})
    address = f"{web.url}/api/campaigns/{json.loads((tmp_path / 'made.json').read_text())['campaignId']}"

    def counts() -> dict[str, Any]:
        found: dict[str, Any] = requests.get(address, headers=web.authorization, timeout=10).json()["counts"]
        return found

    wait_until(lambda: counts()["byStatus"] == {"delivered": 2}, "the outcome")
    assert {name: counts()[name] for name in ("rows", "rejected", "waiting", "queued")} == {
        "rows": 3,
        "rejected": 1,
        "waiting": 0,
        "queued": 2,
    }
    assert (tmp_path / "rejected.csv").read_text().splitlines()[1].startswith("2,3,Mobile,invalid,")
