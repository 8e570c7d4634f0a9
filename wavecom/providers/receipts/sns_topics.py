"""Receipts that AWS publishes to a topic of Amazon SNS, which posts them to us: what ``ses`` and ``sns`` share.

https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from wavecom.core.receipts import ReceiptBatch, ReceiptRequest
from wavecom.providers.aws.sns_messages import SnsMessage, SnsVerifier
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies


class TopicReceipts(ABC):
    """Reads messages that SNS signed, of the topics ``topic_arns``, and has subscriptions to these confirmed."""

    methods = frozenset({"POST"})
    verifies_alone = False

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        options = config.options
        self._verifier = SnsVerifier(
            options.topic_arns, dependencies.fetch, base_url=options.base_url, ca_file=options.ca_file
        )

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        self._verifier.verify(request)

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        message = self._verifier.read(request)
        if message.type != "Notification":
            return ReceiptBatch(confirm_url=message.subscribe_url)
        return self.read_notification(message)

    @abstractmethod
    def read_notification(self, message: SnsMessage) -> ReceiptBatch:
        """What a message that was published to the topic reports. Raises ``UnreadableReceiptError``."""
