"""Callbacks over memory, with endpoints that do as they are told."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tests.contract.test_callback_storage import make_callback
from tests.factories import make_job_id
from tests.fakes import FakeClock
from tests.memory_storage import (
    MemoryCallbackAudit,
    MemoryCallbackDeliveryStore,
    MemoryCallbackStore,
    MemoryEventAccountStore,
    MemoryEventLog,
)
from wavecom.core.callback_administration import CallbackAdministration
from wavecom.core.callback_sending import CallbackDispatch, CallbackSending, CallbackSubscriber
from wavecom.core.callbacks import (
    Callback,
    CallbackStore,
    CallbackTry,
    DeliveryState,
)
from wavecom.core.client_events import ClientEvent
from wavecom.core.lanes import Channel
from wavecom.core.states import Status


class Endpoints:
    """Every client's endpoint; what it answers, by its URL. Notes what it was sent; each call runs ``meanwhile``."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.statuses: dict[str, int] = {}
        self.calls: list[tuple[str, Mapping[str, str], bytes]] = []
        self.under_way = Counter[str]()
        self.most_at_once = Counter[str]()
        self._lock = threading.Lock()
        self._meeting = threading.Barrier(1)
        self.meanwhile: Callable[[], object] = lambda: None

    def call(self, url: str, headers: Mapping[str, str], body: bytes) -> CallbackTry:
        with self._lock:
            self.calls.append((url, headers, body))
        status = self.statuses.get(url, 204)
        self.meanwhile()
        return CallbackTry(self.clock.now(), 5, status, None if status < 300 else f"http_{status}", "the answer")

    def sent(self, url: str | None = None) -> list[str]:
        return [headers["webhook-id"] for called, headers, _ in self.calls if url in {None, called}]


class Environment:
    """Two stores, a log, endpoints, and the use cases over them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.callbacks = MemoryCallbackStore()
        self.deliveries = MemoryCallbackDeliveryStore()
        self.log = MemoryEventLog()
        self.endpoints = Endpoints(self.clock)
        self.published: list[str] = []
        self.is_stopping = False
        self.subscriber = CallbackSubscriber(self.callbacks, self.deliveries)
        self.dispatch = CallbackDispatch(self.callbacks, self.published.append, self.clock)
        self.sending = self.worker(self.callbacks)
        ids = iter(f"{number:032x}" for number in range(1, 1000))
        self.administration = CallbackAdministration(
            callbacks=self.callbacks,
            deliveries=self.deliveries,
            events=self.log,
            accounts=MemoryEventAccountStore(),
            audit=MemoryCallbackAudit(),
            clock=self.clock,
            new_id=lambda: next(ids),
            random_bytes=lambda size: b"s" * size,
        )

    def worker(self, callbacks: CallbackStore) -> CallbackSending:
        return CallbackSending(
            callbacks=callbacks,
            deliveries=self.deliveries,
            events=self.log,
            caller=self.endpoints,
            encode=orjson.dumps,
            clock=self.clock,
            jitter=lambda: 0.0,
            new_token=lambda: f"token-{len(self.published)}-{len(self.endpoints.calls)}",
            is_stopping=lambda: self.is_stopping,
        )

    def add(self, callback_id: str = "a" * 32, **overrides: Any) -> Callback:
        fields = {"url": f"https://{callback_id[:4]}.example/", "created_at": self.clock.now()} | overrides
        callback = make_callback(callback_id, **fields)
        self.callbacks.add(callback)
        return callback

    def happen(self, count: int = 1, **overrides: Any) -> list[ClientEvent]:
        events = []
        for _ in range(count):
            fields: dict[str, Any] = {
                "job_id": make_job_id(),
                "version": 2,
                "account": "acme",
                "channel": Channel.SMS,
                "status": Status.DELIVERED,
                "at": self.clock.now(),
                "attempts": 1,
                "published_at": self.clock.now(),
            }
            events.append(ClientEvent(**(fields | overrides)))
        by_account: dict[str, list[ClientEvent]] = defaultdict(list)
        for event in events:
            by_account[event.account].append(event)
        for account, each in by_account.items():
            self.log.append(account, each)
        self.subscriber.add(by_account)
        return events

    def run(self) -> None:
        """What workers do in a second: look for what is due, and give each callback its turn."""
        self.published.clear()
        self.dispatch.run()
        for callback_id in list(self.published):
            self.sending.run(callback_id)

    def run_for(self, seconds: float, step: float = 5) -> None:
        for _ in range(int(seconds / step)):
            self.clock.advance(step)
            self.run()

    def callback(self, callback_id: str = "a" * 32) -> Callback:
        found = self.callbacks.get(callback_id)
        assert found is not None
        return found

    def states(self, callback_id: str = "a" * 32) -> Counter[DeliveryState]:
        return Counter(each.state for each in self.deliveries.search(callback_id, 10_000))
