"""A server of the user's own that can't be reached is named with its variable, at once, without its password."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from wavecom.errors import ConfigurationError
from wavecom.local import launcher
from wavecom.local.given_servers import given_servers
from wavecom.local.ports import free_ports
from wavecom.local.screen import Screen


def addresses(port: int) -> dict[str, str]:
    return {
        "AMQP_URL": f"amqp://user:s3cret@127.0.0.1:{port}/vhost",
        "REDIS_URL": f"redis://:s3cret@127.0.0.1:{port}/0",
        "MONGODB_URI": f"mongodb://user:s3cret@127.0.0.1:{port}/wavecom",
    }


def test_only_what_the_environment_names_is_looked_at() -> None:
    assert given_servers({"REDIS_URL": "  ", "WAVECOM_PORT": "8000"}) == []
    assert [server.variable for server in given_servers(addresses(1))] == ["AMQP_URL", "REDIS_URL", "MONGODB_URI"]


def test_where_nobody_listens_the_reason_is_told_without_the_password() -> None:
    [port] = free_ports(1)

    for server in given_servers(addresses(port)):
        trouble = server.trouble()

        assert trouble is not None
        assert "refused" in trouble
        assert "s3cret" not in trouble + server.title
        assert f"127.0.0.1:{port} ({server.variable})" in server.title


def test_a_server_that_accepts_and_says_nothing_is_in_trouble_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        [redis] = given_servers({"REDIS_URL": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"})

        assert redis.trouble() is not None


def test_the_launcher_names_them_and_gives_up_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port, web, flower = free_ports(3)
    monkeypatch.setattr(launcher, "GIVEN_SERVERS_SECONDS", 0)
    output = io.StringIO()
    environment = {
        "WAVECOM_HOME": str(tmp_path / "home"),
        "WAVECOM_PORT": str(web),
        "WAVECOM_FLOWER_PORT": str(flower),
        **addresses(port),
    }

    assert launcher.run(environment, Screen(Console(file=output, width=80))) == 1

    for variable in ("AMQP_URL", "REDIS_URL", "MONGODB_URI"):
        assert f"({variable}) can't be reached" in output.getvalue()
    assert "Start it or correct AMQP_URL" in output.getvalue()
    assert "s3cret" not in output.getvalue()


@pytest.mark.parametrize("below", ["/dev/null/home", "/proc/home", "/etc/hostname"])
def test_a_home_that_cannot_be_used_is_told_in_words(below: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        launcher.run({"WAVECOM_HOME": below}, Screen(Console(file=io.StringIO())))

    [problem] = refused.value.problems
    assert problem.where == "WAVECOM_HOME"
    assert below in problem.message
