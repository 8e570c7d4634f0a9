"""How many threads of this process may be inside one provider: a slow one must not starve the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from threading import Lock

#: When to ask again while every place is taken: calls end at any moment, so soon.
RETRY_AFTER_SECONDS = 0.05


class Bulkhead:
    """Counts the calls in flight per provider in this process.

    With two threads or more and more than one provider, none of them may hold more than half of the threads; nor may
    all ``patient`` ones together, whose calls may take minutes, where there are others.
    ``providers`` maps each to a limit of its own.
    """

    def __init__(self, providers: Mapping[str, int | None], threads: int, patient: Collection[str] = ()) -> None:
        share = threads // 2 if threads >= 2 and len(providers) > 1 else threads
        self._patient = frozenset(patient)
        self._patient_limit = share if self._patient < providers.keys() else threads
        self._patient_in_flight = 0
        self._limits = {
            name: share if own_limit is None else min(own_limit, share) for name, own_limit in providers.items()
        }
        self._in_flight = dict.fromkeys(providers, 0)
        self._lock = Lock()

    def enter(self, provider: str) -> bool:
        """Take a place; False when all are taken."""
        with self._lock:
            if self.is_full(provider):
                return False
            self._in_flight[provider] += 1
            self._patient_in_flight += provider in self._patient
            return True

    def leave(self, provider: str) -> None:
        """Give back a place that ``enter`` has granted."""
        with self._lock:
            self._in_flight[provider] -= 1
            self._patient_in_flight -= provider in self._patient

    def is_full(self, provider: str) -> bool:
        """Whether ``enter`` would say no now."""
        if provider in self._patient and self._patient_in_flight >= self._patient_limit:
            return True
        return self._in_flight[provider] >= self._limits[provider]

    def in_flight(self, provider: str) -> int:
        """Calls of this process to ``provider`` at this moment."""
        return self._in_flight[provider]
