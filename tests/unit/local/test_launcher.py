"""What the launcher refuses before it starts anything, and how it tells what it has started."""

from __future__ import annotations

import http.server
import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from wavecom.cli import main
from wavecom.errors import ConfigurationError, ProvidersFileError, SettingsError
from wavecom.local.home import Home, RunningLauncher
from wavecom.local.launcher import run
from wavecom.local.ports import free_ports
from wavecom.local.programs import PROGRAMS, ProgramService
from wavecom.local.readiness import check_of, reachable_host
from wavecom.local.screen import Screen
from wavecom.settings import Settings


@pytest.fixture
def output() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def screen(output: io.StringIO) -> Screen:
    return Screen(Console(file=output, width=80))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    web, flower = free_ports(2)
    return {
        "WAVECOM_HOME": str(tmp_path / "home"),
        "WAVECOM_PORT": str(web),
        "WAVECOM_FLOWER_PORT": str(flower),
    }


def program_service(name: str, tmp_path: Path) -> ProgramService:
    program = next(program for program in PROGRAMS if program.name == name)
    return ProgramService(program, title=name, log=tmp_path / f"{name}.log", environment={})


def test_taken_ports_are_all_named_with_the_variable_to_set(environment: dict[str, str], screen: Screen) -> None:
    with socket.socket() as web, socket.socket() as flower:
        for taken, variable in ((web, "WAVECOM_PORT"), (flower, "WAVECOM_FLOWER_PORT")):
            taken.bind(("127.0.0.1", int(environment[variable])))
            taken.listen()

        with pytest.raises(ConfigurationError) as refused:
            run(environment, screen)

    assert [problem.where for problem in refused.value.problems] == ["WAVECOM_PORT", "WAVECOM_FLOWER_PORT"]
    assert f"port {environment['WAVECOM_PORT']} on 127.0.0.1 is taken" in str(refused.value)
    assert {file.name for file in Path(environment["WAVECOM_HOME"]).iterdir()} == {"run.lock"}


def test_a_second_start_says_who_is_there_and_touches_nothing(
    environment: dict[str, str], screen: Screen, output: io.StringIO
) -> None:
    home = Home(Path(environment["WAVECOM_HOME"]))
    with home.exclusive() as announce:
        announce(RunningLauncher(4711, "http://127.0.0.1:8000"))
        home.publish_servers({"REDIS_URL": "redis://127.0.0.1:1/0"})

        assert run(environment, screen) == 1

        assert (home.path / "servers.env").exists()
    assert "already runs at http://127.0.0.1:8000, process 4711" in output.getvalue()
    assert "WAVECOM_PORT" in output.getvalue()


def test_wrong_settings_are_all_named_before_anything_starts(environment: dict[str, str], screen: Screen) -> None:
    with pytest.raises(SettingsError) as refused:
        run({**environment, "WAVECOM_WORKERS": "many", "AMQP_URL": "http://example.test"}, screen)

    assert {problem.where for problem in refused.value.problems} == {"WAVECOM_WORKERS", "AMQP_URL"}


def test_workers_that_follow_the_load_need_the_api_of_a_rabbitmq_that_is_not_ours(
    environment: dict[str, str], screen: Screen
) -> None:
    automatic = {**environment, "WAVECOM_WORKERS": "auto", "WAVECOM_WORKERS_MIN": "9"}

    with pytest.raises(SettingsError) as refused:
        run({**automatic, "AMQP_URL": "amqp://rabbit.example"}, screen)

    assert {problem.where for problem in refused.value.problems} == {
        "WAVECOM_RABBITMQ_API_URL",
        "WAVECOM_WORKERS_MIN",
    }


def test_a_wrong_providers_file_stops_the_start(environment: dict[str, str], screen: Screen, tmp_path: Path) -> None:
    providers = tmp_path / "providers.toml"
    providers.write_text('[providers.gateway]\ntype = "nothing"\n')

    with pytest.raises(ProvidersFileError, match=r"providers\.toml:2"):
        run({**environment, "WAVECOM_PROVIDERS": str(providers)}, screen)


