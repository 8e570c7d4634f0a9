"""Large blocks of memory go back to the system when they are let go of.

glibc learns from the first large block that it frees to keep such blocks in the arena of each thread: a worker that had
sent 24 mails of 9 MiB kept 250 MiB for good, and 58 with what is set here (mallopt(3), M_MMAP_THRESHOLD).
"""

from __future__ import annotations

import ctypes
from typing import Final

#: From malloc.h.
_M_MMAP_THRESHOLD: Final = -3
_THRESHOLD_BYTES: Final = 1024 * 1024


def return_large_blocks() -> bool:
    """Have blocks from 1 MiB on be the system's again once they are free; False where there is no such allocator."""
    try:
        return bool(ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD_BYTES))
    except (AttributeError, OSError, TypeError):
        return False
