"""Receipts to be tried again, in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from wavecom.core.receipt_processing import PendingReceipt
from wavecom.core.receipts import ReceiptRequest
from wavecom.errors import StoreError


class MemoryPendingReceipts:
    """``wavecom.core.receipt_processing.PendingReceipts``; ``is_away`` is a store that can't be reached."""

    def __init__(self) -> None:
        self.is_away = False
        self._pending: dict[tuple[str, str], PendingReceipt] = {}
        self._lock = threading.Lock()

    def all(self) -> list[PendingReceipt]:
        with self._lock:
            return list(self._pending.values())

    def keep(self, pending: Sequence[PendingReceipt]) -> None:
        """See the port."""
        self._check()
        with self._lock:
            for each in pending:
                self._pending.setdefault(_key(each), each)

    def due(self, now: datetime, limit: int) -> list[PendingReceipt]:
        """See the port."""
        self._check()
        with self._lock:
            due = [each for each in self._pending.values() if each.next_try_at <= now]
        return sorted(due, key=lambda each: each.next_try_at)[:limit]

    def postpone(self, pending: Sequence[PendingReceipt]) -> None:
        """See the port."""
        self._check()
        with self._lock:
            self._pending |= {_key(each): each for each in pending if _key(each) in self._pending}

    def remove(self, pending: Sequence[PendingReceipt]) -> None:
        """See the port."""
        self._check()
        with self._lock:
            for each in pending:
                self._pending.pop(_key(each), None)

    def _check(self) -> None:
        if self.is_away:
            raise StoreError("away")


class MemoryUnreadableRequests:
    """``wavecom.storage.mongo.receipts.UnreadableRequests`` in a list."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, ReceiptRequest]] = []
        self.is_away = False

    def keep(self, provider: str, request: ReceiptRequest) -> None:
        """See the class that this stands for."""
        if self.is_away:
            raise StoreError("away")
        self.kept.append((provider, request))


class MemoryOneTimeTokens:
    """``wavecom.storage.mongo.receipts.OneTimeTokens`` in a dictionary."""

    def __init__(self) -> None:
        self._bodies: dict[tuple[str, str], bytes] = {}

    def belongs_to(self, provider: str, token: str, request: ReceiptRequest) -> bool:
        """See the class that this stands for."""
        return self._bodies.setdefault((provider, token), request.body) == request.body


def _key(pending: PendingReceipt) -> tuple[str, str]:
    return pending.provider, pending.receipt.event_id
