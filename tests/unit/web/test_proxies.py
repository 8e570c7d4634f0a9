"""Who asks and whether by TLS: told by trusted proxies, invented by everybody else."""

from __future__ import annotations

from typing import Any

import pytest

from wavecom.web.proxies import TrustedProxies, is_secure

CONNECTION = "10.0.0.7"


def _resolved(count: int, scheme: str = "http", **headers: str) -> dict[str, Any]:
    environ: dict[str, Any] = {"REMOTE_ADDR": CONNECTION, "wsgi.url_scheme": scheme, **headers}
    TrustedProxies(count).resolve(environ)
    return environ


@pytest.mark.parametrize(
    ("count", "forwarded", "address"),
    [
        (0, "192.0.2.1", CONNECTION),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "203.0.113.5, 192.0.2.1", "192.0.2.1"),
        (2, "203.0.113.5, 192.0.2.1", "203.0.113.5"),
        (2, "6.6.6.6, 203.0.113.5,192.0.2.1", "203.0.113.5"),
        (2, "192.0.2.1", CONNECTION),
        (1, "192.0.2.1:4711", "192.0.2.1"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
        (1, "2001:DB8::1", "2001:db8::1"),
        (1, "", CONNECTION),
        (1, " ", CONNECTION),
        (1, "unknown", CONNECTION),
        (1, "192.0.2.1,", CONNECTION),
        (1, "192.0.2.1, <script>", CONNECTION),
        (1, "192.0.2.1\n", "192.0.2.1"),
        (1, "192.0.2.999", CONNECTION),
    ],
)
def test_the_address_is_what_the_outermost_trusted_proxy_saw(count: int, forwarded: str, address: str) -> None:
    assert _resolved(count, HTTP_X_FORWARDED_FOR=forwarded)["REMOTE_ADDR"] == address


@pytest.mark.parametrize(
    ("count", "scheme", "forwarded", "expected"),
    [
        (0, "http", "https", False),
        (0, "https", "http", True),
        (1, "http", "https", True),
        (1, "http", "HTTPS", True),
        (1, "https", "http", False),
        (1, "http", "https, http", False),
        (2, "http", "https, http", True),
        (2, "http", "https", True),
        (1, "http", "", False),
        (1, "https", "", True),
        (1, "http", "wss", False),
        (1, "http", "https;", False),
    ],
)
def test_tls_is_what_the_outermost_trusted_proxy_says(count: int, scheme: str, forwarded: str, expected: bool) -> None:
    assert is_secure(_resolved(count, scheme, HTTP_X_FORWARDED_PROTO=forwarded)) is expected


@pytest.mark.parametrize("count", [0, 1, 3])
def test_nobody_behind_can_read_the_headers_past_this_place(count: int) -> None:
    environ = _resolved(count, HTTP_X_FORWARDED_FOR="192.0.2.1", HTTP_X_FORWARDED_PROTO="https")

    assert not [name for name in environ if "FORWARDED" in name]