def test_a_mongo_server_that_is_no_program_is_refused(environment: dict[str, str], screen: Screen) -> None:
    with pytest.raises(SettingsError, match="WAVECOM_MONGO_SERVER: there is no program"):
        run({**environment, "WAVECOM_MONGO_SERVER": "/nowhere/mongod"}, screen)


def test_the_command_tells_a_wrong_setup_in_words_with_exit_code_2(environment: dict[str, str]) -> None:
    result = CliRunner().invoke(main, ["run"], env={**environment, "WAVECOM_PORT": "http"})

    assert result.exit_code == 2
    assert "WAVECOM_PORT" in result.output
    assert "Traceback" not in result.output


def test_the_help_names_every_variable_of_one_machine() -> None:
    result = CliRunner().invoke(main, ["run", "--help"])

    assert result.exit_code == 0
    for variable in ("AMQP_URL", "REDIS_URL", "MONGODB_URI", "WAVECOM_HOME", "WAVECOM_PROVIDERS", "WAVECOM_API_KEY"):
        assert variable in result.output


def test_the_web_app_is_ready_when_readyz_says_so(tmp_path: Path, ready_server: _ReadyServer) -> None:
    check = check_of(program_service("web", tmp_path), Settings(port=ready_server.server_port))

    ready_server.status = 503
    not_yet = check()
    ready_server.status = 200

    assert not_yet == '/readyz answers 503: {"mongodb": "no answer"}'
    assert check() is None


def test_a_web_app_that_listens_everywhere_is_called_on_loopback(tmp_path: Path, ready_server: _ReadyServer) -> None:
    settings = Settings(host="0.0.0.0", port=ready_server.server_port)

    assert check_of(program_service("web", tmp_path), settings)() is None
    assert reachable_host("::") == "::1"
    assert reachable_host("192.0.2.1") == "192.0.2.1"


def test_a_worker_is_ready_when_it_says_that_it_consumes(tmp_path: Path) -> None:
    worker = program_service("worker", tmp_path)
    check = check_of(worker, Settings())

    before = check()
    worker.log.write_text("worker1@host ready.\n")

    assert before == "does not consume yet"
    assert check() is None


def test_in_a_pipe_progress_and_panel_are_plain_lines(screen: Screen, output: io.StringIO) -> None:
    with screen:
        screen.waiting_for(["RabbitMQ"], 1)
        screen.done("RabbitMQ is ready (4.8 s)")
        screen.panel("WaveCom is up", [("Pages and API", "http://127.0.0.1:8000"), ("API key", "wc_live_x")])
        screen.say("curl " + "x" * 200)

    assert output.getvalue().splitlines() == [
        "- RabbitMQ is ready (4.8 s)",
        "",
        "WaveCom is up",
        "  Pages and API  http://127.0.0.1:8000",
        "  API key        wc_live_x",
        "curl " + "x" * 200,
    ]


def test_on_a_terminal_a_line_to_paste_is_not_broken(output: io.StringIO) -> None:
    console = Console(file=output, width=80, force_terminal=True, color_system=None)

    with Screen(console) as screen:
        screen.waiting_for(["RabbitMQ"], 1)
        screen.settled()
        screen.panel("WaveCom is up", [("API key", "wc_live_x")])
        screen.say("curl " + "x" * 200)

    assert "╭" in output.getvalue()
    assert "curl " + "x" * 200 in output.getvalue().splitlines()


class _ReadyServer(http.server.ThreadingHTTPServer):
    status = 200


class _ReadyHandler(http.server.BaseHTTPRequestHandler):
    server: _ReadyServer

    def do_GET(self) -> None:
        body = b'{"mongodb": "no answer"}' if self.path == "/readyz" else b""
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def ready_server() -> Iterator[_ReadyServer]:
    with _ReadyServer(("127.0.0.1", 0), _ReadyHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
