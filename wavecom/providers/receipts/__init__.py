"""Reading what providers report: one module a type, which verifies a request and says what it reports.

``receipts/<type>.py`` holds ``XxxReceipts``, made of the same options as the provider (``registry.RECEIPTS`` names the
class). Reading needs no transport, no thread and no Redis: a web process does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Protocol

from wavecom.core.receipts import ReceiptBatch, ReceiptRequest
from wavecom.providers.configuration.values import ProviderConfig

#: A signed time may be off by so much, in either direction (Standard Webhooks, "verifying webhook authenticity").
TOLERANCE: Final = timedelta(minutes=5)


class Fetch(Protocol):
    """Gets a small document over https for a verifier (a certificate of SNS): no redirects, bounded.

    ``wavecom.providers.account.client.HttpAccountClient.fetch`` is one.
    """

    def __call__(self, url: str, *, ca_file: str | None = None) -> bytes:
        """The body of a 200; ``ca_file`` (PEM) names whom to trust instead of the usual authorities.

        Raises ``OSError`` for anything else.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDependencies:
    """What readers of receipts are given; each uses what it needs."""

    fetch: Fetch
    #: What the world calls ``/receipts/<name>`` of this provider, without query; None: not told.
    public_url: str | None = None


class ReceiptReader(Protocol):
    """Verifies and reads the receipts of one provider. Thread-safe."""

    #: Methods that the provider calls with; others are 405.
    methods: frozenset[str]
    #: ``verify`` needs nothing but the request: it never waits for an answer of anybody.
    verifies_alone: bool

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None: ...

    def verify(self, request: ReceiptRequest) -> None:
        """Raises ``SignatureError`` unless the provider sent this request, of late. Reads nothing else before.

        ``OSError`` where that can't be told now: then the provider is asked to send it again.
        """
        ...

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """What a verified request reports. Raises ``UnreadableReceiptError``."""
        ...


#: The class of a reader of receipts.
ReaderClass = type[ReceiptReader]

#: Provider's name in the providers file → its reader; only of those that can verify what they get.
Readers = Mapping[str, ReceiptReader]
