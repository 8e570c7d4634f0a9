"""Publishing events and sending callbacks, as a worker puts them together."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from pymongo.database import Database

from wavecom.callbacks.http_caller import HttpEndpointCaller
from wavecom.core.callback_notices import CallbackNotices
from wavecom.core.callback_sending import CallbackDispatch, CallbackSending, CallbackSubscriber
from wavecom.core.event_publication import EventPublication
from wavecom.core.new_notification import NewNotification
from wavecom.core.ports import Clock
from wavecom.core.submission import Accepted
from wavecom.core.traces import TraceRecorder
from wavecom.event_metrics import EventSampler
from wavecom.providers.transport import HttpTransport
from wavecom.services.callback_administration import callback_store_of
from wavecom.settings import Settings
from wavecom.storage.mongo.callback_deliveries import MongoCallbackDeliveryStore
from wavecom.storage.mongo.client_events import MongoEventLog, MongoRecordedEvents
from wavecom.storage.mongo.fallbacks import MongoFallbackEvents
from wavecom.storage.mongo.keys import MongoKeyStore


class EventServices:
    """What the tasks of events and callbacks work with. ``accept``: notices to clients' contacts."""

    def __init__(
        self,
        settings: Settings,
        database: Database[dict[str, Any]],
        clock: Clock,
        transport: HttpTransport,
        is_stopping: Callable[[], bool],
        accept: Callable[[NewNotification], Accepted],
        traces: TraceRecorder | None = None,
    ) -> None:
        self._callbacks = callback_store_of(settings, database)
        self._clock = clock
        deliveries = MongoCallbackDeliveryStore(database)
        log = MongoEventLog(database)
        recorded = MongoRecordedEvents(database)
        self.sampler = EventSampler(recorded, clock)
        self.publication = EventPublication(
            recorded=recorded,
            log=log,
            subscribers=[CallbackSubscriber(self._callbacks, deliveries)],
            clock=clock,
        )
        #: The same for what is told of fallbacks as a whole.
        self.fallback_publication = EventPublication(
            recorded=MongoFallbackEvents(database),
            log=log,
            subscribers=[CallbackSubscriber(self._callbacks, deliveries)],
            clock=clock,
        )
        self.sending = CallbackSending(
            callbacks=self._callbacks,
            deliveries=deliveries,
            events=log,
            caller=HttpEndpointCaller(transport, clock, private_hosts=settings.callback_private_hosts),
            encode=orjson.dumps,
            clock=clock,
            jitter=random.random,
            new_token=lambda: uuid.uuid4().hex,
            is_stopping=is_stopping,
            traces=traces,
        )

        self.notices = CallbackNotices(self._callbacks, MongoKeyStore(database).contact, accept)

    def dispatch(self, publish: Callable[[str], None]) -> int:
        """Have each callback looked at that is due: ``publish`` gets its id. How many. See ``CallbackDispatch``."""
        return CallbackDispatch(self._callbacks, publish, self._clock).run()
