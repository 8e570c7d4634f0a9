"""Sending events to clients' endpoints: who wants which event, and one endpoint's deliveries at a time.

A worker holds a callback while it calls its endpoint, so a dead endpoint takes one thread, and nobody else's. What is
due stands in the store, with the callback's own due time; the message that makes a worker look may be lost or come
twice. A worker that dies leaves its hold to run out, and what it had called without recording it is sent again, with
the same id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from wavecom.core import callback_signatures
from wavecom.core.callback_schedule import after_answer, after_try, is_slowed
from wavecom.core.callbacks import (
    TEST_TYPE,
    Callback,
    CallbackDelivery,
    CallbackDeliveryStore,
    CallbackLease,
    CallbackState,
    CallbackStore,
    CallbackTry,
    DeliveryState,
)
from wavecom.core.client_events import ClientEvent, EventLog
from wavecom.core.event_representation import represented
from wavecom.core.job import Trace
from wavecom.core.ports import Clock
from wavecom.core.traces import EndpointCall, TraceRecorder, traceparent_of

log = structlog.get_logger()

#: A worker's hold on a callback; renewed for each batch of calls.
HOLD: Final = timedelta(seconds=60)
#: How long a message for a callback may stay unseen before another is published.
MESSAGE_GRACE: Final = timedelta(seconds=30)
#: Deliveries that are read together, and calls of one endpoint at once.
_BATCH: Final = 64
WIDTH: Final = 8
#: A worker lets go of a callback after so long, so that others have their turn.
_TURN_SECONDS: Final = 20.0
#: The fields of a callback that its endpoint's answers change.
_HEALTH: Final = (
    *("failures", "failing_since", "not_before", "state", "disabled_reason", "disabled_at"),
    *("warned_at", "owed_notice"),
)
#: When a callback is looked at again whose secrets this process can't read: soon, for another process may have the key.
_UNREADABLE_REST: Final = timedelta(seconds=5)
#: How often a process says of a callback that it can't read its secrets.
_UNREADABLE_LOG_SECONDS: Final = 60.0


class EndpointCaller(Protocol):
    """Calls the endpoints of clients, which may be anywhere and do anything."""

    def call(self, url: str, headers: Mapping[str, str], body: bytes) -> CallbackTry:
        """POST ``body`` there, in bounded time. Never raises for what the other side, or the network, can do."""
        ...


class EncodeJson(Protocol):
    """JSON as bytes; the same object always gives the same bytes."""

    def __call__(self, value: Any, /) -> bytes:
        """Encode it."""
        ...


class CallbackSubscriber:
    """Makes deliveries of events, one for each callback that wants one: an ``EventSubscriber``."""

    def __init__(self, callbacks: CallbackStore, deliveries: CallbackDeliveryStore) -> None:
        self._callbacks = callbacks
        self._deliveries = deliveries

    def add(self, events: Mapping[str, Sequence[ClientEvent]]) -> None:
        """See ``EventSubscriber``. Nothing for a callback that is disabled."""
        found: list[CallbackDelivery] = []
        for callback in self._callbacks.of_accounts(events):
            if callback.state is not CallbackState.DISABLED:
                wanted = [event for event in events[callback.account] if callback.wants(event)]
                found += [delivery_of(callback, event) for event in wanted]
        if found:
            self._deliveries.add(found)
            # After what is to be found. Whoever dies in between does both again, for the events are still in the jobs.
            self._callbacks.wake({each.callback_id for each in found}, max(each.created_at for each in found))


def delivery_of(callback: Callback, event: ClientEvent) -> CallbackDelivery:
    """What is to be done about an event that a callback wants: due when it was published."""
    return CallbackDelivery(
        callback_id=callback.callback_id,
        account=callback.account,
        event_id=event.event_id,
        type=event.type,
        created_at=event.published_at,
        begun_at=event.published_at,
        due_at=event.published_at,
    )


class CallbackDispatch:
    """Finds the callbacks that somebody must look at, and has them looked at. Run every second; any number may run."""

    def __init__(self, callbacks: CallbackStore, publish: Callable[[str], None], clock: Clock) -> None:
        self._callbacks = callbacks
        self._publish = publish
        self._clock = clock

    def run(self, limit: int = 500) -> int:
        """Publish a message for each, up to ``limit``; how many. Raises ``StoreError``, and what ``publish`` raises."""
        now = self._clock.now()
        due = self._callbacks.take_due(now, now + MESSAGE_GRACE, limit)
        for callback_id in due:
            self._publish(callback_id)
        return len(due)


@dataclass(slots=True)
class SendingReport:
    """What a turn of one callback did, in numbers of deliveries."""

    delivered: int = 0
    failed: int = 0


class CallbackSending:
    """The use case behind the task ``wavecom.send_callbacks``: one turn of one callback."""

    def __init__(
        self,
        *,
        callbacks: CallbackStore,
        deliveries: CallbackDeliveryStore,
        events: EventLog,
        caller: EndpointCaller,
        encode: EncodeJson,
        clock: Clock,
        jitter: Callable[[], float],
        new_token: Callable[[], str],
        is_stopping: Callable[[], bool] = lambda: False,
        traces: TraceRecorder | None = None,
    ) -> None:
        self._traces = traces
        self._callbacks = callbacks
        self._deliveries = deliveries
        self._events = events
        #: Whether this process ends: then what is being called is finished, and the rest left to others.
        self._is_stopping = is_stopping
        self._caller = caller
        self._encode = encode
        self._clock = clock
        self._jitter = jitter
        self._new_token = new_token
        #: When this process last said of a callback that it can't read its secrets.
        self._said_unreadable: dict[str, float] = {}

    def run(self, callback_id: str) -> SendingReport:
        """Send what is due, until nothing is, the endpoint fails, or the turn is over. Raises ``StoreError``.

        Does nothing in a process that is stopping: the callback's due time brings another.
        """
        report = SendingReport()
        if self._is_stopping():
            return report
        token = self._new_token()
        ends_at = self._clock.monotonic() + _TURN_SECONDS
        while lease := self._hold(callback_id, token):
            callback = lease.callback
            now = self._clock.now()
            may_call = not _is_resting(callback, now) and self._can_sign(callback, now)
            is_over = self._is_stopping() or self._clock.monotonic() >= ends_at
            due = self._deliveries.due(callback_id, now, self._batch(callback)) if may_call and not is_over else []
            if due:
                self._send(callback, due, report)
            elif self._callbacks.release(lease, self._next_look(callback, now)):
                break
        return report

    def _hold(self, callback_id: str, token: str) -> CallbackLease | None:
        now = self._clock.now()
        return self._callbacks.hold(callback_id, token, now, now + HOLD)

    def _next_look(self, callback: Callback, now: datetime) -> datetime | None:
        if _is_resting(callback, now):
            # Also where nothing is due: what happens until then does not wake it.
            return callback.not_before
        due_at = self._deliveries.next_due_at(callback.callback_id)
        if due_at is None or callback.signing_secrets(now):
            return due_at
        # Nothing of this is written into the callback: it is this process that lacks the key, and others may have it.
        return max(due_at, now + _UNREADABLE_REST)

    @staticmethod
    def _batch(callback: Callback) -> int:
        return 1 if is_slowed(callback) else WIDTH if callback.failures else _BATCH

    def _can_sign(self, callback: Callback, now: datetime) -> bool:
        if callback.signing_secrets(now):
            self._said_unreadable.pop(callback.callback_id, None)
            return True
        mark = self._clock.monotonic()
        said_at = self._said_unreadable.get(callback.callback_id)
        # Not each time: new events bring the callback at once.
        if said_at is None or mark - said_at >= _UNREADABLE_LOG_SECONDS:
            self._said_unreadable[callback.callback_id] = mark
            log.error(
                "callback_secret_unreadable",
                callback_id=callback.callback_id,
                fix="give this process the key in WAVECOM_CALLBACK_KEYS that it was kept with, or rotate the secret",
            )
        return False

    def _send(self, callback: Callback, due: Sequence[CallbackDelivery], report: SendingReport) -> None:
        """Call for each of them, some at once, and record what came of it: the tries first, then the endpoint."""
        events = self._events.by_ids([delivery.event_id for delivery in due])
        bodies = self._bodies(due, events)
        secrets = callback.signing_secrets(self._clock.now())

        def call(delivery: CallbackDelivery) -> CallbackTry | None:
            body = bodies.get(delivery.event_id)
            if body is None:
                return None
            signed = callback_signatures.headers(delivery.event_id, self._clock.now(), body, secrets)
            headers = {**signed, "Content-Type": "application/json"}
            event = events.get(delivery.event_id)
            if self._traces is None or event is None or event.trace is None:
                return self._caller.call(callback.url, headers, body)
            return self._call_traced(callback, event.trace, delivery, headers, body)

        standing = callback
        began = self._clock.monotonic()
        with ThreadPoolExecutor(min(WIDTH, len(due)), thread_name_prefix="callback") as threads:
            for part in _parts(due, WIDTH):
                standing = self._record(standing, part, list(threads.map(call, part)), report)
                is_done = is_slowed(standing) or standing.state is CallbackState.DISABLED
                # The hold must outlast the calls: who is slow gets the rest with a new one.
                if is_done or self._is_stopping() or self._clock.monotonic() - began > _TURN_SECONDS:
                    break
        self._keep_health(callback, standing)

    def _record(
        self,
        standing: Callback,
        part: Sequence[CallbackDelivery],
        results: Sequence[CallbackTry | None],
        report: SendingReport,
    ) -> Callback:
        """Keep what came of these calls; how the callback stands after them."""
        recorded: list[tuple[CallbackDelivery, CallbackTry]] = []
        for delivery, result in zip(part, results, strict=True):
            if result is None:
                result = CallbackTry(self._clock.now(), 0, fault="event_deleted")
                given_up = replace(delivery, state=DeliveryState.FAILED, due_at=None, tried=delivery.tried + 1)
                recorded.append((given_up, result))
                continue
            recorded.append((after_try(delivery, result, self._jitter()), result))
            standing = after_answer(standing, result, self._jitter())
            report.delivered += result.is_delivered
            report.failed += not result.is_delivered
        self._deliveries.record(recorded)
        return standing

    def _call_traced(
        self,
        callback: Callback,
        trace: Trace,
        delivery: CallbackDelivery,
        headers: Mapping[str, str],
        body: bytes,
    ) -> CallbackTry:
        """Call the endpoint so that its own trace goes on with ours."""
        assert self._traces is not None  # noqa: S101 - asked by the caller
        span_id, started_at = self._traces.new_span_id(), self._clock.now()
        header = {"traceparent": traceparent_of(trace.trace_id, span_id)}
        result = self._caller.call(callback.url, {**headers, **header}, body)
        call = EndpointCall(
            span_id=span_id,
            callback_id=callback.callback_id,
            event_id=delivery.event_id,
            started_at=started_at,
            ended_at=self._clock.now(),
            status=result.status,
            is_delivered=result.is_delivered,
        )
        self._traces.call_endpoint(trace, call)
        return result

    def _bodies(self, due: Sequence[CallbackDelivery], events: Mapping[str, ClientEvent]) -> Mapping[str, bytes]:
        bodies = {event_id: self._encode(represented(event)) for event_id, event in events.items()}
        tests = [delivery for delivery in due if delivery.type == TEST_TYPE]
        return bodies | {delivery.event_id: self._encode(test_event(delivery)) for delivery in tests}

    def _keep_health(self, before: Callback, after: Callback) -> None:
        changes = {name: getattr(after, name) for name in _HEALTH if getattr(after, name) != getattr(before, name)}
        if not changes:
            return
        if self._callbacks.change(before.callback_id, changes, updated_at=before.updated_at) is None:
            # Deleted, or its client has changed it since: what its endpoint was before tells nothing of what it is now.
            return
        if after.state is CallbackState.DISABLED:
            log.warning(
                "callback_disabled",
                callback_id=before.callback_id,
                account=before.account,
                reason=str(after.disabled_reason),
                fix="its client's contact is told by mail; it goes on when its state is set to active again",
            )
        elif is_slowed(after) and not is_slowed(before):
            log.warning("callback_slowed", callback_id=before.callback_id, account=before.account)


def _is_resting(callback: Callback, now: datetime) -> bool:
    """Whether its endpoint's answers keep everybody from calling it now."""
    return callback.not_before is not None and callback.not_before > now


def test_event(delivery: CallbackDelivery) -> dict[str, Any]:
    """The event that an endpoint is sent for a test; of no notification."""
    return {
        "eventId": delivery.event_id,
        "type": TEST_TYPE,
        "timestamp": delivery.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"callbackId": delivery.callback_id},
    }


def _parts(due: Sequence[CallbackDelivery], size: int) -> Iterable[Sequence[CallbackDelivery]]:
    for start in range(0, len(due), size):
        yield due[start : start + size]
