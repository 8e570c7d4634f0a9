"""Flushes that can be held up, and waits that can be counted, for tests of batching."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wavecom.batching import BatchWindow, ConcurrencyPeak, GroupCommit


class Gathering:
    """A flush that records its batches and can be held up."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_run = threading.Event()
        self.may_run.set()
        self.running = threading.Event()
        self.overlaps = 0
        self._busy = threading.Lock()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        if not self._busy.acquire(blocking=False):
            self.overlaps += 1
        try:
            self.running.set()
            assert self.may_run.wait(10)
            self.batches.append(list(items))
            return [ValueError(f"odd one: {item}") if item < 0 else item * 10 for item in items]
        finally:
            self._busy.release()


def submit_behind_a_running_flush(flush: Gathering, commit: GroupCommit[int, int], items: list[int]) -> list[object]:
    """Submit 0, hold its flush, submit ``items`` from as many threads, let go; the results of ``items``."""
    flush.may_run.clear()
    with ThreadPoolExecutor(len(items) + 1) as pool:
        first = pool.submit(commit.submit, 0)
        assert flush.running.wait(10)
        futures = []
        for item in items:
            futures.append(pool.submit(commit.submit, item))
            while commit.waiting < len(futures):
                threading.Event().wait(0.001)
        flush.may_run.set()
        assert first.result(10) == 0
        return [future.exception(10) or future.result(10) for future in futures]


class Waits:
    """A leader's waits: each lasts until the batch is full, but no longer than ``patience_seconds``."""

    def __init__(self, patience_seconds: float = 20) -> None:
        self.patience_seconds = patience_seconds
        self.were_worth_it: list[bool] = []

    def __call__(self, gathered: threading.Lock, seconds: float) -> bool:
        has_come = gathered.acquire(timeout=min(seconds, self.patience_seconds))
        self.were_worth_it.append(has_come)
        return has_come


def commit_under_load(
    flush: Gathering, waits: Callable[[threading.Lock, float], bool], most_at_once: int, **options: Any
) -> GroupCommit[int, int]:
    """One with a window of a minute, which has seen so many at once."""
    window, peak = BatchWindow(60), ConcurrencyPeak()
    for _ in range(2):
        window.note(1000, 0.0)
    for _ in range(most_at_once):
        peak.enter()
    peak.leave(most_at_once)
    return GroupCommit(flush, wait=waits, monotonic=lambda: 0.0, window=window, peak=peak, **options)
