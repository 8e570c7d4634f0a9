"""How long to wait before the next attempt."""

from __future__ import annotations

import math
from typing import Final

#: Longer than any job lives. Whoever asks for more has made a mistake, and dates and brokers can't hold it.
LONGEST_SECONDS: Final = 365 * 86_400


def delay_seconds(
    attempt: int,
    jitter: float,
    *,
    base_seconds: float,
    cap_seconds: float,
    retry_after_seconds: float | None = None,
    floor_seconds: float = 0,
) -> int:
    """Whole seconds, at least 1, before the attempt that follows attempt number ``attempt`` (1, 2, …).

    Exponential with equal jitter: half of the step is certain, half is drawn, so that a crowd that failed together
    comes back spread out and no one comes back at once. ``jitter`` is in [0, 1).

    What a provider asked for (``Retry-After``, RFC 9110 section 10.2.3) and the provider's own floor are lower
    bounds; jitter is added on top of them, never taken off. Whole seconds, because Celery's delayed delivery
    counts in them and refuses fractions below one (facts: trap T4). Never more than ``LONGEST_SECONDS``.
    """
    step = min(cap_seconds, base_seconds * 2.0 ** min(attempt - 1, 32))
    spread = step / 2 + jitter * step / 2
    # The floor stands first: max() keeps it when a provider's wish is not a number at all.
    lower_bound = min(max(floor_seconds, retry_after_seconds or 0), LONGEST_SECONDS)
    if lower_bound > 0:
        spread = max(spread, lower_bound + jitter * min(step, lower_bound) / 2)
    return min(max(1, math.ceil(spread)), LONGEST_SECONDS)
