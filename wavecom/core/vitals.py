"""Whether a worker makes progress. A process that lives proves nothing: a consumer can fall silent for good."""

from __future__ import annotations

from dataclasses import dataclass

#: The main loop ticks every few seconds; a garbage collection or a slow Redis explain some of it, not this.
LOOP_LIMIT_SECONDS = 30.0
#: A call ends within ten seconds, and an attempt over a whole route within a few of them.
CALL_LIMIT_SECONDS = 90.0
#: A broker hands a ready message to a consumer with room for it at once.
SILENCE_LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
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


def problems(vitals: Vitals) -> tuple[str, ...]:
    """What is wrong, as stable words: ``loop_stuck``, ``delivery_stuck``, ``consumer_silent``. Empty: all is well."""
    found = []
    if vitals.loop_age > LOOP_LIMIT_SECONDS:
        found.append("loop_stuck")
    if vitals.oldest_delivery_age > CALL_LIMIT_SECONDS:
        found.append("delivery_stuck")
    is_idle = vitals.in_hand == 0 and vitals.silence_age > SILENCE_LIMIT_SECONDS
    if is_idle and vitals.ready is not None and vitals.ready > 0:
        found.append("consumer_silent")
    return tuple(found)
