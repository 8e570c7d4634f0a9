"""Which addresses of push services may be called: they come from browsers, so anybody could have made them up."""

from __future__ import annotations

import socket
from collections.abc import Collection
from typing import Final

from wavecom.core.outbound_addresses import OutboundAddress, parse
from wavecom.providers.base import UnsendableError
from wavecom.providers.configuration.options import is_this_machine
from wavecom.providers.transport.deadline import Resolve
from wavecom.providers.transport.public_addresses import AddressNotPublicError, PublicAddresses

_FIELD: Final = "to.subscription.endpoint"


class EndpointGuard:
    """Lets through https addresses of ``allowed_hosts`` alone, and only to public addresses. Thread-safe.

    ``*.example`` stands for every host below ``example``. A host of this machine must be named by itself.
    """

    def __init__(self, allowed_hosts: Collection[str], resolve: Resolve = socket.getaddrinfo) -> None:
        self._names = frozenset(each.lower() for each in allowed_hosts if not each.startswith("*."))
        self._endings = tuple(each[1:].lower() for each in allowed_hosts if each.startswith("*."))
        own = [name for name in self._names if is_this_machine(name) or name.endswith(".localhost")]
        self._addresses = PublicAddresses(own_hosts=own, resolve=resolve)

    def endpoint(self, url: str) -> OutboundAddress:
        """The address, checked by itself. Raises ``UnsendableError``, which names the field and not the address."""
        try:
            address = parse(url)
        except ValueError as error:
            raise UnsendableError(f"{_FIELD}: {error}") from None
        if address.scheme != "https":
            raise UnsendableError(f"{_FIELD}: must be a plain https address")
        if address.host not in self._names and not address.host.endswith(self._endings or ("\0",)):
            raise UnsendableError(f"{_FIELD}: is of no push service in allowed_hosts")
        return address

    def known_addresses(self, endpoint: OutboundAddress) -> tuple[str, ...]:
        """The addresses of its host, where they were looked up of late; else none."""
        return self._addresses.known(endpoint.host, endpoint.port)

    def look_up(self, endpoint: OutboundAddress, seconds: float) -> tuple[str, ...]:
        """The addresses of its host, looked up once and to be used as they are.

        Raises ``OSError`` where there are none in time, and ``UnsendableError`` where one of them is not public.
        """
        try:
            return self._addresses.look_up(endpoint.host, endpoint.port, seconds)
        except AddressNotPublicError:
            raise UnsendableError(f"{_FIELD}: is at an address that is not public") from None
