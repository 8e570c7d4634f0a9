"""``EndpointCaller`` over HTTP: to public addresses alone, each looked up once and connected to as it was found."""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping

from wavecom.core.callbacks import EXCERPT_LENGTH, CallbackTry
from wavecom.core.outbound_addresses import OutboundAddress, parse
from wavecom.core.ports import Clock
from wavecom.providers.transport import HttpTransport, Request, Response, TransportError
from wavecom.providers.transport.deadline import Resolve
from wavecom.providers.transport.public_addresses import AddressNotPublicError, PublicAddresses

#: From the name look-up to the end of the answer. Standard Webhooks asks for 15 to 30 seconds.
TIMEOUT_SECONDS = 15.0


class HttpEndpointCaller:
    """See ``EndpointCaller``. Follows no redirect: what it leads to was not checked. Thread-safe.

    ``private_hosts`` may be anywhere, and be called over http: an operator has named them. All others take https.
    """

    def __init__(
        self,
        transport: HttpTransport,
        clock: Clock,
        *,
        private_hosts: Collection[str] = (),
        resolve: Resolve = socket.getaddrinfo,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._private_hosts = frozenset(private_hosts)
        self._addresses = PublicAddresses(private_hosts=private_hosts, resolve=resolve)
        self._timeout_seconds = timeout_seconds

    def call(self, url: str, headers: Mapping[str, str], body: bytes) -> CallbackTry:
        """See the port. ``fault`` is one of ``TransportFault``, ``address_not_allowed``, ``redirect``, ``http_503``."""
        at, began = self._clock.now(), self._clock.monotonic()

        def ended(status: int | None = None, fault: str | None = None, excerpt: str = "") -> CallbackTry:
            return CallbackTry(at, round((self._clock.monotonic() - began) * 1000), status, fault, excerpt)

        try:
            address = parse(url)
        except ValueError:
            return ended(fault="address_not_allowed")
        if address.scheme != "https" and address.host not in self._private_hosts:
            return ended(fault="address_not_allowed")
        try:
            addresses = self._look_up(address)
        except AddressNotPublicError:
            return ended(fault="address_not_allowed")
        except OSError:
            return ended(fault="dns")
        seconds = self._timeout_seconds - (self._clock.monotonic() - began)
        request = Request(address.url, body, headers, max(0.1, seconds), addresses=addresses)
        try:
            response = self._transport.send(request)
        except TransportError as error:
            return ended(fault=error.fault.value)
        return ended(response.status, fault_of(response.status), excerpt_of(response))

    def _look_up(self, address: OutboundAddress) -> tuple[str, ...]:
        known = self._addresses.known(address.host, address.port)
        return known or self._addresses.look_up(address.host, address.port, self._timeout_seconds / 2)


def fault_of(status: int) -> str | None:
    """What an answer of this status lacks to count as delivered; None: nothing. Only 2xx says that it was taken."""
    if 200 <= status < 300:
        return None
    return "redirect" if 300 <= status < 400 else f"http_{status}"


def excerpt_of(response: Response) -> str:
    """The beginning of the answer's body, as text that shows in one line."""
    text = response.body[: 4 * EXCERPT_LENGTH].decode("utf-8", "replace")
    return "".join(sign if sign.isprintable() else " " for sign in text)[:EXCERPT_LENGTH]
