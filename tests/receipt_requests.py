"""Requests as providers report with them, and readers built from a providers file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from wavecom.core.receipts import Receipt, ReceiptRequest
from wavecom.providers.file import parse_providers
from wavecom.providers.receipts import Fetch, ReceiptDependencies, ReceiptReader
from wavecom.providers.registry import receipts_class

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PUBLIC_URL = "https://notify.bank.example/receipts/it"


def no_fetch(url: str, *, ca_file: str | None = None) -> bytes:
    """Finds nothing."""
    raise OSError("nothing is there")


def reader_of(table: str, channel: str = "email", fetch: Fetch = no_fetch) -> ReceiptReader:
    """The reader of the provider that is declared by ``table``."""
    config = parse_providers(f'[providers.it]\n{table}\n[routes]\n{channel} = ["it"]', {}).providers["it"]
    cls = receipts_class(config.type)
    assert cls is not None
    return cls(config, ReceiptDependencies(fetch=fetch, public_url=PUBLIC_URL))


def posted(content: object, headers: Mapping[str, str] | None = None, at: datetime = NOW) -> ReceiptRequest:
    """A POST of bytes, or of JSON."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return ReceiptRequest(method="POST", url=PUBLIC_URL, query="", headers=dict(headers or {}), body=body, at=at)


def only_receipt(reader: ReceiptReader, request: ReceiptRequest) -> Receipt:
    """The one receipt in a request."""
    batch = reader.read(request)
    [receipt] = batch.receipts
    assert not batch.unreadable
    return receipt


def sms_reader(table: str, fetch: Fetch = no_fetch) -> ReceiptReader:
    """The reader of a provider of text messages."""
    return reader_of(table, "sms", fetch)


def receipt_request(
    body: bytes = b"",
    *,
    url: str = PUBLIC_URL,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    at: datetime = NOW,
) -> ReceiptRequest:
    """Any request."""
    return ReceiptRequest(
        method=method, url=url, query=urlsplit(url).query, headers=dict(headers or {}), body=body, at=at
    )
