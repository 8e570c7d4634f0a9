"""Which addresses of push services may be called: they come from browsers, so anybody could have made them up."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from urllib.parse import urlsplit

from wavecom.providers.base import UnsendableError
from wavecom.providers.configuration.options import is_this_machine
from wavecom.providers.transport.deadline import Deadline, Resolve, look_up

#: So long the addresses of a host are used that was looked up.
KEPT_SECONDS: Final = 60.0
#: Hosts whose addresses are kept: many more than there are push services.
_MOST_KEPT: Final = 1_000

_FIELD: Final = "to.subscription.endpoint"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address of a push service that may be called, if its host's addresses may."""

    url: str
    host: str
    port: int
    #: Scheme, host and port, as a token for it names them (RFC 8292 section 2).
    origin: str


class EndpointGuard:
    """Lets through https addresses of ``allowed_hosts`` alone, and only to public addresses. Thread-safe.

    ``*.example`` stands for every host below ``example``. A host of this machine must be named by itself.
    """

    def __init__(self, allowed_hosts: Collection[str], resolve: Resolve = socket.getaddrinfo) -> None:
        self._names = frozenset(each.lower() for each in allowed_hosts if not each.startswith("*."))
        self._endings = tuple(each[1:].lower() for each in allowed_hosts if each.startswith("*."))
        self._resolve = resolve
        #: Host and port → its addresses, and until when they count (monotonic).
        self._kept: dict[tuple[str, int], tuple[tuple[str, ...], float]] = {}

    def endpoint(self, url: str) -> Endpoint:
        """The address, checked by itself. Raises ``UnsendableError``, which names the field and not the address."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port or 443
        except ValueError:
            raise UnsendableError(f"{_FIELD}: is no address") from None
        # One name, one address: no two programs may read it in two ways.
        is_plain = re.fullmatch(r"[!-~]+", url) is not None and "\\" not in url and "@" not in parts.netloc
        if parts.scheme != "https" or not is_plain or not host or parts.fragment:
            raise UnsendableError(f"{_FIELD}: must be a plain https address")
        if host not in self._names and not host.endswith(self._endings or ("\0",)):
            raise UnsendableError(f"{_FIELD}: is of no push service in allowed_hosts")
        shown = f"[{host}]" if ":" in host else host
        origin = f"https://{shown}" if parts.port in {None, 443} else f"https://{shown}:{port}"
        return Endpoint(url, host, port, origin)

    def known_addresses(self, endpoint: Endpoint) -> tuple[str, ...]:
        """The addresses of its host, where they were looked up of late; else none."""
        addresses, until = self._kept.get((endpoint.host, endpoint.port), ((), 0.0))
        return addresses if time.monotonic() < until else ()

    def look_up(self, endpoint: Endpoint, seconds: float) -> tuple[str, ...]:
        """The addresses of its host, looked up once and to be used as they are.

        Raises ``OSError`` where there are none in time, and ``UnsendableError`` where one of them is not public.
        """
        found = look_up(endpoint.host, endpoint.port, Deadline(seconds), self._resolve)
        addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
        for address in addresses:
            if not self._may_be_called(endpoint.host, ip_address(address.partition("%")[0])):
                raise UnsendableError(f"{_FIELD}: is at an address that is not public")
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[endpoint.host, endpoint.port] = (addresses, time.monotonic() + KEPT_SECONDS)
        return addresses

    def _may_be_called(self, host: str, address: IPv4Address | IPv6Address) -> bool:
        if isinstance(address, IPv6Address):
            # An IPv4 address in other clothes (RFC 4291 section 2.5.5, RFC 3056, RFC 6052).
            inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
            if inner is not None:
                return self._may_be_called(host, inner)
        if address.is_loopback:
            return host in self._names and (is_this_machine(host) or host.endswith(".localhost"))
        return address.is_global and not address.is_multicast


def _nat64(address: IPv6Address) -> IPv4Address | None:
    is_translated = int(address) >> 32 == int(IPv6Address("64:ff9b::")) >> 32
    return IPv4Address(int(address) & 0xFFFFFFFF) if is_translated else None
