"""Receipts of ``type = "infobip"``: delivery reports of text messages, and messages to our numbers, many in a request.

https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports/receive-sms-delivery-reports and
https://www.infobip.com/docs/api/channels/sms/inbound-sms/receive-inbound-sms-messages
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from wavecom.core.job import Reason
from wavecom.core.receipts import (
    InboundMessage,
    Receipt,
    ReceiptBatch,
    ReceiptKind,
    ReceiptRequest,
    UnreadableReceiptError,
)
from wavecom.core.recipients import e164
from wavecom.providers.configuration.values import ProviderConfig
from wavecom.providers.receipts import ReceiptDependencies
from wavecom.providers.receipts.basic_auth import BasicAuthVerifier
from wavecom.providers.receipts.json_events import job_id_at, object_of, text_at, time_at, value_at

#: By the group of a status: https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes
GROUPS: Final = {
    0: ReceiptKind.PROGRESS,
    1: ReceiptKind.PROGRESS,
    2: ReceiptKind.FAILED,
    3: ReceiptKind.DELIVERED,
    4: ReceiptKind.FAILED,
    5: ReceiptKind.FAILED,
}
#: By its name, where the group says too much: the phone may not have it yet, or may have it though nobody says so.
PROGRESS: Final = frozenset({"DELIVERED_TO_OPERATOR", "EXPIRED_DLR_UNKNOWN"})
#: Names of a status, or of an error, that say of the number that it can never be reached.
UNREACHABLE: Final = frozenset({"REJECTED_PREFIX_MISSING", "EC_UNKNOWN_SUBSCRIBER"})
#: One request reports no more than this; Infobip's own limit is lower.
_RESULTS_LIMIT: Final = 10_000


class InfobipReceipts:
    """Reads requests with ``webhook_user`` and one of ``webhook_password``."""

    methods = frozenset({"POST"})
    verifies_alone = True

    def __init__(self, config: ProviderConfig[Any], dependencies: ReceiptDependencies) -> None:
        self._verifier = BasicAuthVerifier(config.options.webhook_user, config.options.webhook_password)

    def verify(self, request: ReceiptRequest) -> None:
        """See ``ReceiptReader.verify``."""
        self._verifier.verify(request)

    def read(self, request: ReceiptRequest) -> ReceiptBatch:
        """See ``ReceiptReader.read``."""
        results = object_of(request.body).get("results")
        if not isinstance(results, list) or len(results) > _RESULTS_LIMIT:
            raise UnreadableReceiptError("no list of results")
        read = [_result(each) for each in results if isinstance(each, dict)]
        receipts = tuple(each for each in read if isinstance(each, Receipt))
        inbound = tuple(each for each in read if isinstance(each, InboundMessage))
        return ReceiptBatch(receipts=receipts, inbound=inbound, unreadable=len(results) - len(receipts) - len(inbound))


def _result(result: Mapping[str, Any]) -> Receipt | InboundMessage | None:
    """None for what can't be understood."""
    message_id = text_at(result, "messageId")
    group = value_at(result, "status", "groupId")
    if message_id is None:
        return None
    if group is None:
        return _inbound(message_id, result)
    if not isinstance(group, int) or group not in GROUPS:
        return None
    status, error = text_at(result, "status", "name") or "", text_at(result, "error", "name") or ""
    kind = ReceiptKind.PROGRESS if status in PROGRESS else GROUPS[group]
    is_unreachable = kind is ReceiptKind.FAILED and bool(UNREACHABLE & {status, error})
    return Receipt(
        event_id=f"{message_id}:{status or group}",
        kind=kind,
        job_id=job_id_at(result, "callbackData"),
        message_id=message_id,
        at=time_at(result, "doneAt"),
        code=error if kind is ReceiptKind.FAILED and error.startswith("EC_") else status,
        reason=Reason.RECIPIENT_INVALID if is_unreachable else None,
        recipient=e164(text_at(result, "to") or ""),
    )


def _inbound(message_id: str, result: Mapping[str, Any]) -> InboundMessage | None:
    sender, body = e164(text_at(result, "from") or ""), result.get("text")
    if sender is None or not isinstance(body, str):
        return None
    return InboundMessage(
        event_id=message_id,
        sender=sender,
        to=text_at(result, "to") or "",
        text=body,
        at=time_at(result, "receivedAt"),
    )
