"""Where RabbitMQ is: what ``AMQP_URL`` and the files for TLS say, as one value that every connection is made from.

One address has the nodes of one cluster. Two forms, which may be mixed, say the same::

    amqp://user:password@rabbit1:5672,rabbit2:5672,rabbit3:5672/vhost
    amqp://user:password@rabbit1/vhost;amqp://user:password@rabbit2/vhost

``amqps`` is TLS: the certificate of each node must be of a trusted authority and name the node's host. Without a port,
5672 or 5671 (TLS) is meant; without a path, the virtual host ``/``. ``localhost`` is read as ``127.0.0.1``, as Celery
does, so that is what its certificate must name. A sign that means something in an address is
written as ``%`` and its number: https://www.rabbitmq.com/docs/uri-spec
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, unquote

_PORTS = {"amqp": 5672, "amqps": 5671}
#: What is read as what. kombu connects to, and asks the certificate for, 127.0.0.1 when it is told localhost: so do we.
_LOCAL_HOSTS = {"": "127.0.0.1", "localhost": "127.0.0.1"}
_BETWEEN_URLS = re.compile(r"\s*,\s*(?=amqps?://)|\s*;\s*", re.IGNORECASE)
_URL = re.compile(
    r"(?P<scheme>amqps?)://(?:(?P<login>[^/?#]*)@)?(?P<hosts>[^/?#@]*)(?:/(?P<path>[^?#]*))?", re.IGNORECASE
)
_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:\s]*))(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class AmqpNode:
    """One node of the broker."""

    host: str
    port: int

    def __str__(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. ``ca``: the authorities to trust, None: the system's; the others: what we show of ourselves."""

    ca: Path | None = None
    certificate: Path | None = None
    #: None: it is in the same file as the certificate.
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class AmqpAddress:
    """The nodes of one broker, in the order in which they were given, and how to log in to any of them."""

    nodes: tuple[AmqpNode, ...]
    user: str
    password: str = field(repr=False)
    vhost: str
    is_encrypted: bool = False
    tls: TlsFiles = TlsFiles()

    @classmethod
    def parse(cls, text: str, tls: TlsFiles | None = None) -> Self:
        """Read ``text``. Raises ``ValueError`` that says what to change, without a password."""
        urls = [_matched(url) for url in _BETWEEN_URLS.split(text.strip().rstrip(";"))]
        if len({(url["scheme"].lower(), url["login"], url["path"]) for url in urls}) > 1:
            raise ValueError(
                "names nodes of different brokers: scheme, user, password and virtual host must be the same for all"
            )
        scheme, files = urls[0]["scheme"].lower(), tls or TlsFiles()
        user, _, password = (unquote(part) for part in (urls[0]["login"] or "").partition(":"))
        shows_certificate = scheme == "amqps" and files.certificate is not None
        if not user and not shows_certificate:
            user, password = "guest", "guest"
        return cls(
            nodes=_nodes([host.strip() for url in urls for host in url["hosts"].split(",")], _PORTS[scheme]),
            user=user,
            password=password,
            vhost=unquote(urls[0]["path"] or "") or "/",
            is_encrypted=scheme == "amqps",
            tls=files,
        )

    @property
    def is_cluster(self) -> bool:
        """Whether there is another node to go to when one is lost."""
        return len(self.nodes) > 1

    @property
    def login_method(self) -> str:
        """``EXTERNAL``: the certificate says who we are; else ``PLAIN``, user and password."""
        return "PLAIN" if self.user else "EXTERNAL"

    @property
    def urls(self) -> list[str]:
        """A URL for each node, as kombu reads them."""
        scheme = "amqps" if self.is_encrypted else "amqp"
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return [f"{scheme}://{login}{node}/{quote(self.vhost, safe='')}" for node in self.nodes]

    def __str__(self) -> str:
        """The nodes, for people: no user and no password."""
        return ",".join(map(str, self.nodes))

    def tls_options(self, host: str | None) -> dict[str, Any]:
        """Keyword arguments of py-amqp for TLS with ``host``, whose name the certificate must have."""
        files = {"ca_certs": self.tls.ca, "certfile": self.tls.certificate, "keyfile": self.tls.key}
        given = {name: str(path) for name, path in files.items() if path is not None}
        return {**given, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": host}


def _matched(url: str) -> re.Match[str]:
    # Never with the URL in the message: it shows the password.
    if not url.lower().startswith(("amqp://", "amqps://")):
        raise ValueError("must begin with amqp:// or amqps://, and so must each URL after a semicolon")
    found = _URL.fullmatch(url)
    if found is None:
        raise ValueError("takes no options after ? or #; a ? or # of a password is written as %3F or %23")
    return found


def _nodes(texts: Sequence[str], usual_port: int) -> tuple[AmqpNode, ...]:
    nodes = [_node(text, usual_port) for text in texts]
    if len(nodes) > 1 and not all(node.host for node in nodes):
        raise ValueError("has a host that is empty: take away the comma or semicolon before or after it")
    return tuple(dict.fromkeys(replace(node, host=_LOCAL_HOSTS.get(node.host.lower(), node.host)) for node in nodes))


def _node(text: str, usual_port: int) -> AmqpNode:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or usual_port) if found else 0
    if found is None or not 1 <= port <= 65_535:
        raise ValueError("has a host that can't be read: write name:port, an IPv6 address in brackets")
    return AmqpNode(found["address"] or found["name"] or "", port)
