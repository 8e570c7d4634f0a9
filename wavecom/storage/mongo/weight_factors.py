"""What receipts leave of providers' weights: ``WeightFactorStore`` on the collection ``weight_factors``.

One document for each provider that has lost weight, by its name.
"""

from __future__ import annotations

from collections.abc import Mapping

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from wavecom.core.receipt_health import ReceiptHealth, WeightFactor
from wavecom.storage.mongo.client import durable
from wavecom.storage.mongo.documents import Document
from wavecom.storage.mongo.errors import reading, writing


class MongoWeightFactorStore:
    """``wavecom.core.weight_adjustment.WeightFactorStore``; safe to share between threads."""

    def __init__(self, database: Database[Document]) -> None:
        self._factors = durable(database["weight_factors"])

    def all(self) -> Mapping[str, WeightFactor]:
        """See the port."""
        with reading():
            found = list(self._factors.find({}))
        return {each["_id"]: _factor(each) for each in found}

    def replace(self, provider: str, known: WeightFactor | None, new: WeightFactor | None) -> bool:
        """See the port."""
        with writing():
            if known is None:
                return new is None or self._insert({"_id": provider} | _document(new))
            where = {"_id": provider} | _document(known)
            if new is None:
                return self._factors.delete_one(where).deleted_count == 1
            return self._factors.replace_one(where, {"_id": provider} | _document(new)).matched_count == 1

    def _insert(self, document: Document) -> bool:
        try:
            self._factors.insert_one(document)
        except DuplicateKeyError:
            return False
        return True


def _document(factor: WeightFactor) -> Document:
    return {
        "percent": factor.percent,
        "health": factor.health.value,
        "since": factor.since,
        "steppedAt": factor.stepped_at,
    }


def _factor(document: Document) -> WeightFactor:
    return WeightFactor(
        percent=document["percent"],
        health=ReceiptHealth(document["health"]),
        since=document["since"],
        stepped_at=document["steppedAt"],
    )
