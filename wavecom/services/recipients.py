"""Registered recipients and what they want, as clients manage them and as notifications meet them."""

from __future__ import annotations

import uuid
from typing import Any

from pymongo.database import Database

from wavecom.core.categories import CategoryCache
from wavecom.core.ports import Clock
from wavecom.core.preference_check import PreferenceCheck
from wavecom.core.preference_rules import PreferenceRules
from wavecom.core.recipient_administration import RecipientAdministration
from wavecom.core.suppression_list import SuppressionList
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.cap_history import MongoCapHistory
from wavecom.storage.mongo.categories import MongoCategoryStore
from wavecom.storage.mongo.recipients import MongoRecipientStore


def recipient_store_of(database: Database[dict[str, Any]]) -> MongoRecipientStore:
    """Where recipients are kept."""
    return MongoRecipientStore(database, lambda: uuid.uuid4().hex)


def preference_check_of(database: Database[dict[str, Any]], clock: Clock) -> PreferenceCheck:
    """What a worker asks about a job that names a recipient or a category."""
    cache = CategoryCache(MongoCategoryStore(database), clock.monotonic)
    return PreferenceCheck(recipient_store_of(database), cache, MongoCapHistory(database), clock)


def recipients_of(
    database: Database[dict[str, Any]], suppressions: SuppressionList, clock: Clock
) -> tuple[RecipientAdministration, PreferenceRules]:
    """Both over MongoDB, with one memory of categories."""
    categories = MongoCategoryStore(database)
    cache = CategoryCache(categories, clock.monotonic)
    administration = RecipientAdministration(
        recipient_store_of(database),
        categories,
        cache,
        suppressions,
        MongoAuditLog(database),
        clock,
        new_id=lambda: uuid.uuid4().hex,
    )
    return administration, PreferenceRules(cache, clock)
