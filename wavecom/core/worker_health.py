"""Whether a worker makes progress. A process that lives proves nothing: a consumer can fall silent for good."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

#: The main loop ticks every few seconds; a garbage collection or a slow Redis explain some of it, not this.
LOOP_LIMIT_SECONDS = 30.0
#: A call ends within ten seconds, and an attempt over a whole route within a few of them.
CALL_LIMIT_SECONDS = 90.0
#: A broker hands a ready message to a consumer with room for it at once.
SILENCE_LIMIT_SECONDS = 60.0

CONSUMER_CANCELLED = "consumer_cancelled"
DELIVERIES_STALLED = "deliveries_stalled"
#: What ends by itself, or would not end with another process: no reason for a worker to end itself.
NOT_FATAL = frozenset({CONSUMER_CANCELLED, DELIVERIES_STALLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerHealth:
    """What can be measured of a worker. Ages in seconds."""

    #: Since the main loop last ticked.
    loop_age: float
    #: Of the longest running delivery, waiting for a store that is away not counted; 0 when there is none.
    oldest_delivery_age: float
    #: Since the last message came from the broker, or since the start.
    silence_age: float
    #: Messages held or being worked on.
    in_hand: int
    #: Messages that wait in this worker's queues for somebody to take them; None when the broker can't be asked.
    ready: int | None
    #: Queues that it should consume and does not, because somebody else has cancelled that.
    cancelled: Collection[str] = ()
    #: Of its own queues those in which work waits and nothing moves (``wavecom.core.progress``).
    stalled: Collection[str] = ()


def problems(health: WorkerHealth) -> Sequence[str]:
    """What is wrong, as stable words; empty: all is well.

    ``loop_stuck``, ``delivery_stuck``, ``consumer_silent``, ``consumer_cancelled`` or ``deliveries_stalled``.
    """
    found = []
    if health.loop_age > LOOP_LIMIT_SECONDS:
        found.append("loop_stuck")
    if health.oldest_delivery_age > CALL_LIMIT_SECONDS:
        found.append("delivery_stuck")
    is_idle = health.in_hand == 0 and health.silence_age > SILENCE_LIMIT_SECONDS
    if is_idle and health.ready is not None and health.ready > 0:
        found.append("consumer_silent")
    if health.cancelled:
        found.append(CONSUMER_CANCELLED)
    if health.stalled:
        found.append(DELIVERIES_STALLED)
    return tuple(found)
