"""The audit log of bulk operations, in memory."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from typing import Any

from wavecom.core.audit import AuditPosition
from wavecom.core.bulk_operations import BulkOperation
from wavecom.errors import StoreError


class MemoryAuditLog:
    """Keeps the latest state of every operation. ``on_record`` is called after each write."""

    def __init__(self) -> None:
        self.operations: dict[str, BulkOperation] = {}
        self.is_away = False
        self.on_record: Callable[[BulkOperation], None] = lambda _operation: None

    def record(self, operation: BulkOperation) -> None:
        if self.is_away:
            raise StoreError("away")
        self.operations[operation.operation_id] = deepcopy(operation)
        self.on_record(operation)

    def find(self, operation_id: str) -> BulkOperation | None:
        if self.is_away:
            raise StoreError("away")
        return deepcopy(self.operations.get(operation_id))

    def only(self) -> BulkOperation:
        [operation] = self.operations.values()
        return operation


class MemoryAuditReader:
    """``wavecom.core.audit.AuditReader`` over a list of entries."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def newest(
        self,
        *,
        action: str | None = None,
        operator: str | None = None,
        since: datetime | None = None,
        before: datetime | None = None,
        behind: AuditPosition | None = None,
        limit: int,
    ) -> list[dict[str, Any]]:
        """See the port."""
        found = [
            dict(entry)
            for entry in self.entries
            if action in {None, entry["action"]}
            and operator in {None, entry["operator"]}
            and (since is None or entry["startedAt"] >= since)
            and (before is None or entry["startedAt"] < before)
            and (behind is None or (entry["startedAt"], entry["entryId"]) < (behind.at, behind.entry_id))
        ]
        return sorted(found, key=lambda entry: (entry["startedAt"], entry.get("entryId", "")), reverse=True)[:limit]
