"""A private Redis."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Sequence

from wavecom.local.ports import LOOPBACK, free_ports
from wavecom.local.server import PrivateServer, not_installed


class PrivateRedis(PrivateServer):
    """``redis-server`` with an append-only file, synced every second, that never evicts."""

    name = "Redis"
    _port = 0

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self._port}/0"

    def answers(self) -> bool:
        if not self.is_running:
            return False
        try:
            with socket.create_connection((LOOPBACK, self._port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"  # -LOADING while it reads its file
        except OSError:
            return False

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
        return [program, *(part for name, value in options.items() for part in (f"--{name}", value))]


def _version(program: str) -> tuple[int, int]:
    """0.0 when it doesn't say."""
    says = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", says)
    return (int(found[1]), int(found[2])) if found else (0, 0)
