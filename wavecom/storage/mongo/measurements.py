"""Counts of what workers measured: ``MeasurementStore`` on ``measurements`` and ``measurements_hourly``.

One document for each minute or hour and kind; a field for each label and bucket, so that a flush of a worker is one
update for each kind, whatever it has grown by.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import inf

from pymongo import UpdateOne
from pymongo.database import Database

from wavecom.core.measurements import Buckets, Measured, MeasuredKey
from wavecom.core.ports import Interval
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import CODEC, Document
from wavecom.storage.mongo.errors import reading, writing

#: Parts labels; none of them has it.
_BETWEEN = "|"
#: In names of fields a dot leads into a document.
_DOT = "\u00b7"


class MongoMeasurementStore:
    """``wavecom.core.measurements.MeasurementStore``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._kept = {
            Interval.MINUTE: durable(database["measurements"]).with_options(codec_options=CODEC),
            Interval.HOUR: durable(database["measurements_hourly"]).with_options(codec_options=CODEC),
        }

    def add(self, at: datetime, grown: Mapping[MeasuredKey, Buckets]) -> None:
        """See the port."""
        fields: dict[Measured, dict[str, int]] = {}
        for key, buckets in grown.items():
            of_kind = fields.setdefault(key.measured, {})
            label = _BETWEEN.join(key.labels).replace(".", _DOT)
            of_kind |= {f"counts.{label}.{_bound(bound)}": count for bound, count in buckets.items()}
        for step, collection in self._kept.items():
            start = step.start_of(at)
            updates = [
                UpdateOne(
                    {"_id": {"at": start, "kind": kind.value}},
                    {"$inc": counts, "$setOnInsert": {"at": start}},
                    upsert=True,
                )
                for kind, counts in fields.items()
            ]
            with writing():
                collection.bulk_write(updates, ordered=False)

    def between(self, since: datetime, before: datetime, step: Interval) -> dict[datetime, dict[MeasuredKey, Buckets]]:
        """See the port."""
        collection = self._kept[Interval.MINUTE if step is Interval.MINUTE else Interval.HOUR]
        found: dict[datetime, dict[MeasuredKey, Buckets]] = {}
        with reading():
            for document in collection.find({"at": {"$gte": since, "$lt": before}}):
                measured = Measured(document["_id"]["kind"])
                counts = found.setdefault(document["at"], {})
                for label, buckets in document["counts"].items():
                    key = MeasuredKey(measured, tuple(label.replace(_DOT, ".").split(_BETWEEN)))
                    counts[key] = {_number(bound): count for bound, count in buckets.items()}
        return found


def _bound(bound: float) -> str:
    return "more" if bound == inf else str(bound).replace(".", _DOT)


def _number(text: str) -> float:
    return inf if text == "more" else float(text.replace(_DOT, "."))
