"""Looks a host's name up once and lets through public addresses alone: the one place that does it for others' URLs.

The caller connects to the addresses that it got (``Request.addresses``), so a name that leads elsewhere when it is
looked up again (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Collection
from typing import Final

from wavecom.core.outbound_addresses import is_loopback, is_public
from wavecom.providers.transport.deadline import Deadline, Resolve, look_up

#: So long the addresses of a host are used that was looked up.
KEPT_SECONDS: Final = 60.0
#: Look-ups of others' names under way at once in this process. Places of their own: who has a name server that never
#: answers must not hold up the look-ups of our providers' hosts.
_PLACES: Final = threading.BoundedSemaphore(32)
#: Hosts whose addresses are kept.
_MOST_KEPT: Final = 1_000


class AddressNotPublicError(Exception):
    """One of the host's addresses is not public. The text names neither host nor address."""


class PublicAddresses:
    """The addresses of hosts, looked up at most once a minute. Thread-safe.

    ``private_hosts`` are names of hosts that may be anywhere, this machine included: an operator has named them.
    ``own_hosts`` are names that may lead to this machine, and to no other private address.
    """

    def __init__(
        self,
        *,
        private_hosts: Collection[str] = (),
        own_hosts: Collection[str] = (),
        resolve: Resolve = socket.getaddrinfo,
    ) -> None:
        self._private_hosts = frozenset(private_hosts)
        self._own_hosts = frozenset(own_hosts)
        self._resolve = resolve
        #: Host and port → its addresses, and until when they count (monotonic).
        self._kept: dict[tuple[str, int], tuple[tuple[str, ...], float]] = {}

    def known(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses of the host, where they were looked up of late; else none."""
        addresses, until = self._kept.get((host, port), ((), 0.0))
        return addresses if time.monotonic() < until else ()

    def look_up(self, host: str, port: int, seconds: float) -> tuple[str, ...]:
        """The addresses of the host, looked up once and to be used as they are.

        Raises ``OSError`` where there are none in time, ``AddressNotPublicError`` where one of them may not be called.
        """
        found = look_up(host, port, Deadline(seconds), self._resolve, _PLACES)
        addresses = tuple(dict.fromkeys(str(each[4][0]) for each in found))
        if not all(self._may_be_called(host, address) for address in addresses):
            raise AddressNotPublicError("the host is at an address that is not public")
        if len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
        self._kept[host, port] = (addresses, time.monotonic() + KEPT_SECONDS)
        return addresses

    def _may_be_called(self, host: str, address: str) -> bool:
        if host in self._private_hosts:
            return True
        return is_public(address) or (host in self._own_hosts and is_loopback(address))
