"""Attachments that are stored apart, read when they are sent; how many of their bytes a worker has in hand."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Final, Self

from wavecom.core.attachments import BlobStore, keep_until, sizes_in
from wavecom.core.engine import Policy
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.job import Job
from wavecom.core.ports import MissingFileError, UnreadableFileError
from wavecom.errors import StoreError

#: What a byte of a file takes while it is sent: the store's answer, the file in it, and what the provider makes of it.
COPIES: Final = 3
#: Who would wait behind more than so many others does not wait at all: each of them holds a thread and a claim.
_MOST_WAITING: Final = 16


class ByteBudget:
    """Bytes that may be in hand at once, ``limit`` of them, given out in the order of asking. Thread-safe.

    Who asks for more than there will ever be has them all, alone.
    """

    def __init__(self, limit: int, *, wait_seconds: float = 5.0) -> None:
        self._limit = limit
        self._wait_seconds = wait_seconds
        self._left = limit
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @property
    def left(self) -> int:
        """Bytes that nobody has."""
        return self._left

    @property
    def waiting(self) -> int:
        """How many wait for theirs."""
        return len(self._waiting)

    def take(self, count: int) -> bool:
        """Take ``count`` bytes; False when there is no room, or others wait for it."""
        count = min(count, self._limit)
        with self._changed:
            is_there = not self._waiting and self._left >= count
            if is_there:
                self._left -= count
            return is_there

    def wait_for(self, count: int) -> bool:
        """The same after a wait for others, of some seconds at most and not in a long line."""
        count = min(count, self._limit)
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                return False
            place = object()
            self._waiting.append(place)
            try:
                is_there = self._changed.wait_for(
                    lambda: self._waiting[0] is place and self._left >= count, self._wait_seconds
                )
                if is_there:
                    self._left -= count
                return is_there
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()

    def take_at_once(self, count: int) -> None:
        """Take them whether they are there or not: others wait the longer."""
        with self._changed:
            self._left -= min(count, self._limit)

    def give_back(self, count: int) -> None:
        """The same count that was taken."""
        with self._changed:
            self._left += min(count, self._limit)
            self._changed.notify_all()


class StoredFiles:
    """``core.ports.Files`` of one job; a context manager that gives back at its end what it took of ``budget``."""

    def __init__(self, blobs: BlobStore, budget: ByteBudget, job: Job, policy: Policy) -> None:
        self._blobs = blobs
        self._budget = budget
        self._keep_until = keep_until(job.expires_at, policy)
        self._cost = COPIES * sum(sizes_in(job.payload).values())
        self._has_taken = False

    def may_be_read(self) -> bool:
        """Take what they need of the budget; whether it was there."""
        self._has_taken = self._has_taken or self._budget.take(self._cost)
        return self._has_taken

    def wait_until_they_may_be_read(self) -> bool:
        """The same after a wait for others."""
        self._has_taken = self._has_taken or self._budget.wait_for(self._cost)
        return self._has_taken

    def read(self, name: str) -> bytes:
        """See ``Files``."""
        if not self._has_taken:
            # A second provider, after the first had all of them and then refused the message.
            self._budget.take_at_once(self._cost)
            self._has_taken = True
        try:
            found = self._blobs.get([name], self._keep_until)
        except StoreError:
            raise
        except Exception as error:
            if is_exhaustion(error):
                raise
            raise UnreadableFileError from error
        if name not in found:
            raise MissingFileError(name)
        return found[name]

    def handed_over(self) -> None:
        """See ``Files``."""
        if self._has_taken:
            self._has_taken = False
            self._budget.give_back(self._cost)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.handed_over()
