"""Addresses of servers, past the proxy before each of them and through it."""

from __future__ import annotations

from urllib.parse import urlsplit

from wavecom.local.ports import LOOPBACK
from wavecom.local.server import PrivateServer


def port_of(server: PrivateServer) -> int:
    """Where the server itself listens."""
    port = urlsplit(server.url).port
    assert port is not None
    return port


def at_port(url: str, port: int) -> str:
    """The same address behind another port of this machine."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition('@')[0]}@{LOOPBACK}:{port}").geturl()
