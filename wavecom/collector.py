"""Python's garbage collector, set for processes that hold many objects for a moment."""

from __future__ import annotations

import gc


def collect_seldom() -> None:
    """Look for garbage after 20,000 new objects instead of 700 (or 2,000), and for old garbage seldom.

    Hundreds of jobs or requests are in hand for a few tenths of a second: by its default the collector walks over them
    again and again, for a tenth of what a worker costs under full load, and half as much of a web process.
    """
    gc.set_threshold(20_000, 20, 50)
