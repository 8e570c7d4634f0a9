"""The guide docs/guides/recipients.md as it stands: each of its examples runs, over memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from werkzeug.serving import make_server

from tests.guides import examples_in, page_of, run_commands
from tests.running_server import running
from tests.unit.web.conftest import KEY, make_environment
from wavecom.core.job import JobId
from wavecom.core.states import Status
from wavecom.local.ports import free_ports
from wavecom.settings import Settings


def test_people_are_registered_sent_to_asked_and_forgotten(tmp_path: Path) -> None:
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = make_environment(
        Settings(secret_key="a secret for tests only", public_url=url, unsubscribe_keys=("another secret for tests",))
    )
    commands = examples_in(page_of("recipients.md"))

    with running(make_server("127.0.0.1", port, environment.app, threaded=True)):
        run_commands(commands, tmp_path, {**os.environ, "WAVECOM": url, "WAVECOM_API_KEY": KEY})

    def answered(name: str) -> Any:
        return json.loads((tmp_path / f"{name}.json").read_text())

    # It is 10:26 of a Saturday in Zurich.
    assert (answered("sent")["status"], answered("sent")["heldUntil"]) == ("scheduled", "2026-03-16T08:00:00.000Z")
    job = environment.jobs.get(JobId(answered("sent")["jobId"]))
    assert job is not None
    assert (job.status, job.to, job.logs[-1].code) == (Status.SCHEDULED, {"email": "amina@example.com"}, "send_window")
    assert "/preferences/" in job.payload["headers"]["List-Unsubscribe"]
    assert answered("batch")["accepted"] == 2
    assert answered("with-token")["pushTokens"][0]["platform"] == "fcm"
    assert "Harbour Bank" in (tmp_path / "page.html").read_text()
    assert 'role="status"' in (tmp_path / "stopped.html").read_text()
    assert environment.recipients.store.page("default", 9, None) == []
