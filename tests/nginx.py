"""nginx with TLS before web processes of a test."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import requests
import trustme

from harness import nginx
from wavecom.local.logs import tail
from wavecom.local.ports import free_ports

START_SECONDS = 20


class Nginx:
    """A context manager: within it nginx hands requests at ``url`` on to the web processes at ``ports``.

    ``ca_file``: whose certificate makes clients trust it. ``folder`` keeps its logs.
    """

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        [port] = free_ports(1)
        self.url = f"https://localhost:{port}"
        self.ca_file = folder / "ca.pem"
        folder.mkdir()
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        certificate = authority.issue_cert("localhost")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(folder / "certificate.pem", append=True)
        self._service = nginx.Nginx(
            folder, port=port, web_ports=ports, certificate=(folder / "certificate.pem", folder / "key.pem")
        )

    def __enter__(self) -> Nginx:
        self._service.launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._service.is_running, tail(self._service.log)
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._service.kill()

    def served(self) -> Counter[int]:
        """By port, how many requests each web process answered."""
        return self._service.served()

    def _answers(self) -> bool:
        """Whether it does itself; a web process may be behind it or not."""
        try:
            requests.get(f"{self.url}/healthz", verify=self.ca_file, timeout=5)
        except requests.RequestException:
            return False
        return True
