"""Which addresses that others have given us may be called: plain URLs, and public IP addresses alone. Pure.

Who looks a host's name up and connects (``providers.transport.public_addresses``) asks here about each address that he
found, and connects to that one: a name that is looked up twice may lead to another place the second time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}
#: Used inside networks and never looked up in public (RFC 6762, RFC 8375, RFC 6761; what clouds call themselves).
_PRIVATE_ENDINGS = (".local", ".internal", ".home.arpa", ".localhost", ".localdomain", ".onion")
_LONGEST_URL = 2_000


@dataclass(frozen=True, slots=True)
class OutboundAddress:
    """A URL that was read; ``host`` is in lower case and without brackets. Never shown: it may hold a secret."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> str:
        """Scheme, host and port, as RFC 6454 writes them: the port only where it is not the scheme's own."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == _DEFAULT_PORTS[self.scheme]
        return f"{self.scheme}://{shown}" if is_usual else f"{self.scheme}://{shown}:{self.port}"


def parse(url: str) -> OutboundAddress:
    """The parts of an http or https URL.

    Raises ``ValueError`` with what the URL must be, in words that follow the name of its field.
    """
    if len(url) > _LONGEST_URL:
        raise ValueError(f"must have at most {_LONGEST_URL} characters")
    # One name, one address: no two programs may read it in two ways.
    if re.fullmatch(r"[!-~]+", url) is None or "\\" in url:
        raise ValueError("must be a URL without blanks and backslashes, in ASCII (other letters as xn-- and %-codes)")
    try:
        parts = urlsplit(url)
        host, given_port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("must be a URL such as https://shop.example/wavecom") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise ValueError("must be a URL such as https://shop.example/wavecom")
    if "@" in parts.netloc:
        raise ValueError("must hold no user and no password")
    if parts.fragment or url.endswith("#"):
        raise ValueError("must have no part after a #")
    if not re.fullmatch(r"[a-z0-9_.-]+|[0-9a-f:.]+", host) or given_port == 0:
        raise ValueError("must name a host in its plain form, such as shop.example")
    if _is_odd_ipv4(host):
        raise ValueError("must name a host in its plain form, such as shop.example or 93.184.215.14")
    return OutboundAddress(url, parts.scheme, host, given_port or _DEFAULT_PORTS[parts.scheme])


def _is_odd_ipv4(host: str) -> bool:
    """Whether the host is an IPv4 address in another form than four decimal numbers (https://url.spec.whatwg.org,
    "ends in a number"). An HTTP client reads ``127.0.0.1.`` and ``0x7f.1`` as addresses where a resolver may look up a
    name, and then connects to another place than was checked.
    """
    last = host.rstrip(".").rpartition(".")[2]
    if ":" in host or re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is None:
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False


def is_private_name(host: str) -> bool:
    """Whether a host's name by itself tells that it is inside somebody's network: a single word, ``.internal``."""
    name = host.rstrip(".")
    return ":" not in name and ("." not in name or name.endswith(_PRIVATE_ENDINGS))


def is_public(text: str) -> bool:
    """Whether an IP address may be called: one of the Internet's, and not an inner address in another's form.

    Raises ``ValueError`` for what is no IP address.
    """
    return _is_public(ip_address(text.partition("%")[0]))


def is_loopback(text: str) -> bool:
    """Whether this IP address is this machine. Raises ``ValueError`` for what is no IP address."""
    address = ip_address(text.partition("%")[0])
    inner = inner_address(address) if isinstance(address, IPv6Address) else None
    return (inner or address).is_loopback


def inner_address(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for.

    RFC 4291 section 2.5.5 (mapped and compatible), RFC 3056 (6to4), RFC 6052 (NAT64), RFC 4380 (Teredo: the client's).
    """
    value = int(address)
    if value >> 32 == int(IPv6Address("64:ff9b::")) >> 32 or (value >> 32 == 0 and value > 1):
        return IPv4Address(value & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = inner_address(address)
        if inner is not None:
            return _is_public(inner)
        # NAT64 with a prefix of a network's own (RFC 8215), and site-local addresses (RFC 3879): inside, by definition.
        if address.is_site_local or int(address) >> 80 == int(IPv6Address("64:ff9b:1::")) >> 80:
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
