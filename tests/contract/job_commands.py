"""What WaveCom asks of the collection ``jobs``, as it goes out to the server."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from pymongo import monitoring

Filter = dict[str, Any]


class JobCommands(monitoring.CommandListener):
    """Notes each filter and each new document that the storage modules send; what tests ask themselves is not noted."""

    def __init__(self) -> None:
        self.filters: list[tuple[str, Filter]] = []
        self.inserted: list[Filter] = []

    def clear(self) -> None:
        self.filters.clear()
        self.inserted.clear()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        name = event.command_name
        if event.command.get(name) != "jobs" or not _comes_from_storage():
            return
        if name == "insert":
            self.inserted += event.command["documents"]
        self.filters += [(name, where) for where in _filters_of(name, event.command)]

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        return None

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        return None

    def scattered(self) -> list[tuple[str, Filter]]:
        """Those that name a job by its id, or by its account and idempotency key, and not the shard that has it."""
        return [(name, where) for name, where in self.filters if _names_a_job(where) and not _has_shard_key(where)]


def _comes_from_storage() -> bool:
    frame = inspect.currentframe()
    while frame is not None:
        if "/wavecom/storage/mongo/" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _filters_of(name: str, command: Any) -> Iterator[Filter]:
    if name == "find":
        yield command["filter"]
    elif name in {"update", "delete"}:
        yield from (each["q"] for each in command[f"{name}s"])
    elif name in {"findAndModify", "distinct"}:
        yield command["query"]
    elif name == "aggregate":
        yield command["pipeline"][0].get("$match", {})


def _is_exact(condition: Any) -> bool:
    return condition is not None and (not isinstance(condition, dict) or "$in" in condition)


def _names_a_job(where: Filter) -> bool:
    return _is_exact(where.get("jobId")) or (_is_exact(where.get("idempotencyKey")) and "client" in where)


def _has_shard_key(where: Filter) -> bool:
    return _is_exact(where.get("shardKey"))
