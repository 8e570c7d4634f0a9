"""TCP ports of this machine's loopback."""

from __future__ import annotations

import random
import socket
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 15_000


def free_ports(count: int) -> list[int]:
    """``count`` different ports that nobody listens on now.

    Below the range that the kernel takes outgoing connections' ports from: while a server is down for a restart, a
    client that calls its port again and again would otherwise be given that very port, and keep it.
    """
    candidates = list(range(_LOWEST, _first_ephemeral_port()))
    random.SystemRandom().shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if is_free(LOOPBACK, port):
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"this machine has no {count} free ports from {candidates[0]} up")


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


def _first_ephemeral_port() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError):
        return 32_768
    return first if first >= _LOWEST + 1000 else 32_768
