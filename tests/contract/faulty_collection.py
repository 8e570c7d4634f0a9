"""A collection whose calls fail as those to MongoDB do: before they arrive, or after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import AutoReconnect, BulkWriteError, NetworkTimeout, OperationFailure, ServerSelectionTimeoutError

Call = Callable[[], Any]
Fault = Callable[[Call], Any]


class FaultyCollection:
    """A collection; ``faults`` meet the next calls of the methods they are for."""

    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection
        self.faults: dict[str, list[Fault]] = {}
        self.calls: list[str] = []

    def with_options(self, **options: Any) -> FaultyCollection:
        self._collection = self._collection.with_options(**options)
        return self

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._collection, name)
        if not callable(real) or isinstance(real, Database):
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            waiting = self.faults.get(name, [])
            return waiting.pop(0)(lambda: real(*args, **kwargs)) if waiting else real(*args, **kwargs)

        return call


def lost_on_the_way_out(_call: Call) -> Any:
    raise AutoReconnect("connection closed")


def lost_on_the_way_back(call: Call) -> Any:
    call()
    raise NetworkTimeout("timed out")


def no_server(_call: Call) -> Any:
    raise ServerSelectionTimeoutError("No servers found yet")


def collision(_call: Call) -> Any:
    raise OperationFailure("WriteConflict", 112)


def unconfirmed(call: Call) -> Any:
    call()
    raise BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64, "errmsg": "waiting timed out"}]})
