"""How long to wait before the next attempt: the attempts spread over the time that the message has."""

from __future__ import annotations

import math
from typing import Final

#: Longer than any job lives. Whoever asks for more has made a mistake, and dates and brokers can't hold it.
LONGEST_SECONDS: Final = 365 * 86_400

#: So much of the time that is left is planned for; with all the jitter there may be, nine tenths of it are used.
_PLANNED: Final = 0.6
#: Jitter adds up to so much of the step, and of a wait that the provider asked for: a crowd was told the same.
_JITTER: Final = 0.5
_JITTER_OF_RETRY_AFTER: Final = 0.1
#: But never more: that spreads any crowd, and longer only makes late.
_LONGEST_JITTER_SECONDS: Final = 600
#: Halvings of the interval in which the factor lies: enough for whole seconds.
_HALVINGS: Final = 24


def delay_seconds(
    attempt: int,
    jitter: float,
    *,
    max_attempts: int,
    seconds_left: float,
    base_seconds: float,
    cap_seconds: float,
    retry_after_seconds: float | None = None,
    floor_seconds: float = 0,
) -> int:
    """Whole seconds, at least 1, before the attempt that follows attempt number ``attempt`` (1, 2, … ``max_attempts``).

    ``seconds_left`` is the time until the job expires. The steps grow by a factor that makes the attempts that are left
    fill six tenths of it: the first is ``base_seconds``, none is longer than ``cap_seconds``. A one-time password of
    five minutes gets all its attempts inside them, a mail of three days is still tried after half a day. Planned anew
    after each attempt, so that time in which nothing could be tried costs no attempt, only closer ones.

    What a provider asked for (``Retry-After``, RFC 9110 section 10.2.3) and the provider's own floor are lower bounds.
    ``jitter`` in [0, 1) is added on top, so that a crowd that failed together comes back spread out. The sum stays
    before the end, with a second for each further attempt, where the lower bound lets it. Whole seconds, because
    Celery's delayed delivery counts in them and refuses fractions below one (docs/celery.md). Never more than
    ``LONGEST_SECONDS``.
    """
    step = _step(attempt, max_attempts, _PLANNED * seconds_left, base_seconds, cap_seconds)
    # The floor stands first: max() keeps it when a provider's wish is not a number at all.
    lower_bound = min(max(floor_seconds, retry_after_seconds or 0), LONGEST_SECONDS)
    spread = jitter * min(max(_JITTER * step, _JITTER_OF_RETRY_AFTER * lower_bound), _LONGEST_JITTER_SECONDS)
    latest = math.ceil(seconds_left) - max(1, max_attempts - attempt)
    wanted = min(math.ceil(max(step, lower_bound) + spread), latest)
    return min(max(1, wanted, math.ceil(lower_bound)), LONGEST_SECONDS)


def _step(attempt: int, max_attempts: int, budget_seconds: float, base_seconds: float, cap_seconds: float) -> float:
    """The step after ``attempt``, of steps that grow by one factor and fill the budget together."""
    count = max_attempts - 1
    first = attempt - 1
    base_seconds = min(base_seconds, cap_seconds)
    if budget_seconds <= base_seconds * (count - first):
        # Not even time for steps of the shortest length: equal ones.
        return max(0.0, min(cap_seconds, budget_seconds / max(1, count - first)))
    if count <= 1:
        # The only one there is: neither at once, when an outage has hardly begun, nor at the very end.
        return math.sqrt(base_seconds * min(cap_seconds, budget_seconds))
    growth = math.pow(_factor(first, count, budget_seconds / base_seconds), first)
    return min(cap_seconds, base_seconds * growth)


def _factor(first: int, count: int, wanted: float) -> float:
    """The number whose powers ``first`` … ``count`` - 1 add up to ``wanted``, which is over how many they are."""
    low, high = 1.0, math.pow(wanted, 1 / (count - 1))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        total = (middle**count - middle**first) / (middle - 1) if middle > 1 else count - first
        low, high = (middle, high) if total < wanted else (low, middle)
    return high
