"""The guide docs/guides/attachments.md as it stands: each of its examples runs, and the file arrives."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo import MongoClient

from tests.guides import examples_in, page_of, run_commands
from tests.waiting import wait_until
from tests.web_process import WebProcess, workers

PAGE = page_of("attachments.md")
COMMANDS = examples_in(PAGE)


@pytest.fixture
def web(tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str) -> Iterator[WebProcess]:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as web, workers(tmp_path, servers, {}):
        yield web


@pytest.mark.timeout(180)
def test_a_file_that_was_uploaded_named_and_deleted_is_sent(tmp_path: Path, web: WebProcess, mongodb_uri: str) -> None:
    run_commands(COMMANDS, tmp_path, {**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key})
    job_id = json.loads((tmp_path / "sent.json").read_text())["jobId"]

    def job() -> dict[str, Any]:
        found: dict[str, Any] = requests.get(
            f"{web.url}/api/notifications/{job_id}", headers=web.authorization, timeout=10
        ).json()
        return found

    # The sandbox reads what it is to send, as every provider does.
    wait_until(lambda: job()["status"] == "delivered", "the mail")
    size = len((tmp_path / "terms.pdf").read_bytes())
    assert job()["payload"]["attachments"] == [
        {"filename": "terms.pdf", "contentType": "application/pdf", "size": size}
    ]
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        assert client.get_default_database()["files"].count_documents({}) == 0
