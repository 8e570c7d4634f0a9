"""Waiting for what other threads and processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: How long is waited before a test fails. No promise of the product's: a machine that runs other tests beside this one
#: may be many times slower, and a test that passes never waits so long.
PATIENCE_SECONDS = 90.0


def wait_until(
    find: Callable[[], T],
    what: str = "it comes about",
    seconds: float = PATIENCE_SECONDS,
    *,
    poll_seconds: float = 0.02,
) -> T:
    """The first answer of ``find`` that is true; the test fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(poll_seconds)
    return found


def comes_true(is_so: Callable[[], object], seconds: float = PATIENCE_SECONDS, *, poll_seconds: float = 0.02) -> bool:
    """Whether ``is_so`` became true in time: for a test that says itself what it means if not."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() >= deadline:
            return False
        time.sleep(poll_seconds)
    return True
