"""How many calls a worker makes at once: as many as it is told, or as many as it has file descriptors for.

A worker that runs out of descriptors can't connect to anything, its own servers included, so it must not start more
calls than it can hold. What one call takes is known (measured on Linux with libcurl 8.23), not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wavecom.descriptors import raise_descriptor_limit

#: A call by HTTP holds three: its connection, and two that libcurl makes for each handle to wake itself. It may hold as
#: many once more, on the thread that asks the next provider, and a connection to the store beside them.
DESCRIPTORS_PER_CALL: Final = 7

#: What a worker holds without any call: files, its broker, stores and metrics, name look-ups, and some air.
DESCRIPTORS_BESIDES: Final = 128


@dataclass(frozen=True, slots=True)
class Fit:
    """``calls`` at once, of the ``wanted`` ones; ``descriptors`` is the limit of this process by now."""

    wanted: int
    calls: int
    descriptors: int

    @property
    def needed(self) -> int:
        """The limit under which all the wanted ones would fit."""
        return self.wanted * DESCRIPTORS_PER_CALL + DESCRIPTORS_BESIDES


def fit(wanted: int) -> Fit:
    """Raise this process's limit of open files as far as that needs, then see how many calls fit. At least one.

    May be called again: the answer is the same.
    """
    limit = raise_descriptor_limit(wanted * DESCRIPTORS_PER_CALL + DESCRIPTORS_BESIDES)
    return Fit(wanted, calls_within(limit, wanted), limit)


def calls_within(descriptors: int, wanted: int) -> int:
    """The calls for which so many descriptors suffice: 1 to ``wanted``."""
    return max(1, min(wanted, (descriptors - DESCRIPTORS_BESIDES) // DESCRIPTORS_PER_CALL))
