"""Pauses as preflights: providers that rest, and providers that had better not be given a mail for one domain. Pure.

A provider rests because an operator wants it, or because it asked for it (``Retry-After``). Which does is known to the
router's gate, for the whole fleet; what is asked here is what it knew last, without asking a server.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from wavecom.core.job import Job
from wavecom.core.preflights import ProviderHold

#: A job whose providers all rest comes back after so many seconds at most: an operator may end a pause at any time.
LONGEST_PAUSE_SECONDS: Final = 60.0


class PausingRoute(Protocol):
    """What of a router is needed here. Neither method asks a server or takes a permit."""

    def paused_providers(self, job: Job) -> Mapping[str, float]:
        """The providers of the job's route that nobody may call now → for how many seconds; empty for a test's job."""
        ...

    def destination_waits(self, job: Job) -> Mapping[str, float]:
        """The providers of its route by which nothing should go now to where the job's message goes → seconds."""
        ...


class ProviderPauses:
    """The preflight that has no job call a provider that rests, whatever it was admitted with before the pause."""

    def __init__(self, route: PausingRoute) -> None:
        self._route = route

    def prepare(self, jobs: Sequence[Job]) -> None:
        """See ``Preflight``. The gate knows already."""

    def check(self, job: Job) -> ProviderHold | None:
        """See ``Preflight``."""
        waits = self._route.paused_providers(job)
        if not waits:
            return None
        return ProviderHold({provider: min(seconds, LONGEST_PAUSE_SECONDS) for provider, seconds in waits.items()})


class DestinationPauses:
    """The preflight that has a mail for a domain in trouble wait, or go by a provider to which the domain answers."""

    def __init__(self, route: PausingRoute) -> None:
        self._route = route

    def prepare(self, jobs: Sequence[Job]) -> None:
        """See ``Preflight``. Each process has learned it by itself."""

    def check(self, job: Job) -> ProviderHold | None:
        """See ``Preflight``."""
        waits = self._route.destination_waits(job)
        return ProviderHold(waits) if waits else None
