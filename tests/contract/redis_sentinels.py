"""Two Redis servers, of which one follows the other, and three sentinels that put the follower in its place."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import redis

from tests.waiting import wait_until
from wavecom.local.ports import LOOPBACK, free_ports

SERVICE = "limits"
PASSWORD = "of-redis:/@"
SENTINEL_PASSWORD = "of-sentinels"


class RedisSentinels:
    """Processes of their own in ``home``; ``stop`` ends those that live. ``tls``: lines for the files of each."""

    def __init__(self, home: Path, tls: dict[str, str] | None = None) -> None:
        self._home = home
        self._tls = tls or {}
        self.ports = free_ports(5)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        scheme = "rediss+sentinel" if self._tls else "redis+sentinel"
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.ports[2:])
        options = f"sentinel_password={SENTINEL_PASSWORD}"
        if self._tls:
            options += f"&ssl_ca_certs={self._tls['tls-ca-cert-file']}"
        return f"{scheme}://:of-redis%3A%2F%40@{hosts}/{SERVICE}/1?{options}"

    def start(self) -> None:
        for port in self.ports[:2]:
            self.start_server(port, None if port == self.ports[0] else self.ports[0])
        for port in self.ports[2:]:
            self._start(port, [*_monitoring(self.ports[0]), *self._tls_for("tls-replication yes")], "--sentinel")
        wait_until(lambda: all(self._knows_all(port) for port in self.ports[2:]), 20)

    def start_server(self, port: int, leader: int | None = None) -> None:
        lines = [f"requirepass {PASSWORD}", f"masterauth {PASSWORD}", "save ''", "repl-diskless-sync-delay 0"]
        if leader is not None:
            lines.append(f"replicaof {LOOPBACK} {leader}")
        self._start(port, [*lines, *self._tls_for("tls-replication yes")])

    def kill(self, port: int) -> None:
        process = self._processes.pop(port)
        process.kill()
        process.wait()

    def process(self, port: int) -> subprocess.Popen[bytes]:
        return self._processes[port]

    def leader(self) -> int:
        with self._client(self.ports[2], SENTINEL_PASSWORD) as sentinel:
            return int(sentinel.sentinel_get_master_addr_by_name(SERVICE)[1])

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def _start(self, port: int, lines: list[str], *arguments: str) -> None:
        folder = self._home / str(port)
        folder.mkdir(exist_ok=True)
        listening = [f"port {port}"] if not self._tls else ["port 0", f"tls-port {port}"]
        configuration = folder / "redis.conf"
        configuration.write_text("\n".join([*listening, f"bind {LOOPBACK}", f"dir {folder}", *lines]) + "\n")
        program = shutil.which("redis-server") or "redis-server"
        with (folder / "log").open("ab") as log:
            self._processes[port] = subprocess.Popen([program, str(configuration), *arguments], stdout=log, stderr=log)
        password = SENTINEL_PASSWORD if arguments else PASSWORD
        wait_until(lambda: self._answers(port, password), 10)

    def _tls_for(self, *lines: str) -> list[str]:
        return [*(f"{name} {value}" for name, value in self._tls.items()), *lines] if self._tls else []

    def _client(self, port: int, password: str) -> redis.Redis:
        tls = {"ssl": True, "ssl_ca_certs": self._tls["tls-ca-cert-file"]} if self._tls else {}
        return redis.Redis(LOOPBACK, port, password=password, socket_timeout=1, **tls)  # type: ignore[arg-type]

    def _answers(self, port: int, password: str) -> bool:
        try:
            with self._client(port, password) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _knows_all(self, port: int) -> bool:
        with self._client(port, SENTINEL_PASSWORD) as sentinel:
            state = sentinel.sentinel_master(SERVICE)
        return state["num-slaves"] == 1 and state["num-other-sentinels"] == 2


def _monitoring(leader: int) -> list[str]:
    return [
        f"requirepass {SENTINEL_PASSWORD}",
        f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
        f"sentinel monitor {SERVICE} {LOOPBACK} {leader} 2",
        f"sentinel auth-pass {SERVICE} {PASSWORD}",
        f"sentinel down-after-milliseconds {SERVICE} 1000",
        f"sentinel failover-timeout {SERVICE} 5000",
    ]


def longest_pause(works: Callable[[], bool], until: Callable[[], bool], limit_seconds: float) -> float:
    """Asks again and again; for how long, in seconds, it did not work at a time, by when ``until`` holds."""
    started = worked = time.monotonic()
    longest = 0.0
    while time.monotonic() - started < limit_seconds:
        if works():
            worked = time.monotonic()
            if until():
                return longest
        longest = max(longest, time.monotonic() - worked)
        time.sleep(0.01)
    raise AssertionError(f"did not work again within {limit_seconds} s")
