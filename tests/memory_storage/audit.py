"""The audit log of bulk operations, in memory."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

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
