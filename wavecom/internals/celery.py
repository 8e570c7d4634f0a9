"""Celery's worker beyond its documentation: where messages, unreadable ones too, are handed over, and its counts.

The documented way is a task for each message. What is replaced here is replaced on one ``Consumer``, before it starts;
who declares the delay queues, for the process.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final

from celery.exceptions import InvalidTaskError
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from kombu.utils.imports import symbol_by_name

from wavecom.core.job import JobId
from wavecom.internals.fast_paths import Library, changed_signature, missing_attributes

MessageCallback = Callable[[Any], Any]

#: Ids of tasks that remote control has revoked. Celery keeps the object for the process's life.
revoked: Final[Container[object]] = getattr(state, "revoked", frozenset())

#: Pools whose tasks run in the process that consumes.
_POOLS_IN_THIS_PROCESS: Final = frozenset({"thread", "solo", "gevent", "eventlet"})


# --- messages ---------------------------------------------------------------------------------------------------------


def wrap_message_handler(consumer: Any, wrap: Callable[[MessageCallback], MessageCallback]) -> None:
    """Hand every message to what ``wrap`` makes of Celery's own handler. It is made anew for each connection."""
    create = consumer.create_task_handler
    consumer.create_task_handler = lambda: wrap(create())


def reject_unreadable(consumer: Any, on_decode_error: Callable[[Any, Exception], None]) -> None:
    """Have what can't be read rejected, and not acknowledged, nor end the worker.

    ``on_decode_error`` gets messages whose content can't be decoded; Celery would acknowledge them, which loses them.
    A body of the wrong shape (``[]``, ``7``, no id) Celery takes for a bug of its own: the exception ends the worker,
    and the message goes on to the next one. Here it becomes ``InvalidTaskError``, for which Celery rejects.
    """
    consumer.on_decode_error = on_decode_error
    consumer.update_strategies = _with_guards(consumer.strategies, consumer.update_strategies)


def call_soon(consumer: Any) -> Callable[..., Any]:
    """What calls a function with its arguments soon, on the consumer's main loop; may be called from any thread."""
    if not LIBRARY.is_as_expected():
        return lambda function, *arguments: consumer.timer.call_after(0, function, arguments)
    soon: Callable[..., Any] = consumer.call_soon
    return soon


def concurrency_of(consumer: Any) -> int:
    """How many tasks the consumer's pool runs at once."""
    return int(consumer.pool.limit or 1)


def runs_tasks_in_this_process(consumer: Any) -> bool:
    """Whether the pool's tasks run in the process that consumes: not with prefork."""
    return type(consumer.pool).__module__.rsplit(".", 1)[-1] in _POOLS_IN_THIS_PROCESS


def _with_guards(strategies: dict[str, Callable[..., Any]], update: Callable[[], None]) -> Callable[[], None]:
    """``update``, with every strategy that it makes raising ``InvalidTaskError`` for what it can't read."""

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


# --- start ------------------------------------------------------------------------------------------------------------


def disable_gossip(worker: Any) -> None:
    """No gossip and no mingle, as ``--without-gossip --without-mingle``. For the signal ``worker_init``."""
    options = getattr(worker, "options", {})
    options["without_gossip"] = options["without_mingle"] = True


def replace_delay_queue_setup(declare: Callable[[], None]) -> None:
    """Have ``declare`` called where a worker of this process has connected, in place of Celery's own declarations.

    For the signal ``worker_init``; holds for the process. Where Celery is not as expected, its own stay.
    """
    if LIBRARY.is_as_expected():
        setattr(DelayedDelivery, "start", lambda _step, _consumer: declare())  # noqa: B010 - the method is typed


def set_concurrency(worker: Any, calls: int) -> None:
    """As ``--concurrency``. For the signal ``worker_init``, before the pool is made."""
    worker.concurrency = calls


# --- what Celery tells of a worker (``inspect``, heartbeats, Flower) --------------------------------------------------


def reserved_count() -> int:
    """How many messages Celery has made requests of that are not done."""
    return len(state.reserved_requests)


class ActiveRequest:
    """A message that is being delivered, in the shape of ``celery.worker.request.Request``."""

    #: Then Celery leaves it alone at a shutdown; the delivery pipeline finishes it.
    acknowledged = True

    def __init__(self, job_id: JobId, task: _Task, hostname: str) -> None:
        self.id = job_id
        self.task = task
        self._hostname = hostname
        self._since = time.time()

    def info(self, safe: bool = False) -> dict[str, Any]:
        """See ``celery.worker.request.Request.info``."""
        arguments = [self.id]
        return {
            "id": self.id,
            "name": self.task.name,
            "args": repr(arguments) if safe else arguments,
            "kwargs": "{}" if safe else {},
            "type": self.task.name,
            "hostname": self._hostname,
            "time_start": self._since,
            "acknowledged": False,
            "delivery_info": {},
            "worker_pid": os.getpid(),
        }


class _Task:
    """As much of a task as Celery asks of an active request when it shuts down."""

    acks_late = True

    def __init__(self, name: str) -> None:
        self.name = name


class CeleryState:
    """Adds deliveries that never become requests of Celery's to ``celery.worker.state``.

    Without it a worker would tell that it has done nothing and is at nothing. On the worker's main loop only.
    """

    def __init__(self, task_name: str, hostname: str) -> None:
        self._task = _Task(task_name)
        self._hostname = hostname
        # Celery holds its requests weakly.
        self._active: dict[int, ActiveRequest] = {}

    def count_handled(self, count: int) -> None:
        """Add ``count`` to the messages handled so far."""
        state.total_count[self._task.name] += count
        state.all_total_count[0] += count

    def set_active(self, jobs: Mapping[int, JobId]) -> None:
        """Replace the active requests by these jobs (by the tag of their message). To be called every few seconds."""
        for tag in [tag for tag in self._active if tag not in jobs]:
            state.active_requests.discard(self._active.pop(tag))
        for tag, job_id in jobs.items():
            if tag not in self._active:
                self._active[tag] = ActiveRequest(job_id, self._task, self._hostname)
                state.active_requests.add(self._active[tag])


def _check() -> Iterator[str]:
    yield from changed_signature(Consumer, "on_decode_error", "message", "exc")
    yield from changed_signature(Consumer, "update_strategies")
    yield from changed_signature(Consumer, "create_task_handler")
    yield from changed_signature(Consumer, "call_soon", "p")
    yield from changed_signature(DelayedDelivery, "start", "c")
    if DelayedDelivery not in map(symbol_by_name, Consumer.Blueprint.default_steps):
        yield "Consumer has no step DelayedDelivery"
    for name, kind in (("total_count", Counter), ("all_total_count", list)):
        if not isinstance(getattr(state, name, None), kind):
            yield f"celery.worker.state.{name} is no {kind.__name__}"
    yield from missing_attributes(getattr(state, "active_requests", None), "add", "discard")
    yield from missing_attributes(getattr(state, "reserved_requests", None), "__len__")
    yield from missing_attributes(getattr(state, "revoked", None), "__contains__")


LIBRARY: Final = Library("celery", lambda: list(_check()))
