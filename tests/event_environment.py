"""Events and callbacks over memory, for tests of the web app."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass

from tests.memory_storage import (
    MemoryCallbackAudit,
    MemoryCallbackDeliveryStore,
    MemoryCallbackStore,
    MemoryEventAccountStore,
    MemoryEventLog,
)
from wavecom.core.callback_administration import CallbackAdministration
from wavecom.core.client_events import EventAccounts
from wavecom.core.event_reading import EventReader
from wavecom.core.ports import Clock
from wavecom.settings import Settings


@dataclass(frozen=True)
class EventEnvironment:
    """The use cases, and the stores behind them."""

    log: MemoryEventLog
    callbacks: MemoryCallbackStore
    deliveries: MemoryCallbackDeliveryStore
    accounts: EventAccounts
    reader: EventReader
    administration: CallbackAdministration
    audit: MemoryCallbackAudit

    @classmethod
    def over(cls, settings: Settings, clock: Clock) -> EventEnvironment:
        """Empty stores, and accounts none of which uses events yet."""
        log, store = MemoryEventLog(), MemoryEventAccountStore()
        callbacks, deliveries = MemoryCallbackStore(), MemoryCallbackDeliveryStore()
        audit = MemoryCallbackAudit()
        accounts = EventAccounts(store)
        accounts.refresh()
        administration = CallbackAdministration(
            callbacks=callbacks,
            deliveries=deliveries,
            events=log,
            accounts=store,
            audit=audit,
            clock=clock,
            new_id=lambda: uuid.uuid4().hex,
            random_bytes=secrets.token_bytes,
            private_hosts=settings.callback_private_hosts,
        )
        reader = EventReader(log=log, accounts=store, clock=clock)
        return cls(log, callbacks, deliveries, accounts, reader, administration, audit)
