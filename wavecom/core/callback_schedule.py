"""When a callback is tried again, slowed down, or disabled. Pure: chance is an argument.

Two things are told apart. A *delivery* that failed is tried again by the schedule, over 24 hours. An *endpoint* that
fails again and again is slowed down: then one delivery at a time finds out whether it is back, and the others wait
without using up their schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from wavecom.core.callbacks import (
    Callback,
    CallbackDelivery,
    CallbackState,
    CallbackTry,
    DeliveryState,
    DisabledReason,
    NoticeKind,
)

#: How long a delivery waits after its first try, its second and so on; all together, not quite a day.
DELAYS: Final[Sequence[timedelta]] = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=2),
    timedelta(hours=4),
    timedelta(hours=6),
    timedelta(hours=10),
)
#: Each delay is longer by up to this share, by chance, so that many do not come at once.
JITTER: Final = 0.1
#: A delivery is given up when it fails so long after its first try.
LONGEST: Final = timedelta(hours=24)

#: So many failures in a row, and an endpoint is slowed down.
SLOW_AFTER: Final = 5
_FIRST_PAUSE: Final = timedelta(seconds=15)
LONGEST_PAUSE: Final = timedelta(minutes=15)
#: An endpoint that has failed for so long, without one success, is disabled.
DISABLE_AFTER: Final = timedelta(hours=72)
#: Before that, after so long, its client is warned.
WARN_AFTER: Final = timedelta(hours=24)
#: "Gone": the client has taken the endpoint away for good (RFC 9110, section 15.5.11).
GONE: Final = 410


def after_try(delivery: CallbackDelivery, result: CallbackTry, jitter: float) -> CallbackDelivery:
    """The delivery after this try. ``jitter`` is a number by chance, from 0 up to 1."""
    if not delivery.tried:
        # The day is for the tries: what has waited behind a slowed endpoint for longer has used up nothing of it.
        delivery = replace(delivery, begun_at=max(delivery.begun_at, result.at))
    tried = delivery.tried + 1
    if result.is_delivered:
        return replace(delivery, state=DeliveryState.DELIVERED, due_at=None, tried=tried)
    ends_at = delivery.begun_at + LONGEST
    if tried > len(DELAYS) or result.at >= ends_at:
        return replace(delivery, state=DeliveryState.FAILED, due_at=None, tried=tried)
    delay = DELAYS[tried - 1] * (1 + JITTER * jitter)
    return replace(delivery, due_at=min(result.at + delay, max(ends_at, result.at)), tried=tried)


def is_slowed(callback: Callback) -> bool:
    """Whether its endpoint gets one event at a time, until one is taken."""
    return callback.failures >= SLOW_AFTER


def after_answer(callback: Callback, result: CallbackTry, jitter: float) -> Callback:
    """The callback after its endpoint was called, in the order of the calls' ends."""
    if result.is_delivered:
        # A warning that nobody has had yet is not true any more.
        return replace(callback, failures=0, failing_since=None, not_before=None, warned_at=None, owed_notice=None)
    failures = callback.failures + 1
    failing_since = callback.failing_since or result.at
    reason = None
    if result.status == GONE:
        reason = DisabledReason.GONE
    elif result.at - failing_since >= DISABLE_AFTER:
        reason = DisabledReason.FAILING
    changed = replace(callback, failures=failures, failing_since=failing_since)
    if reason is not None:
        return replace(
            changed,
            state=CallbackState.DISABLED,
            disabled_reason=reason,
            disabled_at=result.at,
            owed_notice=NoticeKind.DISABLED,
        )
    if changed.warned_at is None and result.at - failing_since >= WARN_AFTER:
        changed = replace(changed, warned_at=result.at, owed_notice=NoticeKind.FAILING)
    if failures < SLOW_AFTER:
        return changed
    if callback.not_before is not None and result.at < callback.not_before:
        # Called at once with the one that slowed it: what eight of them meet is one fault, not eight.
        return replace(changed, failures=callback.failures)
    pause = min(LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures - SLOW_AFTER, 10)) * (1 + JITTER * jitter)
    return replace(changed, not_before=result.at + pause)
