"""Under which names this server may be asked for, by the ``Host`` of a request.

A page of another site whose name leads to this machine (DNS rebinding) would otherwise be the same site to a browser.
Always allowed is what only who runs the network can make lead here: addresses, names without a dot, ``localhost``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from ipaddress import ip_address

from wavecom.errors import UnknownHostError

#: Hosts that were allowed and are not parsed again; bounded, because with a wildcard peers can invent names.
_KNOWN_LIMIT = 200


class AllowedHosts:
    """``names``: beside those that are always allowed; ``*.example.com`` all below it, ``*`` all there are."""

    def __init__(self, names: Iterable[str], own: Iterable[str] | None = None) -> None:
        own = (socket.gethostname(), socket.getfqdn()) if own is None else own
        names = {_plain(name) for name in (*names, *own)}
        self._names = {name for name in names if not name.startswith("*")}
        self._below = (".localhost", *(name[1:] for name in names if name.startswith("*")))
        self._known: set[str] = set()

    def allows(self, host: str | None) -> bool:
        """Whether a request with this ``Host`` may be answered. Without one (HTTP/1.0) it comes from no browser."""
        if not host or host in self._known:
            return True
        is_allowed = self._is_allowed(_plain(_without_port(host)))
        if is_allowed and len(self._known) < _KNOWN_LIMIT:
            self._known.add(host)
        return is_allowed

    def check(self, host: str | None) -> None:
        """Raises ``UnknownHostError`` for a request that may not be answered."""
        if not self.allows(host):
            raise UnknownHostError(
                "WaveCom is not asked for under this name. If it is right, add the name to WAVECOM_ALLOWED_HOSTS and "
                "restart the web process."
            )

    def _is_allowed(self, name: str) -> bool:
        if name in self._names or name.endswith(self._below):
            return True
        return ("." not in name and name.replace("-", "").replace("_", "").isalnum()) or _is_address(name)


def _without_port(host: str) -> str:
    if host.startswith("["):
        address, _, port = host[1:].partition("]")
        return address if not port or port[1:].isdigit() else host
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
