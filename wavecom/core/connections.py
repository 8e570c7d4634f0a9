"""How many connections to MongoDB a process opens at most: its pool is made so, and the capacity model reckons so."""

from __future__ import annotations

from typing import Final

#: Threads of a web process that ask the store, beside those of the API.
PAGE_THREADS: Final = 16
ANONYMOUS_THREADS: Final = 8
#: For what a process does in the background.
_BACKGROUND: Final = 8
#: Outside of the pool, of each client: the driver watches each member of a replica set of three by two connections.
MONITORING: Final = 2 * 3


def web_pool(threads: int) -> int:
    """Connections of a web process with so many threads for the API. One that waits in a batch needs none."""
    return threads + PAGE_THREADS + ANONYMOUS_THREADS + _BACKGROUND


def worker_pool(calls_at_once: int) -> int:
    """Connections of a worker that makes so many calls at once."""
    return calls_at_once + _BACKGROUND
