"""Where Redis is, when sentinels say which server leads: what ``REDIS_URL`` says then, as one value.

``redis+sentinel://user:password@sentinel1:26379,sentinel2:26379/service/0``: the login is that of Redis, the service is
what the sentinels call it, and 0 its database, which may be left out, as may the ports. ``rediss+sentinel`` is TLS, to
sentinels and servers alike. Options after a question mark: ``sentinel_username`` and ``sentinel_password`` where the
sentinels want a login of their own, ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile`` for TLS. A sign that means
something in an address is written as ``%`` and its number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import parse_qsl, unquote

SENTINEL_SCHEMES: Final = ("redis+sentinel://", "rediss+sentinel://")

_PORT: Final = 26379
_URL: Final = re.compile(
    r"rediss?\+sentinel://(?:(?P<login>[^/?#@]*)@)?(?P<hosts>[^/?#@]*)"
    r"/(?P<service>[^/?#@]+)(?:/(?P<database>[0-9]{0,4}))?(?:\?(?P<options>[^#]*))?"
)
_HOST: Final = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:\s]+))(?::(?P<port>[0-9]{1,5}))?")
_LOGIN_OPTIONS: Final = frozenset({"sentinel_username", "sentinel_password"})
_TLS_OPTIONS: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """The sentinels, in the order in which they were given, and how to log in to the server that they name."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    database: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_user: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)
    is_encrypted: bool = False
    #: Files by the names that redis-py gives them.
    tls_files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``text``. Raises ``ValueError`` that says what to change, without a password."""
        if not text.startswith(SENTINEL_SCHEMES):
            raise ValueError(f"must begin with {' or '.join(SENTINEL_SCHEMES)}")
        found = _URL.fullmatch(text)
        if found is None:
            raise ValueError(
                "can't be read: write redis+sentinel://user:password@host1:26379,host2:26379/service/0, and a sign of "
                "the password that means something in an address as % and its number: @ %40, / %2F, ? %3F, # %23"
            )
        is_encrypted = text.startswith("rediss")
        options = dict(parse_qsl(found["options"] or "", keep_blank_values=True))
        known = _LOGIN_OPTIONS | (_TLS_OPTIONS if is_encrypted else frozenset())
        if unknown := sorted(set(options) - known):
            raise ValueError(f"has options that are not known here: {', '.join(unknown)}; there are {_listed(known)}")
        user, _, password = (unquote(part) or None for part in (found["login"] or "").partition(":"))
        return cls(
            sentinels=tuple(dict.fromkeys(_host(host) for host in found["hosts"].split(","))),
            service=unquote(found["service"]),
            database=int(found["database"] or 0),
            user=user,
            password=password,
            sentinel_user=options.get("sentinel_username"),
            sentinel_password=options.get("sentinel_password"),
            is_encrypted=is_encrypted,
            tls_files={name: value for name, value in options.items() if name in _TLS_OPTIONS},
        )


def _host(text: str) -> tuple[str, int]:
    found = _HOST.fullmatch(text.strip())
    port = int(found["port"] or _PORT) if found else 0
    if found is None or not 1 <= port <= 65_535:
        raise ValueError("has a sentinel that can't be read: write name:port, an IPv6 address in brackets")
    return found["address"] or found["name"], port


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
