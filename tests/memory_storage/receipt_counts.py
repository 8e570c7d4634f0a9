"""Counts of receipts, kept in a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from wavecom.core.receipt_counts import Counted, CountKey, ReceiptCounts
from wavecom.errors import UnavailableError


class MemoryReceiptCounts:
    """``wavecom.core.receipt_counts.ReceiptCounter`` without a server; away while ``is_up`` is False."""

    def __init__(self) -> None:
        self.is_up = True
        self._counts: dict[CountKey, ReceiptCounts] = {}

    def add(self, counted: Counted) -> None:
        """See the port."""
        for key, counts in counted:
            self._counts[key] = self._counts.get(key, ReceiptCounts()) + counts

    def between(self, since: datetime, until: datetime) -> Mapping[CountKey, ReceiptCounts]:
        """See the port."""
        if not self.is_up:
            raise UnavailableError("Redis does not answer.")
        first = since.replace(second=0, microsecond=0)
        return {key: counts for key, counts in self._counts.items() if first <= key.minute <= until}
