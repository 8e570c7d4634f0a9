"""The image of ``deploy/Dockerfile``, run as a container runs it, beside real servers: for ``tools/check-image``.

``IMAGE_ROOT`` is the mounted image, ``IMAGE_DESCRIPTION`` what ``buildah inspect`` says of it. Not a part of the test
run: building an image takes root and minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.waiting import wait_until
from wavecom.local.ports import free_ports

ROOT = Path(os.environ["IMAGE_ROOT"])
KEY = "wc_live_w7Rk2TzXm9LbQ4nVc8HsYp0JdGaEuW1fK5oBiMxCzNg"
PROCESSES = ("web", "worker", "ops", "beat")

#: As a container engine does it: the image read-only, its volume and /tmp writable, the rest out of sight.
_ENTER = """
set -eu
root=$1 user=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs -o "uid=$user,mode=0700" tmpfs "$root/var/lib/wavecom"
set -- /usr/bin/env -i -C /var/lib/wavecom "$@"
exec setpriv --no-new-privs chroot --userspec="$user:$user" "$root" "$@"
"""


@pytest.fixture(scope="session")
def configuration() -> Mapping[str, Any]:
    """What the image says of itself, by the names that Docker gives."""
    described: Mapping[str, Any] = json.loads(Path(os.environ["IMAGE_DESCRIPTION"]).read_text())["Docker"]["config"]
    return described


def in_image(configuration: Mapping[str, Any], command: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """The command line that runs ``command`` in the image."""
    settings = [*configuration["Env"], *(f"{name}={value}" for name, value in variables.items())]
    enter = ["unshare", "--mount", "--fork", "--pid", "--kill-child", "sh", "-c", _ENTER, "enter"]
    return [*enter, str(ROOT), configuration["User"], *settings, *command]


@contextmanager
def process(
    configuration: Mapping[str, Any], name: str, variables: Mapping[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the image, ``wavecom start NAME``, until the end of the block."""
    command = in_image(configuration, ["wavecom", "start", name], variables)
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as started:
        try:
            yield started
        finally:
            started.kill()


def test_the_image_names_a_user_without_rights_and_how_it_is_looked_after(configuration: Mapping[str, Any]) -> None:
    assert configuration["User"] == "10001"
    assert configuration["Healthcheck"]["Test"][0] == "CMD"
    assert configuration["Cmd"] == ["wavecom", "start", "web"]
    assert list(configuration["Volumes"]) == ["/var/lib/wavecom"]


def test_nothing_of_the_build_is_left_in_it() -> None:
    assert not (ROOT / "src").exists()
    assert not (ROOT / "etc/pip.conf").exists() or not (ROOT / "etc/pip.conf").read_text()
    assert not list((ROOT / "root").glob(".*cache*"))


def test_its_user_can_write_nothing_but_its_volume_and_tmp(configuration: Mapping[str, Any]) -> None:
    find = "for d in / /opt/wavecom /etc /usr /var /var/lib/wavecom /tmp; do [ -w $d ] && echo $d; done; id -u"
    run = subprocess.run(in_image(configuration, ["sh", "-c", find], {}), capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["/var/lib/wavecom", "/tmp", "10001"]


def test_its_processes_deliver_and_say_how_they_are(
    configuration: Mapping[str, Any], amqp_url: str, redis_url: str, mongodb_uri: str, tmp_path: Path
) -> None:
    [port] = free_ports(1)
    variables = {
        "AMQP_URL": amqp_url,
        "REDIS_URL": redis_url,
        "MONGODB_URI": mongodb_uri,
        "WAVECOM_PORT": str(port),
        "WAVECOM_HOST": "127.0.0.1",
        "WAVECOM_API_KEY": KEY,
        "WAVECOM_SECRET_KEY": "u8Yd3bQmT1xKc5VfW7nZr2LpJ9sHgE4aRkX0tBvM6wC",
        "WAVECOM_OPERATOR_PASSWORD": "mZ4qT9rLw2Kx7vBsYp0JdGaEuW1fK5oBiMxCzNgU8h",
    }
    headers = {"Authorization": f"Bearer {KEY}"}
    address = f"http://127.0.0.1:{port}"
    session = requests.Session()
    session.trust_env = False

    def answers(path: str) -> bool:
        try:
            return session.get(address + path, timeout=5).status_code == requests.codes.ok
        except requests.RequestException:
            return False

    with ExitStack() as opened:
        started = [
            opened.enter_context(process(configuration, name, variables, tmp_path / f"{name}.log"))
            for name in PROCESSES
        ]
        wait_until(lambda: answers("/readyz"), "the web process is ready")
        message = {
            "type": "email",
            "to": {"email": "ada@example.com"},
            "payload": {"subject": "Hi", "text": "It works"},
        }
        answer = session.post(f"{address}/api/notifications", json=message, headers=headers, timeout=10)
        assert answer.status_code == requests.codes.accepted, answer.text
        job = f"{address}/api/notifications/{answer.json()['jobId']}"
        wait_until(
            lambda: session.get(job, headers=headers, timeout=10).json()["status"] == "delivered", "it is delivered"
        )
        check = [part.replace(":8000/", f":{port}/") for part in configuration["Healthcheck"]["Test"][1:]]
        subprocess.run(in_image(configuration, check, {}), check=True, timeout=60)
        assert [each.poll() for each in started] == [None] * len(PROCESSES)
