"""A line to MongoDB that can be cut in the middle of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import AutoReconnect, BulkWriteError, NetworkTimeout, OperationFailure, ServerSelectionTimeoutError

Call = Callable[[], Any]
Trouble = Callable[[Call], Any]


class Line:
    """A collection behind a line that can be cut; ``troubles`` meet the next calls of the methods they are for."""

    def __init__(self, collection: Collection[dict[str, Any]]) -> None:
        self._collection = collection
        self.troubles: dict[str, list[Trouble]] = {}
        self.calls: list[str] = []

    def with_options(self, **options: Any) -> Line:
        self._collection = self._collection.with_options(**options)
        return self

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._collection, name)
        if not callable(real):
            return real

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            waiting = self.troubles.get(name, [])
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
