"""The largest layout of delivery queues that was ever used, in one document: see ``wavecom.broker.delivery_queues``."""

from __future__ import annotations

from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.lanes import QueueLayout
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.errors import reading, writing

_ID: Final = "delivery"


class MongoQueueLayout:
    """Implements ``wavecom.broker.delivery_queues.LayoutRegistry``: a layout only grows, whoever writes at once."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._layouts = durable(database["queue_layouts"])

    def note(self, layout: QueueLayout) -> QueueLayout:
        """See the port. May be repeated."""
        change = {
            "$max": {"partitions": layout.partitions},
            "$addToSet": {"regions": {"$each": list(layout.regions)}},
        }
        with writing():
            try:
                return self._change(change)
            except DuplicateKeyError:  # of two who were first at once, one
                return self._change(change)

    def noted(self) -> QueueLayout:
        """See the port."""
        with reading():
            return _layout(self._layouts.find_one({"_id": _ID}))

    def _change(self, change: dict[str, Any]) -> QueueLayout:
        return _layout(
            self._layouts.find_one_and_update({"_id": _ID}, change, upsert=True, return_document=ReturnDocument.AFTER)
        )


def _layout(document: dict[str, Any] | None) -> QueueLayout:
    found = document or {}
    return QueueLayout(int(found.get("partitions", 1)), tuple(found.get("regions", ())))
