"""``wavecom run``: one command from nothing to a delivered notification, and back to nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis
import requests

from tests.e2e.launched import STOP_SECONDS, Launched, command_line
from tests.e2e.test_readme import ROOT, marked_commands
from tests.waiting import comes_true
from wavecom.local.ports import free_ports
from wavecom.settings import Settings

SAID = re.compile(r"@\S+ ready\.$|^worker: (Warm|Cold) shutdown")
RUN = [sys.executable, "-m", "wavecom.cli", "run"]

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """One for all tests that leave it running."""
    folder = tmp_path_factory.mktemp("run")
    launched = Launched(RUN, folder / "home", folder)
    try:
        launched.start()
        yield launched
    finally:
        launched.end()


def test_it_is_ready_when_the_panel_shows(launched: Launched) -> None:
    assert launched.get("/healthz").status_code == 200
    assert launched.get("/readyz").status_code == 200
    assert requests.get(f"http://127.0.0.1:{launched.flower_port}/healthcheck", timeout=30).status_code == 200


def test_the_line_to_paste_sends_a_notification_that_arrives(launched: Launched) -> None:
    answer = launched.paste_curl_line()

    job = launched.wait_for_status(answer["jobId"], "delivered")
    assert job["type"] == "sms"


def test_the_request_of_the_readme_works_as_pasted(launched: Launched) -> None:
    commands = marked_commands()["curl"].replace("var/api-key", shlex.quote(str(launched.home / "api-key")))
    assert "WAVECOM_API_KEY=" in commands

    done = subprocess.run(
        ["sh", "-c", commands.replace("http://127.0.0.1:8000", launched.url)],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.startswith("HTTP/1.1 202"), done.stdout + done.stderr


def test_the_procfile_runs_beside_it_from_any_folder_under_names_of_its_own(launched: Launched, tmp_path: Path) -> None:
    [port, flower_port] = free_ports(2)
    environment = launched.environment() | {"WAVECOM_PORT": str(port), "WAVECOM_FLOWER_PORT": str(flower_port)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    output = tmp_path / "honcho.out"
    with output.open("wb") as file:
        honcho = subprocess.Popen(
            ["honcho", "-f", str(ROOT / "Procfile"), "start"],
            cwd=tmp_path,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        names = {"worker.1", "worker-high.1", "ops.1"}

        def is_up() -> bool:
            text = output.read_text(encoding="utf-8", errors="replace")
            return all(f"{name}@" in text and "ready." in text for name in names) and _answers(port)

        assert comes_true(is_up, poll_seconds=0.1), output.read_text(encoding="utf-8", errors="replace")
        assert comes_true(lambda: _nodes(environment) >= names | {"worker1", "worker-high", "ops"})
    finally:
        os.killpg(honcho.pid, signal.SIGTERM)
        honcho.wait(60)
    assert not [line for line in output.read_text(errors="replace").splitlines() if "Traceback" in line]


def _answers(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200
    except requests.RequestException:
        return False


def _nodes(environment: Mapping[str, str]) -> set[str]:
    """The names, without their host, of all workers that answer."""
    command = [sys.executable, "-m", "celery", "-A", "wavecom", "inspect", "ping", "--timeout", "5", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return {name.partition("@")[0] for name in json.loads(done.stdout or "{}")}


def test_what_its_processes_log_are_json_lines(launched: Launched) -> None:
    for log in launched.home.joinpath("logs").glob("*.log"):
        if log.stem in {"rabbitmq", "redis", "mongodb"}:
            continue
        lines = [line for line in log.read_text(encoding="utf-8").splitlines() if line]
        # For people and supervisors: that it consumes, and that it was asked to end.
        others = [line for line in lines if not line.startswith("{") and not SAID.search(line)]
        assert others == [], log.name


def test_flower_asks_for_a_password_of_its_own(launched: Launched) -> None:
    url = f"http://127.0.0.1:{launched.flower_port}/workers"
    password = (launched.home / "flower-password").read_text().strip()

    assert requests.get(url, timeout=30).status_code == 401
    assert requests.get(url, auth=("operator", launched.api_key), timeout=30).status_code == 401
    assert requests.get(url, auth=("operator", password), timeout=30).status_code == 200


def test_what_it_keeps_is_for_its_owner_alone(launched: Launched) -> None:
    modes = {
        path.stat().st_mode & 0o077 for path in (launched.home, *launched.home.glob("*"), *launched.home.glob("*/*"))
    }

    assert modes == {0}


def test_the_key_is_on_no_command_line(launched: Launched) -> None:
    running = [command_line(pid) for pid in launched.left_behind()]

    assert len(running) > 8
    assert not [command for command in running if launched.api_key in command]


def test_commands_typed_beside_it_find_its_servers(launched: Launched) -> None:
    settings = Settings.from_environment({"WAVECOM_HOME": str(launched.home)})

    with redis.Redis.from_url(settings.redis_url) as client:
        assert client.ping()
    assert settings.amqp_url != Settings().amqp_url
    assert settings.mongodb_uri != Settings().mongodb_uri


def test_a_second_start_says_so_and_leaves_the_first_alone(launched: Launched) -> None:
    before = sorted(launched.left_behind())

    second = subprocess.run(RUN, env=launched.environment(), capture_output=True, text=True, timeout=60, check=False)

    assert second.returncode == 1
    assert f"already runs at {launched.url}, process {launched.process.pid}" in second.stdout
    assert sorted(launched.left_behind()) == before
    assert launched.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("title", "words"), [("worker1", " -n worker1@"), ("Redis", "redis-server"), ("beat", "wavecom beat")]
)
def test_a_process_that_is_killed_starts_again(launched: Launched, title: str, words: str) -> None:
    killed = launched.pid_of(words)

    os.kill(killed, signal.SIGKILL)
    launched.wait_for(rf"^{title} was ended by SIGKILL; it starts again in \d+ s")
    launched.wait_for(rf"^{title} started again")

    assert launched.pid_of(words) != killed
    assert comes_true(lambda: launched.get("/readyz").status_code == 200)
    launched.wait_for_status(launched.paste_curl_line()["jobId"], "delivered")


def test_stopped_or_killed_it_leaves_nothing_behind_and_the_next_start_has_all_data(tmp_path: Path) -> None:
    two_of_each = {"WAVECOM_WORKERS": "2", "WAVECOM_WEB_WORKERS": "2"}
    launched = Launched(RUN, tmp_path / "wave com", tmp_path, variables=two_of_each)
    try:
        launched.start()
        key = launched.api_key
        assert key not in launched.output, "what is written to a pipe ends in some log"
        assert str(launched.home / "api-key") in launched.output
        first = launched.paste_curl_line()["jobId"]
        launched.wait_for_status(first, "delivered")

        interrupted_at = time.monotonic()
        assert launched.interrupt() == 0, launched.output
        assert time.monotonic() - interrupted_at < STOP_SECONDS
        assert launched.left_behind() == []
        assert not (launched.home / "servers.env").exists()

        launched.start()
        assert launched.api_key == key
        assert launched.get(f"/api/notifications/{first}").json()["status"] == "delivered"
        second = launched.paste_curl_line()["jobId"]
        launched.wait_for_status(second, "delivered")

        launched.process.send_signal(signal.SIGKILL)
        launched.process.wait()
        assert comes_true(lambda: launched.left_behind() == [], poll_seconds=0.1)

        launched.start()
        for job_id in (first, second):
            assert launched.get(f"/api/notifications/{job_id}").json()["status"] == "delivered"
        launched.process.send_signal(signal.SIGTERM)
        assert launched.process.wait(STOP_SECONDS + 5) == 0, launched.output
        assert launched.left_behind() == []
    finally:
        launched.end()
