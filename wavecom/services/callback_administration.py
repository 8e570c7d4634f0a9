"""Callbacks as clients and operators manage them, and where they are kept; for every kind of process."""

from __future__ import annotations

import secrets
import uuid
from functools import cache
from pathlib import Path
from typing import Any, Final

from pymongo.database import Database

from wavecom import private_files
from wavecom.callbacks.sealed_secrets import SecretSealer
from wavecom.core.callback_administration import CallbackAdministration
from wavecom.core.ports import Clock
from wavecom.settings import Settings
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.callback_deliveries import MongoCallbackDeliveryStore
from wavecom.storage.mongo.callbacks import MongoCallbackStore
from wavecom.storage.mongo.client_events import MongoEventAccountStore, MongoEventLog

#: In WAVECOM_HOME: the key of this machine alone, where the settings have none.
KEY_FILE: Final = "callback-key"


def callback_store_of(settings: Settings, database: Database[dict[str, Any]]) -> MongoCallbackStore:
    """Where callbacks are kept, their secrets sealed with the settings' keys."""

    def sealer() -> SecretSealer:
        # When first needed: most processes never read a callback, and need no file for it.
        return _sealer(settings.callback_keys, settings.home)

    return MongoCallbackStore(
        database, seal=lambda secret: sealer().seal(secret), unseal=lambda sealed: sealer().open(sealed)
    )


def callback_administration_of(
    settings: Settings, database: Database[dict[str, Any]], clock: Clock
) -> CallbackAdministration:
    """The use cases of callbacks over MongoDB."""
    return CallbackAdministration(
        callbacks=callback_store_of(settings, database),
        deliveries=MongoCallbackDeliveryStore(database),
        events=MongoEventLog(database),
        accounts=MongoEventAccountStore(database),
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=lambda: uuid.uuid4().hex,
        random_bytes=secrets.token_bytes,
        private_hosts=settings.callback_private_hosts,
    )


@cache
def _sealer(keys: tuple[str, ...], home: Path) -> SecretSealer:
    return SecretSealer(keys or (private_files.shared_secret(home / KEY_FILE),))
