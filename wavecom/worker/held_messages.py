"""Delivery messages for which no provider may be called yet, in a worker's memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import structlog

from wavecom.core.job import JobId
from wavecom.core.lanes import LANES, Lane, admission_order
from wavecom.worker.debouncer import Debouncer, Timer

log = structlog.get_logger()

#: RabbitMQ closes the channel of a consumer that holds a message for 30 minutes. Well before, the delivery message is
#: done with: its job stands in the store as before, and the sweep publishes another. Given back it would be counted by
#: the broker, which makes a dead letter of what comes back too often (``x-delivery-limit``), as in an outage of a day.
HOLD_LIMIT_SECONDS = 600.0
LONGEST_PAUSE_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.005


class HeldMessage(NamedTuple):
    """A delivery message, whether it waits or is let in at once; ``since``: monotonic seconds."""

    since: float
    job_id: JobId
    routing_key: str
    channel: Any
    tag: int


class HeldMessages:
    """Admits delivery messages, and holds those that may not be admitted yet: by lane, each in the order they came.

    ``admit`` takes a message and answers None, or the seconds after which to try again; higher lanes are tried first.
    ``drop`` gets those that have waited too long, and is to acknowledge them. To be used on the event loop of ``timer``
    alone, save where a method says otherwise; ``call_soon`` runs a callable with its arguments there.
    """

    def __init__(
        self,
        timer: Timer,
        call_soon: Callable[..., Any],
        *,
        admit: Callable[[Lane, HeldMessage], float | None],
        drop: Callable[[HeldMessage], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._call_soon = call_soon
        self._admit = admit
        self._drop = drop
        self._monotonic = monotonic
        self._held: dict[Lane, deque[HeldMessage]] = {lane: deque() for lane in LANES}
        self._is_requested = False
        self._debouncer = Debouncer(timer, self._try_again, monotonic)

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def tags(self) -> set[int]:
        """The delivery tags of those that wait."""
        return {held.tag for waiting in self._held.values() for held in waiting}

    def lanes(self) -> list[Lane]:
        """Lanes of which a message waits. May be called on any thread."""
        return [lane for lane, waiting in list(self._held.items()) if waiting]

    def add(self, lane: Lane, message: HeldMessage) -> None:
        """Admit the message, or hold it. Raises nothing."""
        # Behind what is held already: within a lane the order stays, and another try is scheduled.
        waiting = self._waiting_in(lane)
        try:
            pause = 0.0 if waiting else self._admit(lane, message)
        except Exception:
            # Whatever it was: a message that is neither held nor in flight would never be settled.
            log.exception("admission_failed")
            pause = LONGEST_PAUSE_SECONDS
        if pause is not None:
            waiting.append(message)
            if pause > 0:
                self._debouncer.schedule(pause)

    def on_permit_freed(self) -> None:
        """A permit has come back: try again soon. May be called on any thread.

        Not at once: under full load permits come back all the time, and each would wake the loop for itself.
        """
        if not self._is_requested and any(self._held.values()):
            self._is_requested = True
            self._call_soon(self._debouncer.schedule, SHORTEST_PAUSE_SECONDS)

    def clear(self) -> None:
        """Forget all of them: they belong to somebody else now."""
        for waiting in self._held.values():
            waiting.clear()
        self._debouncer.cancel()
        self._is_requested = False

    def _waiting_in(self, lane: Lane) -> deque[HeldMessage]:
        waiting = self._held.get(lane)
        if waiting is None:
            # Of a region; which there are is not known before. A dict of its own: other threads read the one there is.
            waiting = deque()
            lanes = sorted((*self._held, lane), key=admission_order)
            self._held = {each: self._held.get(each, waiting) for each in lanes}
        return waiting

    def _try_again(self) -> None:
        self._is_requested = False
        try:
            self._admit_held()
        except Exception:
            # Whatever it was: without another try scheduled, what is held would wait for ever.
            log.exception("admission_failed")
            self._debouncer.schedule(LONGEST_PAUSE_SECONDS)

    def _admit_held(self) -> None:
        too_old = self._monotonic() - HOLD_LIMIT_SECONDS
        pauses = []
        for lane, waiting in self._held.items():
            while waiting:
                held = waiting[0]
                pause = self._admit(lane, held)
                if pause is not None and held.since > too_old:
                    pauses.append(pause)
                    break
                if pause is not None:
                    self._drop(held)
                waiting.popleft()
        if pauses:
            self._debouncer.schedule(min(pauses))
