"""Debian's nginx with the configuration that is in deploy/, before web processes of a test."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import requests
import trustme

from wavecom.local.ports import free_ports

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nginx.conf"
START_SECONDS = 20

_FRAME = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 512; }}
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


class Nginx:
    """A context manager: within it nginx hands requests at ``url`` on to the web processes at ``ports``.

    ``ca_file``: whose certificate makes clients trust it. ``folder`` keeps its logs.
    """

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        [port] = free_ports(1)
        self.url = f"https://localhost:{port}"
        self.ca_file = folder / "ca.pem"
        self._folder = folder
        folder.mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(folder / "certificate.pem", append=True)
        servers = "\n    ".join(f"server 127.0.0.1:{each} max_fails=0;" for each in ports)
        site = CONFIGURATION.read_text(encoding="utf-8")
        # Only what is this machine's: places and names.
        for theirs, ours in {
            "server web:8000 max_fails=0;": servers,
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/ssl/notify.example.com.pem": str(folder / "certificate.pem"),
            "/etc/ssl/notify.example.com.key": str(folder / "key.pem"),
        }.items():
            assert site.count(theirs) == 1, theirs
            site = site.replace(theirs, ours)
        (folder / "site.conf").write_text(site, encoding="utf-8")
        (folder / "nginx.conf").write_text(_FRAME.format(folder=folder), encoding="utf-8")

    def __enter__(self) -> Nginx:
        command = ["/usr/sbin/nginx", "-p", str(self._folder), "-c", str(self._folder / "nginx.conf")]
        with (self._folder / "output").open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, (self._folder / "output").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def served(self) -> Counter[str]:
        """How many requests each web process answered, by its address; one that nginx tried in vain counts none."""
        lines = (self._folder / "access.log").read_text(encoding="utf-8").splitlines()
        return Counter(line.rpartition(", ")[2] for line in lines)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/healthz", verify=self.ca_file, timeout=5).ok
        except (requests.RequestException, ssl.SSLError):
            return False
