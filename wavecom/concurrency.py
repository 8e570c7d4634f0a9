"""How many calls a worker makes at once: as many as it is told, or as many as it has file descriptors for.

A worker that runs out of descriptors can't connect to anything, its own servers included, so it must not start more
calls than it can hold. What one call takes is measured, not guessed: tests/contract/test_descriptors_per_call.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from wavecom.descriptors import raise_descriptor_limit

#: A started call by HTTP: its connection. Kept for others while the next provider is asked, by a thread that waits.
_STARTED: Final = 1
#: Two by which libcurl wakes itself, for each 32 connections of started calls (``transport/connection_group.py``).
_SHARED: Final = 2 / 32
#: That thread's handle: its connection, and two by which libcurl wakes itself.
_WAITED_FOR: Final = 3
#: A connection to the store, to renew the lease meanwhile.
_STORE: Final = 1

DESCRIPTORS_PER_CALL: Final = _STARTED + _SHARED + _WAITED_FOR + _STORE

#: What a worker holds without any call: files, its broker, stores and metrics, name look-ups, and some air.
DESCRIPTORS_BESIDES: Final = 128


@dataclass(frozen=True, slots=True)
class CallLimit:
    """``calls`` at once, of the ``wanted`` ones; ``descriptors`` is the limit of this process by now."""

    wanted: int
    calls: int
    descriptors: int

    @property
    def needed(self) -> int:
        """The limit under which all the wanted calls could be made."""
        return descriptors_for(self.wanted)


def call_limit(wanted: int) -> CallLimit:
    """Raise this process's limit of open files as far as that needs. It suffices for one call at least.

    May be called again: the answer is the same.
    """
    limit = raise_descriptor_limit(descriptors_for(wanted))
    return CallLimit(wanted, calls_within(limit, wanted), limit)


def descriptors_for(calls: int) -> int:
    """The descriptors that suffice for so many calls."""
    return math.ceil(calls * DESCRIPTORS_PER_CALL) + DESCRIPTORS_BESIDES


def calls_within(descriptors: int, wanted: int) -> int:
    """The calls for which so many descriptors suffice: 1 to ``wanted``."""
    return max(1, min(wanted, math.floor((descriptors - DESCRIPTORS_BESIDES) / DESCRIPTORS_PER_CALL)))
