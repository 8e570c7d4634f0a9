"""TCP ports of this machine's loopback."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000

_lock = threading.Lock()
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """``count`` different ports that nobody listens on now, and that no process of this user is given from now on.

    They belong to this process until it ends: a server that is down for a restart, or that has not begun to listen yet,
    finds its port free. They are below the range that the kernel takes outgoing connections' ports from: a client that
    calls a port again and again while its server is down would otherwise be given that very port, and keep it.

    Raises ``OSError`` when there are not so many.
    """
    candidates = list(range(_LOWEST, _first_ephemeral_port()))
    random.SystemRandom().shuffle(candidates)
    found: list[int] = []
    with _lock:
        for port in candidates:
            if port not in _given and is_free(LOOPBACK, port) and _claim(port):
                _given.add(port)
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"this machine has no {count} free ports from {_LOWEST} up")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on ``host``:``port`` now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _claim(port: int) -> bool:
    """Whether no other process has claimed ``port``; the claim is the kernel's, and ends with this process."""
    claims = _claims()
    if claims is None:
        return True
    try:
        # One byte of the file for each port.
        fcntl.lockf(claims, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except OSError:
        return False
    return True


@cache
def _claims() -> int | None:
    """The file whose bytes are locked; never closed: that would give all claims up. None: there can be none."""
    path = Path(tempfile.gettempdir(), f"wavecom-ports-{os.getuid()}")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None


def _first_ephemeral_port() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32_768
    return first if first >= _LOWEST + 1000 else 32_768
