"""Signature Version 4: proves to an API of AWS who sends a request, and that nobody changed it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
#: RFC 3986's unreserved characters, which alone are not encoded.
_UNRESERVED: Final = "-_.~"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """An access key for one service (``ses``, ``sns``, ``sms-voice``) in one region."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str
    service: str


def signed_headers(
    credentials: AwsCredentials, method: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """``headers`` with ``X-Amz-Date`` and ``Authorization`` added: what the request must be sent with.

    ``url`` is as it will be called; its path is encoded already. The Host header, which the transport makes of it, is
    signed too. ``now`` is aware UTC; AWS refuses what is more than five minutes off.
    """
    parts = urlsplit(url)
    timestamp = now.strftime("%Y%m%dT%H%M%SZ")
    to_sign = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    to_sign |= {"host": _host(parts.scheme, parts.netloc), "x-amz-date": timestamp}
    names = ";".join(sorted(to_sign))
    canonical_request = "\n".join(
        [
            method,
            quote(parts.path or "/", safe="/" + _UNRESERVED),  # encoded a second time, as every service but S3 wants it
            _canonical_query(parts.query),
            *(f"{name}:{to_sign[name]}" for name in sorted(to_sign)),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{timestamp[:8]}/{credentials.region}/{credentials.service}/aws4_request"
    string_to_sign = "\n".join([_ALGORITHM, timestamp, scope, hashlib.sha256(canonical_request.encode()).hexdigest()])
    key = _signing_key(credentials.secret_access_key, timestamp[:8], credentials.region, credentials.service)
    signature = hmac.new(key, string_to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return {**headers, "X-Amz-Date": timestamp, "Authorization": authorization}


def _host(scheme: str, netloc: str) -> str:
    """As HTTP clients write it: without the scheme's usual port."""
    host = netloc.rpartition("@")[2]
    return host.removesuffix({"https": ":443", "http": ":80"}.get(scheme, ""))


def _canonical_query(query: str) -> str:
    encoded = (
        (quote(name, safe=_UNRESERVED), quote(value, safe=_UNRESERVED))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in sorted(encoded))


@lru_cache(maxsize=64)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of a day; four hashes that need not be made for every message."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
