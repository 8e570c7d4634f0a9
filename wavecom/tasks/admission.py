"""Admission: a message reaches a worker thread only with leave to call a provider in its hand.

Not being able to call is not an attempt. While no provider of a channel may be called (breaker open, rate used up, all
threads of its bulkhead busy) its messages are held here, unacknowledged, in the worker's memory: that costs no thread,
no write and no delayed message, and since the broker hands out no more than the prefetch count per queue, everything
behind them waits in RabbitMQ for free. Higher lanes are let in first, and jobs of test accounts last: those come from a
queue of their own and need only a place in the sandbox.

Runs entirely on the worker's main loop, so it needs no lock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog
from celery import bootsteps
from celery.exceptions import InvalidTaskError
from celery.worker import state

from wavecom.broker import topology
from wavecom.core.job import Channel, Priority
from wavecom.core.ports import Permit
from wavecom.tasks.runtime import services

log = structlog.get_logger()

#: Channel and priority of live jobs; None: the jobs of test accounts, all together.
Lane = tuple[Channel, Priority] | None

#: RabbitMQ closes the channel of a consumer that holds a message for 30 minutes; they are given back well before.
_HOLD_LIMIT_SECONDS = 600.0
_LONGEST_PAUSE_SECONDS = 1.0
_SHORTEST_PAUSE_SECONDS = 0.005

_POOLS_IN_THIS_PROCESS = frozenset({"thread", "solo", "gevent", "eventlet"})


#: The admission step of this process, once its consumer has started.
_wakers: list[Callable[[], None]] = []


#: When the last message came from the broker (monotonic), and how many are held.
_last_received_at = [time.monotonic()]
_held_count: list[Callable[[], int]] = []


def received() -> tuple[float, int]:
    """When the last message came (monotonic seconds), and how many are held at the door."""
    return _last_received_at[0], sum(count() for count in _held_count)


def wake() -> None:
    """A worker thread is free again: somebody held at the door may have its place. Called from that thread."""
    for waker in _wakers:
        waker()


class Admission(bootsteps.StartStopStep):
    """Consumer step that stands between the broker and the pool."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, consumer: Any, **kwargs: Any) -> None:
        super().__init__(consumer, **kwargs)
        self._consumer = consumer
        self._dispatch: Callable[[Any], None] = consumer.on_task_request
        self._held: dict[Lane, deque[tuple[float, Any]]] = {
            **{(channel, priority): deque() for priority in Priority for channel in Channel},
            None: deque(),
        }
        self._drain_at = float("inf")
        self._is_woken = False
        # A permit is of use only where the task runs in this process (not under prefork).
        self._hands_out_permits = type(consumer.pool).__module__.rsplit(".", 1)[-1] in _POOLS_IN_THIS_PROCESS
        # Celery reads these when the consumer starts, after every step was made.
        consumer.on_task_request = self._admit
        consumer.on_decode_error = self._reject_undecodable
        consumer.update_strategies = _guarding(consumer.strategies, consumer.update_strategies)

    def start(self, consumer: Any) -> None:
        """Begin with nothing held; also called after each reconnection."""
        # The dead-letter queue above all: Celery declares only what it consumes, and what is rejected needs a place.
        topology.declare(consumer.connection.default_channel)
        self._forget()
        _wakers[:] = [self._wake]
        _held_count[:] = [lambda: sum(map(len, self._held.values()))]

    def stop(self, consumer: Any) -> None:
        """The connection is gone or going: the broker gives what is held here to somebody else."""
        self._forget()

    def _forget(self) -> None:
        for waiting in self._held.values():
            waiting.clear()
        self._drain_at = float("inf")
        self._is_woken = False

    def _admit(self, request: Any) -> None:
        _last_received_at[0] = time.monotonic()
        routing_key = request.delivery_info.get("routing_key") or ""
        named = topology.lane_of(routing_key)
        if request.name != topology.DELIVER_TASK or named is None or not self._hands_out_permits:
            self._dispatch(request)
            return
        if not _names_a_job(request):
            # Before it costs a permit: a task that can't even be called would never give it back.
            state.task_ready(request)
            log.error("message_names_no_job")
            request.reject(requeue=False)
            return
        lane = None if topology.is_test(routing_key) else named
        # Behind what is held already: within a lane the order stays, and a drain is planned.
        pause = 0.0 if self._held[lane] else self._try(lane, request)
        if pause is not None:
            self._held[lane].append((time.monotonic(), request))
            if pause > 0:
                self._plan_drain(pause)

    def _try(self, lane: Lane, request: Any) -> float | None:
        """Let one request in, or drop a revoked one (None); or the seconds after which it is worth trying again."""
        if request.revoked():
            return None
        router = services().router
        permit = router.reserve_sandbox() if lane is None else router.reserve(*lane)
        if not isinstance(permit, Permit):
            return min(_LONGEST_PAUSE_SECONDS, max(_SHORTEST_PAUSE_SECONDS, permit.retry_after_seconds))
        request.request_dict["permit"] = permit
        self._dispatch(request)
        return None

    def _drain(self) -> None:
        self._drain_at = float("inf")
        self._is_woken = False
        try:
            self._let_in()
        except Exception:
            # Whatever it was: without another drain planned, what is held here would wait for ever.
            log.exception("admission_failed")
            self._plan_drain(_LONGEST_PAUSE_SECONDS)

    def _let_in(self) -> None:
        too_old = time.monotonic() - _HOLD_LIMIT_SECONDS
        pauses = []
        for lane, waiting in self._held.items():
            while waiting:
                held_since, request = waiting[0]
                pause = self._try(lane, request)
                if pause is not None and held_since > too_old:
                    pauses.append(pause)
                    break
                if pause is not None:
                    request.reject(requeue=True)
                waiting.popleft()
        if pauses:
            self._plan_drain(min(pauses))

    def _plan_drain(self, seconds: float) -> None:
        at = time.monotonic() + seconds
        if at < self._drain_at:
            self._drain_at = at
            self._consumer.timer.call_after(seconds, self._drain)

    def _wake(self) -> None:
        if not self._is_woken and self._consumer.hub is not None and any(self._held.values()):
            self._is_woken = True
            self._consumer.hub.call_soon(self._drain)

    def _reject_undecodable(self, message: Any, error: Exception) -> None:
        """Into the dead-letter queue; Celery would acknowledge it, which loses it."""
        log.error("message_undecodable", error=type(error).__name__)
        message.reject(requeue=False)


def _names_a_job(request: Any) -> bool:
    return len(request.args) == 1 and isinstance(request.args[0], str) and not request.kwargs


def _guarding(strategies: dict[str, Callable[..., Any]], update: Callable[[], None]) -> Callable[[], None]:
    """``update``, with every strategy it makes refusing what it can't read instead of ending the worker.

    Celery takes a body of the wrong shape (``[]``, ``7``, no id) for a bug of its own: the exception ends the worker,
    and the message goes on to the next one.
    """

    def guarded(strategy: Callable[..., Any]) -> Callable[..., Any]:
        def handle(*args: Any, **kwargs: Any) -> Any:
            try:
                return strategy(*args, **kwargs)
            except (ValueError, TypeError, KeyError) as error:
                raise InvalidTaskError(f"not a task message of ours ({type(error).__name__})") from error

        return handle

    def update_and_guard() -> None:
        update()
        for name, strategy in list(strategies.items()):
            strategies[name] = guarded(strategy)

    return update_and_guard
