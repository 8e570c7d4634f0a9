"""The guide docs/guides/attachments.md as it stands: each of its examples runs, and the file arrives."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from pymongo import MongoClient

from tests.waiting import wait_until
from tests.web_process import WebProcess, workers

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "attachments.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture
def web(tmp_path: Path, amqp_url: str, redis_url: str, mongodb_uri: str) -> Iterator[WebProcess]:
    servers = {"AMQP_URL": amqp_url, "REDIS_URL": redis_url, "MONGODB_URI": mongodb_uri}
    with WebProcess(tmp_path, servers) as web, workers(tmp_path, servers, {}):
        yield web


@pytest.mark.timeout(180)
def test_a_file_that_was_uploaded_named_and_deleted_is_sent(tmp_path: Path, web: WebProcess, mongodb_uri: str) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(COMMANDS)],
        env={**os.environ, "WAVECOM": web.url, "WAVECOM_API_KEY": web.key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
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
