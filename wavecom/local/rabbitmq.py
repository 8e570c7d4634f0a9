"""A private RabbitMQ, with a port mapper of its own."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

from wavecom.errors import ConfigurationError, Problem
from wavecom.local.port_mapper import PortMapper
from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.rabbitmq_logins import ADMINISTRATOR, APPLICATION, MONITOR, RabbitMQLogins
from wavecom.local.server import PrivateServer, not_installed

#: Not ``rabbitmq_prometheus``: its page has no lock.
MANAGEMENT = ("rabbitmq_management",)

_REMEDY = "Install it (apt-get install rabbitmq-server), or set AMQP_URL to one of yours."
# Quorum queues with message TTL and at-least-once dead-lettering.
_OLDEST_VERSION = (3, 10)
_PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
_CONNECTION_START = b"\x01\x00\x00"
_LOOPBACK_ONLY = "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false"
# Schedulers that spin while they wait take the processor from everything else on a small machine. Those for file
# access may: the boot, which reads thousands of files, is nearly twice as fast.
_LITTLE_SPINNING = "+sbwt none +sbwtdcpu none +sbwtdio short"


class PrivateRabbitMQ(PrivateServer):
    """One node on loopback. ``plugins``: fewer start and stop faster; the HTTP ones drain for 5 s.

    Its ``epmd`` is its own too: the system's is neither used nor left behind. So are its users (``rabbitmq_logins``)
    and its Erlang cookie; there is no ``guest``. A node of a time when there was one keeps its data, and is not ready
    before everybody else is gone.
    """

    name = "RabbitMQ"
    start_seconds = 90
    stop_seconds = 12

    def __init__(
        self,
        home: Path,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        plugins: Sequence[str] = MANAGEMENT,
        node: str = "wavecom",
        epmd_port: int | None = None,
        configuration: Sequence[str] = (),
    ) -> None:
        """``node`` is its name among the nodes of a cluster, which share a port mapper at ``epmd_port`` that somebody
        else runs. ``configuration``: further lines of its ``rabbitmq.conf``.
        """
        super().__init__(home, log=log, environment=environment)
        self.node = f"{node}@localhost"
        self._plugins = tuple(plugins)
        self._foreign_epmd_port = epmd_port
        #: Further lines of ``rabbitmq.conf``, written at each start.
        self.configuration = list(configuration)
        self._ports: dict[str, int] = {}
        self._port_mapper: PortMapper | None = None

    @cached_property
    def logins(self) -> RabbitMQLogins:
        """Who may log in; made on the first start."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return RabbitMQLogins.kept_in(self.home, was_open=any((self.home / "data").glob("*")))

    @property
    def port(self) -> int:
        """Where it speaks AMQP; 0 before the first start."""
        return self._ports.get("amqp", 0)

    @property
    def url(self) -> str:
        """The address for the application, with its login: ``amqp://…``."""
        return self.url_of(self.logins.vhost)

    def url_of(self, vhost: str) -> str:
        """The address of ``vhost``, in which the application has all rights only if it is its own."""
        place = f"{LOOPBACK}:{self.port}/{quote(vhost, safe='')}"
        return f"amqp://{APPLICATION}:{self.logins.passwords[APPLICATION]}@{place}"

    @property
    def api_url(self) -> str:
        """The management API for one who only looks; answers only with the plugin ``rabbitmq_management``."""
        return self._api_url_of(MONITOR)

    @property
    def admin_api_url(self) -> str:
        """The management API for one who may do everything, and the address of its pages' log-in."""
        return self._api_url_of(ADMINISTRATOR)

    def _api_url_of(self, user: str) -> str:
        return f"http://{user}:{self.logins.passwords[user]}@{LOOPBACK}:{self._ports.get('management', 0)}/api/"

    def answers(self) -> bool:
        if not self.is_running:
            return False
        try:
            with socket.create_connection((LOOPBACK, self._ports["amqp"]), timeout=1) as connection:
                connection.sendall(_PROTOCOL_HEADER)
                is_up = connection.recv(3) == _CONNECTION_START
        except OSError:
            return False
        return is_up and (not self.logins.was_open or self._is_rid_of_others())

    def _is_rid_of_others(self) -> bool:
        """Whether nobody is left who could log in when this node was open to all."""
        try:
            users = self.ctl("list_users", "--silent", "--no-table-headers").splitlines()
            for user in (line.partition("\t")[0] for line in users):
                if user and user not in self.logins.passwords:
                    self.ctl("delete_user", user)
        except (subprocess.SubprocessError, OSError):
            return False
        self.logins = self.logins.closed()
        return True

    def ctl(self, *arguments: str, seconds: float = 60, program: str = "rabbitmqctl") -> str:
        """Run ``rabbitmqctl``, or another of RabbitMQ's tools, on this node and return its output.

        Raises ``CalledProcessError`` with it on failure.
        """
        self._start_epmd()
        done = subprocess.run(
            [str(_scripts() / program), *arguments],
            env=dict(self._environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            text=True,
            check=False,
        )
        if done.returncode:
            failure = subprocess.CalledProcessError(done.returncode, [program, *arguments], done.stdout)
            failure.add_note(done.stdout)
            raise failure
        return done.stdout

    def kill(self) -> None:
        super().kill()
        self._stop_epmd()

    def wait(self, seconds: float) -> bool:
        has_ended = super().wait(seconds)
        if has_ended:
            self._stop_epmd()
        return has_ended

    def _command(self) -> Sequence[str]:
        scripts = _scripts()
        if not self._ports:
            names = ("amqp", "epmd", "distribution", "ctl", "management")
            self._ports = dict(zip(names, free_ports(len(names)), strict=True))
        self._write_configuration()
        self.logins.write_cookie()
        # The node registers with it as it boots, and would start one as a daemon of its own.
        self._start_epmd()
        return [str(scripts / "rabbitmq-server")]

    def _write_configuration(self) -> None:
        for folder in ("data", "log", "schema", "config", "plugins"):
            (self.home / folder).mkdir(exist_ok=True, mode=0o700)
        (self.home / "environment.conf").touch()
        (self.home / "advanced.config").write_text("[].\n", encoding="ascii")
        (self.home / "enabled_plugins").write_text(f"[{','.join(self._plugins)}].\n", encoding="ascii")
        lines = [
            f"listeners.tcp.default = {LOOPBACK}:{self._ports['amqp']}",
            # Read at every start; with it there is never a guest.
            f"load_definitions = {self.logins.write_definitions()}",
            "auth_mechanisms.1 = PLAIN",
            "auth_mechanisms.2 = AMQPLAIN",
            "vm_memory_high_watermark.absolute = 1GB",
            "disk_free_limit.absolute = 200MB",
            "raft.wal_max_size_bytes = 33554432",
            "consumer_timeout = 1800000",
            "collect_statistics_interval = 10000",
            "log.file = false",
            "log.console = true",
            "log.console.level = warning",
        ]
        if "rabbitmq_management" in self._plugins:
            lines += [f"management.tcp.ip = {LOOPBACK}", f"management.tcp.port = {self._ports['management']}"]
        lines += self.configuration
        (self.home / "rabbitmq.conf").write_text("\n".join(lines) + "\n", encoding="ascii")

    def _environment(self) -> Mapping[str, str]:
        inherited = {name: value for name, value in self._inherited.items() if not name.startswith("RABBITMQ_")}
        inherited.pop("NOTIFY_SOCKET", None)
        return inherited | {
            "HOME": str(self.home),  # of .erlang.cookie
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._foreign_epmd_port or self._ports["epmd"]),
            # The data folder is named after the node; this name needs no DNS and survives a new host name.
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_USE_LONGNAME": "false",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self._ports["amqp"]),
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_CTL_DIST_PORT_MIN": str(self._ports["ctl"]),
            "RABBITMQ_CTL_DIST_PORT_MAX": str(self._ports["ctl"] + 20),
            "RABBITMQ_CTL_ERL_ARGS": _LOOPBACK_ONLY,
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{_LITTLE_SPINNING} {_LOOPBACK_ONLY}",
            # Whatever is not named here would be read from, or written to, the system's own folders.
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "environment.conf"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(self.home / "config" / "*.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.home / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_SCHEMA_DIR": str(self.home / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self.home / "config"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(self.home / "plugins"),
            "RABBITMQ_PID_FILE": str(self.home / "node.pid"),
            # Makes the start script become the node instead of waiting for it: our child's pid is the node's.
            "RUNNING_UNDER_SYSTEMD": "1",
        }

    def _start_epmd(self) -> None:
        if self._port_mapper is None and self._foreign_epmd_port is None:
            self._port_mapper = PortMapper(
                self._ports["epmd"],
                home=self.home,
                log=self.log,
                environment=self._environment(),
                owner=self.title,
                remedy=_REMEDY,
            )
        if self._port_mapper is not None:
            self._port_mapper.start()

    def _stop_epmd(self) -> None:
        if self._port_mapper is not None:
            self._port_mapper.stop()


def _scripts() -> Path:
    """The folder of the real start scripts. Raises ``ConfigurationError`` when there is none, or it is too old.

    What a distribution puts on PATH may be a wrapper that changes to a user of its own, who can't write our folders.
    """
    # Debian keeps it out of ordinary users' PATH.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which("rabbitmq-server", path=path)
    if program is None:
        raise not_installed("RabbitMQ", _REMEDY)
    found = Path(program)
    resolved = found.resolve()
    folders = [folder / "lib/rabbitmq/bin" for folder in (found.parent.parent, resolved.parent.parent)]
    for folder in (*folders, resolved.parent):
        script = (folder / "rabbitmq-server").resolve()
        if (script.parent / "rabbitmq-env").is_file():
            _refuse_old_version(script)
            return script.parent
    raise ConfigurationError([Problem("RabbitMQ", f"{program} comes without its scripts (rabbitmq-env). {_REMEDY}")])


def _refuse_old_version(script: Path) -> None:
    version = re.search(r"rabbitmq_server-(\d+)\.(\d+)", str(script))
    if version and (int(version[1]), int(version[2])) < _OLDEST_VERSION:
        needed = ".".join(map(str, _OLDEST_VERSION))
        reason = f"{version[1]}.{version[2]} is too old: WaveCom needs {needed} or newer. {_REMEDY}"
        raise ConfigurationError([Problem("RabbitMQ", reason)])
