"""A private Redis."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence
from functools import cached_property

from wavecom import private_files
from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.server import PrivateServer, not_installed


class PrivateRedis(PrivateServer):
    """``redis-server`` with an append-only file, synced every second, that never evicts.

    Nobody gets in without the password, which is made on the first start and kept in ``home/password``.
    """

    name = "Redis"
    _port = 0

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    def answers(self) -> bool:
        if not self.is_running:
            return False
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode("ascii"))
                with connection.makefile("rb") as answers:  # -LOADING while it reads its file
                    return answers.readline() == b"+OK\r\n" and answers.readline() == b"+PONG\r\n"
        except OSError:
            return False

    @cached_property
    def _password(self) -> str:
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        return private_files.kept(self.home / "password", private_files.new_secret)

    def _command(self) -> Sequence[str]:
        program = shutil.which("redis-server")
        if program is None:
            raise not_installed(
                self.title, "Install it (apt-get install redis-server), or set REDIS_URL to one of yours."
            )
        self._port = self._port or free_ports(1)[0]
        options = {
            "bind": LOOPBACK,
            "port": str(self._port),
            "requirepass": self._password,
            "dir": str(self.home),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": "256mb",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "loglevel": "warning",
        }
        if _version(program) >= (6, 2):
            # Its own title would overwrite the environment, by which a launcher knows what it has left behind.
            options["set-proc-title"] = "no"
        # In a file: every user of the machine can read a command line.
        configuration = self.home / "redis.conf"
        private_files.write(configuration, "".join(f"{name} {_quoted(value)}\n" for name, value in options.items()))
        return [program, str(configuration)]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _version(program: str) -> tuple[int, int]:
    """0.0 when it doesn't say."""
    says = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", says)
    return (int(found[1]), int(found[2])) if found else (0, 0)
