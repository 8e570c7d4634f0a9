"""Who may not be sent anything, asked of every job that was claimed, before anybody is called for it.

Nearly every recipient is on no list, and that must cost nearly nothing. So a process keeps a Bloom filter of all
recipients on any, reads more than once a second what was added, and asks the store about those alone that the filter
finds. What the filter says is believed for a second after the beginning of its last reading: an entry is in force for
every claim later than ``FRESH_SECONDS`` after it was stored. Where reading takes longer, the store is asked about
everybody.
A lift is in force at once, for the filter never lets anybody be refused.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from datetime import timedelta

from wavecom.core.bloom import BloomFilter
from wavecom.core.job import Job, JobId, Reason
from wavecom.core.ports import Clock
from wavecom.core.preflights import Rejection
from wavecom.core.recipients import recipient_of
from wavecom.core.suppressions import ActiveSuppression, SuppressionStore, recipient_digest, stops
from wavecom.core.transitions import token_in
from wavecom.errors import StoreError

#: How often ``refresh`` is to be called, and how long its answers are good for.
REFRESH_SECONDS = 0.7
FRESH_SECONDS = 1.0
#: What was changed so long before the last change that was seen is read again, in case it became visible later.
_OVERLAP = timedelta(seconds=5)
#: The same against this process's own idea of the store's time.
_CLOCK_TOLERANCE = timedelta(seconds=10)
_LEAST_CAPACITY = 10_000
#: Far more than a process ever has claimed at once.
_FOUND_LIMIT = 20_000


class SuppressionCheck:
    """The preflight (``core.preflights``) that has a job fail as ``suppressed``.

    Thread-safe; ``refresh`` is to be called periodically, and the first time before the first job is claimed.
    """

    def __init__(self, store: SuppressionStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._filter: BloomFilter | None = None
        #: By ``clock.monotonic()``.
        self._fresh_until = float("-inf")
        #: Where the next reading begins, by the store's time.
        self._read_since = clock.now()
        self._refreshing = threading.Lock()
        #: What was found of jobs that are claimed, the oldest first, with the token of their claim.
        self._found: dict[JobId, tuple[str | None, ActiveSuppression]] = {}

    def refresh(self) -> None:
        """Read what was added since the last time, or everything at first. Raises ``StoreError``."""
        with self._refreshing:
            begun, now = self._clock.monotonic(), self._clock.now()
            held = self._filter
            if held is None or held.size > held.capacity:
                held = self._read_all(_LEAST_CAPACITY if held is None else 4 * held.capacity)
                # Whatever was written while all was read may have been passed over.
                self._read_since = now - _CLOCK_TOLERANCE
            else:
                last_change = self._read_since
                for digest, changed_at in self._store.digests(self._read_since):
                    held.add(digest)
                    last_change = max(last_change, changed_at)
                self._read_since = max(last_change - _OVERLAP, now - _CLOCK_TOLERANCE)
            self._filter = held
            self._fresh_until = begun + FRESH_SECONDS

    def keep_fresh(self) -> None:
        """``refresh``, if the store answers. While it is away, everybody is asked about."""
        with contextlib.suppress(StoreError):
            self.refresh()

    def prepare(self, jobs: Sequence[Job]) -> None:
        """See ``Preflight``. No round trip, unless a recipient may be on a list."""
        found = self.find(jobs)
        for job in jobs:
            if job.job_id in found:
                self._found.pop(job.job_id, None)
                self._found[job.job_id] = token_in(job), found[job.job_id]
        while len(self._found) > _FOUND_LIMIT:
            self._found.pop(next(iter(self._found)), None)

    def check(self, job: Job) -> Rejection | None:
        """See ``Preflight``."""
        if not self._found:
            return None
        token, entry = self._found.get(job.job_id, (None, None))
        if entry is None or token != token_in(job):
            return None
        text = f"the recipient is on the suppression list: {entry.source}, entry {entry.suppression_id}"
        return Rejection(entry.source.value, text, Reason.SUPPRESSED)

    def find(self, jobs: Sequence[Job]) -> dict[JobId, ActiveSuppression]:
        """For each job that may not be sent, an entry that says so. Raises ``StoreError``."""
        held = self._filter
        is_fresh = held is not None and self._clock.monotonic() < self._fresh_until
        if held is not None and is_fresh and not held.size:
            return {}
        by_digest: dict[bytes, list[Job]] = {}
        for job in jobs:
            recipient = recipient_of(job.type, job.to)
            if recipient is None:
                continue
            digest = recipient_digest(job.client, job.type, recipient)
            if held is None or not is_fresh or digest in held:
                by_digest.setdefault(digest, []).append(job)
        if not by_digest:
            return {}
        found: dict[JobId, ActiveSuppression] = {}
        for digest, entries in self._store.active(list(by_digest), self._clock.now()).items():
            for job in by_digest[digest]:
                stopping = [entry for entry in entries if stops(entry.scope, job.priority)]
                if stopping:
                    found[job.job_id] = min(stopping, key=lambda entry: (entry.scope, entry.source))
        return found

    def _read_all(self, capacity: int) -> BloomFilter:
        """A filter of everything, with room to grow. While it is read, an older one is no longer believed."""
        held = BloomFilter(capacity)
        for digest, _ in self._store.digests():
            if held.size >= held.capacity:
                return self._read_all(4 * held.capacity)
            held.add(digest)
        return held
