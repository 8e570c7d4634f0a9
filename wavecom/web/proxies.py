"""From whom a request came, and whether by TLS: the one place that decides, for all that asks.

A proxy in front of us tells both in ``X-Forwarded-For`` and ``X-Forwarded-Proto``; so may anybody who reaches us
without one. How many proxies are ours is therefore a setting, none by default, and what they say goes where WSGI keeps
these facts (PEP 3333: ``REMOTE_ADDR``, ``wsgi.url_scheme``). HSTS, cookies, the throttle, logs and Flask itself read
them there and nowhere else: the headers are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    Application = Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]

FORWARDED_FOR = "HTTP_X_FORWARDED_FOR"
FORWARDED_PROTO = "HTTP_X_FORWARDED_PROTO"

#: An address with a port, as some proxies write it: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``, ``[2001:db8::1]``.
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d+)?|([0-9.]+):\d+")


class TrustedProxies:
    """``count`` proxies, one behind the other, of which the last one alone can reach us."""

    def __init__(self, count: int) -> None:
        self._count = count

    def resolve(self, environ: dict[str, Any]) -> None:
        """Put the client's address and scheme into ``environ``, in place of those of the proxy that is nearest.

        What the headers say is believed as far as trusted proxies wrote it: each appends the address from which it was
        reached, so the client's is the ``count``-th from the right, and everything to its left is the client's own
        invention. A header that is missing, too short or no address leaves the address of the connection.
        """
        forwarded_for = environ.pop(FORWARDED_FOR, None)
        forwarded_proto = environ.pop(FORWARDED_PROTO, None)
        if self._count == 0:
            return
        environ["REMOTE_ADDR"] = self.client_address(forwarded_for, environ.get("REMOTE_ADDR", ""))
        # Most proxies pass this one on or write it anew, few append to it: its only value is what they all say.
        schemes = _parts(forwarded_proto)
        if schemes:
            scheme = schemes[-min(self._count, len(schemes))].lower()
            if scheme in {"http", "https"}:
                environ["wsgi.url_scheme"] = scheme

    def before(self, app: Application) -> Application:
        """``app`` as a WSGI application that sees each request's environ resolved."""

        def resolved(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            self.resolve(environ)
            return app(environ, start_response)

        return resolved

    def client_address(self, forwarded_for: str | None, connection: str) -> str:
        """The client's address, of a request that came from the address ``connection``; see ``resolve``."""
        addresses = _parts(forwarded_for) if self._count else []
        found = _address(addresses[-self._count]) if len(addresses) >= self._count > 0 else None
        return connection if found is None else found


def is_secure(environ: dict[str, Any]) -> bool:
    """Whether the client speaks TLS, with us or with a proxy of ours; of an environ that was resolved."""
    scheme: str = environ["wsgi.url_scheme"]
    return scheme == "https"


def _parts(header: str | None) -> list[str]:
    # A header that comes several times is joined with commas by the server (RFC 9110, section 5.3).
    return [part.strip() for part in header.split(",")] if header and header.strip() else []


@lru_cache(maxsize=4096)  # To parse one costs as much as the rest of this module, and clients come again.
def _address(text: str) -> str | None:
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
