"""Debian's nginx with the configuration that is in deploy/, before web processes on this machine."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.control import CHECKOUT
from wavecom.errors import ConfigurationError, Problem
from wavecom.local.ports import LOOPBACK
from wavecom.local.service import Service

CONFIGURATION = CHECKOUT / "deploy" / "nginx.conf"

_UPSTREAM = "server web:8000 max_fails=0;"
_LISTEN = "listen 443 ssl;"
_CERTIFICATE = "ssl_certificate     /etc/ssl/notify.example.com.pem;"
_KEY = "ssl_certificate_key /etc/ssl/notify.example.com.key;"
_FRAME = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    log_format upstreams '$upstream_addr';
    access_log {folder}/access.log upstreams;
    client_body_temp_path {folder}/bodies;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Nginx(Service):
    """Hands requests that come in at ``port`` on to the web processes at ``web_ports``, each to the next.

    ``certificate``: files of a certificate and its key; without them it speaks plain HTTP. ``folder`` keeps its files.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        web_ports: Sequence[int],
        certificate: tuple[Path, Path] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__("nginx", log=folder / "output.log", environment=environment)
        self._home = folder.absolute()
        self._port = port
        self._web_ports = web_ports
        self._certificate = certificate

    def served(self) -> Counter[int]:
        """By port, how many requests each web process answered; one that took no connection answered none."""
        lines = (self._home / "access.log").read_text(encoding="utf-8").splitlines()
        # All that were tried are named; a request that nobody took has "wavecom" there, or "-".
        last = [line.rpartition(", ")[2].rpartition(":")[2] for line in lines]
        return Counter(int(port) for port in last if port.isdigit())

    def _command(self) -> Sequence[str]:
        # Debian keeps it out of ordinary users' PATH.
        program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if program is None:
            raise ConfigurationError([Problem("nginx", "is not installed: apt-get install nginx")])
        self._home.mkdir(parents=True, exist_ok=True)
        (self._home / "site.conf").write_text(self._site(), encoding="utf-8")
        configuration = self._home / "nginx.conf"
        configuration.write_text(_FRAME.format(folder=self._home), encoding="utf-8")
        return [program, "-p", str(self._home), "-c", str(configuration)]

    def _site(self) -> str:
        """The configuration with places and names of this machine in it, and nothing else changed."""
        servers = [f"server {LOOPBACK}:{port} max_fails=0;" for port in self._web_ports]
        changes = {_UPSTREAM: "\n    ".join(servers)}
        if self._certificate is None:
            changes |= {_LISTEN: f"listen {LOOPBACK}:{self._port};", _CERTIFICATE: "", _KEY: ""}
        else:
            certificate, key = self._certificate
            changes |= {
                _LISTEN: f"listen {LOOPBACK}:{self._port} ssl;",
                _CERTIFICATE: f"ssl_certificate {certificate};",
                _KEY: f"ssl_certificate_key {key};",
            }
        site = CONFIGURATION.read_text(encoding="utf-8")
        for theirs, ours in changes.items():
            if site.count(theirs) != 1:
                raise ConfigurationError([Problem(str(CONFIGURATION), f"has no line, or several: {theirs}")])
            site = site.replace(theirs, ours)
        return site


def listens(port: int) -> bool:
    """Whether somebody takes connections at ``port`` of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0
