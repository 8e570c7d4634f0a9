"""Requests to stop bulk operations, kept in a dictionary."""

from __future__ import annotations

from datetime import datetime


class MemoryStopRequests:
    """``wavecom.core.bulk_operations.StopRequests`` without a server."""

    def __init__(self) -> None:
        self.requests: dict[str, tuple[str, datetime]] = {}

    def add(self, operation_id: str, by: str, at: datetime) -> None:
        """See the port."""
        self.requests.setdefault(operation_id, (by, at))

    def has(self, operation_id: str) -> bool:
        """See the port."""
        return operation_id in self.requests
