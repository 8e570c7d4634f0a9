"""``wavecom run``: everything on one machine, from nothing to a panel that says where it is, and down again."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from wavecom import private_files
from wavecom.errors import ConfigurationError, Problem, SettingsError
from wavecom.local.first_request import first_request
from wavecom.local.given_servers import given_servers
from wavecom.local.home import AlreadyRunningError, Home, RunningLauncher
from wavecom.local.interrupts import Interrupts
from wavecom.local.logs import rotate, tail
from wavecom.local.orphans import end_orphans
from wavecom.local.ports import is_free
from wavecom.local.programs import PROGRAMS, Program, ProgramService
from wavecom.local.readiness import Check, check_of, reachable_host
from wavecom.local.scaling import SCALED, WorkerScaling, title_of
from wavecom.local.screen import Screen
from wavecom.local.server import PrivateServer
from wavecom.local.servers import PrivateMongo, PrivateRabbitMQ, PrivateRedis
from wavecom.local.service import MARK, Service
from wavecom.local.supervisor import ShutdownPhase, Supervisor
from wavecom.providers.configuration.values import ProvidersConfig
from wavecom.providers.file import read_providers_file
from wavecom.services.autoscaling import autoscaling_services, check_autoscaling
from wavecom.settings import Settings, default_home

#: Everything must be up within this time, and a program that dies so often before it was ever ready is given up.
START_SECONDS = 180
DEATHS_AT_START = 3
#: Servers of the user's own may be just starting as well.
GIVEN_SERVERS_SECONDS = 30

# Seconds after Ctrl-C at which what still runs is killed, in the order of ending. Killed workers and servers lose
# nothing: their jobs' leases run out, what the servers acknowledged is on disk. RabbitMQ takes 6 s when all is well:
# its management agent has to be given up on after 5.
_WEB_UNTIL, _WORKERS_UNTIL, _FLOWER_UNTIL, _SERVERS_UNTIL = 4, 7.5, 8.5, 13.5

#: The user of ``wavecom.flower``, which is too much to import here.
_FLOWER_USER = "operator"
_POLL_SECONDS = 0.2


class StartFailedError(Exception):
    """Something did not come up; the text says what and why."""


class StopRequestedError(Exception):
    """The user wants it to stop before it was up."""


def run(environment: Mapping[str, str], screen: Screen) -> int:
    """Start everything and keep it running until SIGINT, SIGTERM or SIGHUP.

    Returns the exit code: 0 stopped as asked; 1 already running, did not come up, or killed by a second signal. Raises
    ``ConfigurationError`` when it can't start as it is set up.
    """
    home = Home(Path(environment.get("WAVECOM_HOME") or default_home()).resolve())
    try:
        with private_files.masked(), home.exclusive() as announce, Interrupts() as interrupts:
            # Of a launcher that was killed: its servers are not ours.
            home.forget_servers()
            if ended := end_orphans(home.path):
                screen.say(f"Ended {ended} processes that an earlier start had left behind.")
            settings = Settings.from_environment(environment)
            _check_ports(settings)
            _check_scaling(settings, environment)
            providers = read_providers_file(file, environment) if (file := settings.providers_file) else None
            announce(RunningLauncher(os.getpid(), _url(settings)))
            return _Launcher(settings, home, environment, screen, interrupts, providers).run()
    except AlreadyRunningError as error:
        screen.say(_already_running(home, error.launcher))
        return 1


class _Launcher:
    def __init__(
        self,
        settings: Settings,
        home: Home,
        environment: Mapping[str, str],
        screen: Screen,
        interrupts: Interrupts,
        providers: ProvidersConfig | None,
    ) -> None:
        self._settings = settings
        self._home = home
        self._environment = {**environment, MARK: str(home.path), "WAVECOM_HOME": str(home.path)}
        self._screen = screen
        self._interrupts = interrupts
        self._providers = providers
        self._supervisor = Supervisor(screen.say)
        self._servers: list[PrivateServer] = []
        self._programs: list[ProgramService] = []
        self._is_key_new = False
        self._scaling: WorkerScaling | None = None

    def run(self) -> int:
        try:
            self._start()
        except StopRequestedError:
            exit_code = 0
        except StartFailedError as error:
            self._screen.settled()
            self._screen.say(f"\nWaveCom did not start. {error}\n")
            exit_code = 1
        else:
            self._show_panel()
            while not self._interrupts.count:
                self._supervisor.watch()
                if self._scaling:
                    self._scaling.adjust()
                self._interrupts.pause(_POLL_SECONDS)
            exit_code = 0
        finally:
            if self._scaling:
                self._scaling.close()
            was_patient = self._stop()
        return exit_code if was_patient else 1

    def _start(self) -> None:
        self._find_given_servers()
        self._start_servers()
        self._start_programs()

    def _find_given_servers(self) -> None:
        """Wait until the servers that the environment names answer, and say at once which of them does not."""
        started_at = time.monotonic()
        named: set[str] = set()
        waiting = given_servers(self._environment)
        while waiting:
            troubles = {server: trouble for server in waiting if (trouble := server.trouble()) is not None}
            for server in waiting:
                if server not in troubles:
                    self._screen.done(f"{server.title} answers")
                elif server.variable not in named:
                    named.add(server.variable)
                    self._screen.say(
                        f"{server.title} can't be reached: {troubles[server]}.\n"
                        f"  Start it or correct {server.variable}, or unset it: WaveCom then starts one of its own."
                    )
            waiting = list(troubles)
            if self._interrupts.count:
                raise StopRequestedError
            seconds = time.monotonic() - started_at
            if waiting and seconds > GIVEN_SERVERS_SECONDS:
                titles = ", ".join(server.title for server in waiting)
                raise StartFailedError(f"No answer within {GIVEN_SERVERS_SECONDS} s: {titles}.")
            if waiting:
                self._screen.waiting_for([server.title for server in waiting], seconds)
                self._interrupts.pause(1)
        self._screen.settled()

    def _start_servers(self) -> None:
        servers = self._private_servers()
        problems: list[Problem] = []
        for server in servers:
            rotate(server.log)
            self._servers.append(server)
            try:
                self._supervisor.start(server)
            except ConfigurationError as error:
                problems += error.problems
        if problems:
            raise ConfigurationError(problems)
        self._wait_until_ready(servers)
        for server in servers:
            if isinstance(server, PrivateMongo) and not server.has_login:
                self._screen.say(
                    f"Warning: {server.program} knows no passwords: every user of this machine can read and change all"
                    " that WaveCom stores. Use mongod or secantusd-py, or set MONGODB_URI to a server of yours."
                )
        addresses = {name: value for server in servers for name, value in _addresses(server).items()}
        self._environment.update(addresses)
        self._home.publish_servers(addresses)

    def _private_servers(self) -> list[PrivateServer]:
        """Those whose address the environment does not give."""
        mongo_program = self._environment.get("WAVECOM_MONGO_SERVER")
        tools = default_home().parent / "tools" / "bin"
        home, environment = self._home.path, self._environment
        servers: dict[str, PrivateServer] = {
            "AMQP_URL": PrivateRabbitMQ(
                home / "rabbitmq", log=self._home.logs / "rabbitmq.log", environment=environment
            ),
            "REDIS_URL": PrivateRedis(home / "redis", log=self._home.logs / "redis.log", environment=environment),
            "MONGODB_URI": PrivateMongo(
                home / "mongodb",
                log=self._home.logs / "mongodb.log",
                environment=environment,
                program=_program(mongo_program) if mongo_program else None,
                tools=tools,
            ),
        }
        return [server for variable, server in servers.items() if not environment.get(variable, "").strip()]

    def _start_programs(self) -> None:
        self._is_key_new = self._settings.api_key is None and not self._home.has_api_key()
        self._environment["WAVECOM_API_KEY"] = self._settings.api_key or self._home.api_key()
        self._environment["WAVECOM_SECRET_KEY"] = self._settings.secret_key or self._home.secret_key()
        self._environment["WAVECOM_FLOWER_PASSWORD"] = self._settings.flower_password or self._home.flower_password()
        self._environment["PYTHONUNBUFFERED"] = "1"
        for program in PROGRAMS:
            for number in range(1, self._copies(program) + 1):
                self._start_program(program, number)
        self._wait_until_ready(self._programs)
        if self._settings.workers_follow_load:
            self._scaling = WorkerScaling(
                autoscaling_services(Settings.from_environment(self._environment)).autoscaler.decide,
                self._supervisor,
                self._start_program,
                self._screen.say,
            )

    def _copies(self, program: Program) -> int:
        """How many of a program there are at the start."""
        settings = self._settings
        if settings.workers_follow_load and program.name in SCALED:
            return settings.workers_min
        return settings.workers if program.name == "worker" else 1

    def _start_program(self, program: Program, number: int) -> None:
        title = title_of(program, number)
        service = ProgramService(
            program, title=title, log=self._home.logs / f"{title}.log", environment=self._environment
        )
        rotate(service.log)
        # Workers that the load no longer asked for have gone.
        watched = self._supervisor.services
        self._programs = [each for each in self._programs if each in watched] + [service]
        self._supervisor.start(service)

    def _wait_until_ready(self, services: Sequence[Service]) -> None:
        started_at = time.monotonic()
        waiting: dict[Service, Check] = {service: check_of(service, self._settings) for service in services}
        reasons: dict[Service, str] = {}
        while waiting:
            seconds = time.monotonic() - started_at
            self._screen.waiting_for([f"{each.title}: {reasons.get(each, 'starting')}" for each in waiting], seconds)
            self._supervisor.watch()
            for service, check in list(waiting.items()):
                if self._interrupts.count:
                    raise StopRequestedError
                if self._supervisor.deaths(service) >= DEATHS_AT_START:
                    raise StartFailedError(f"{service.title} has ended {DEATHS_AT_START} times; see {service.log}")
                reason = check() if service.is_running else "is not running"
                if reason is None:
                    self._screen.done(f"{service.title} is ready ({time.monotonic() - started_at:.1f} s)")
                    del waiting[service]
                    continue
                reasons[service] = reason[:100]
                if seconds > START_SECONDS:
                    raise StartFailedError(f"{service.title} {reason} after {START_SECONDS} s.\n{tail(service.log)}")
            self._interrupts.pause(_POLL_SECONDS)
        self._screen.settled()

    def _show_panel(self) -> None:
        settings, home = self._settings, self._home
        url = _url(settings)
        if settings.api_key:
            shown_key, key_in_shell = "the one in WAVECOM_API_KEY", "$WAVECOM_API_KEY"
        else:
            # Shown once, and to a person: what is written to a pipe ends in some log.
            is_shown = self._is_key_new and self._screen.is_terminal
            kept_in = f"in {home.api_key_file}, which only you can read"
            shown_key = f"{home.api_key()} (shown this once; kept {kept_in})" if is_shown else kept_in
            key_in_shell = f"$(cat {shlex.quote(str(home.api_key_file))})"
        password = "in WAVECOM_FLOWER_PASSWORD" if settings.flower_password else f"in {home.flower_password_file}"
        self._screen.panel(
            "WaveCom is up",
            [
                ("Pages and API", url),
                ("Flower", f"http://127.0.0.1:{settings.flower_port} (user {_FLOWER_USER}, password {password})"),
                ("API key", shown_key),
                ("Logs", str(home.logs)),
                ("Stop", "Ctrl-C"),
            ],
        )
        self._screen.say(first_request(self._providers, url, key_in_shell))

    def _stop(self) -> bool:
        self._screen.settled()
        if self._servers or self._programs:
            self._screen.say("Stopping; Ctrl-C again to kill.")
        by_name = {
            name: [service for service in self._programs if service.program.name == name]
            for name in (program.name for program in PROGRAMS)
        }
        workers = [*by_name["beat"], *by_name["worker"], *by_name["worker-high"], *by_name["ops"]]
        quick_first = sorted(self._servers, key=lambda server: server.stop_seconds)
        try:
            was_patient = self._supervisor.stop(
                [
                    ShutdownPhase(services=by_name["web"], until_seconds=_WEB_UNTIL),
                    ShutdownPhase(services=workers, until_seconds=_WORKERS_UNTIL),
                    ShutdownPhase(services=by_name["flower"], until_seconds=_FLOWER_UNTIL),
                    ShutdownPhase(services=quick_first, until_seconds=_SERVERS_UNTIL),
                ],
                self._interrupts,
            )
        finally:
            self._home.forget_servers()
        self._screen.say("Stopped.")
        return was_patient


def _addresses(server: PrivateServer) -> dict[str, str]:
    match server:
        case PrivateRabbitMQ():
            return {"AMQP_URL": server.url, "WAVECOM_RABBITMQ_API_URL": server.api_url}
        case PrivateRedis():
            return {"REDIS_URL": server.url}
        case _:
            return {"MONGODB_URI": server.url}


def _check_ports(settings: Settings) -> None:
    wanted = [
        ("WAVECOM_PORT", settings.host, settings.port),
        ("WAVECOM_FLOWER_PORT", "127.0.0.1", settings.flower_port),
    ]
    taken = [
        Problem(variable, f"port {port} on {host} is taken by another program; set {variable} to a free one")
        for variable, host, port in wanted
        if not is_free(host, port)
    ]
    if taken:
        raise ConfigurationError(taken)


def _check_scaling(settings: Settings, environment: Mapping[str, str]) -> None:
    if settings.workers_follow_load:
        # A RabbitMQ of our own has its API.
        is_own = not environment.get("AMQP_URL", "").strip()
        check_autoscaling(settings, has_api=is_own or bool(settings.rabbitmq_api_url))


def _program(path: str) -> Path:
    program = Path(path).absolute()
    if not os.access(program, os.X_OK) or program.is_dir():
        raise SettingsError([Problem("WAVECOM_MONGO_SERVER", f"there is no program {path}; give the path of one")])
    return program


def _url(settings: Settings) -> str:
    host = reachable_host(settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _already_running(home: Home, running: RunningLauncher | None) -> str:
    who = f"WaveCom already runs at {running.url}, process {running.pid}" if running else "WaveCom is just starting"
    stop = f" It stops with Ctrl-C where it was started, or with: kill {running.pid}" if running else ""
    return (
        f"{who}, with its data in {home.path}.{stop}\n"
        "To run another copy beside it, give it its own WAVECOM_HOME, WAVECOM_PORT and WAVECOM_FLOWER_PORT."
    )
