"""What operators do to providers: look how they stand, pause one, open one again. Each deed leaves an audit entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from wavecom.core.ports import Clock


class ProviderAction(StrEnum):
    """What was done."""

    PAUSE = "pause_provider"
    REOPEN = "reopen_provider"
    SEND_TEST = "send_test_message"


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """The audit entry of one deed."""

    event_id: str
    action: ProviderAction
    actor: str
    at: datetime
    provider: str
    reason: str
    #: Until when nobody calls it; None when it was opened.
    until: datetime | None = None


class ProviderAudit(Protocol):
    """Who did what, kept for good."""

    def record_provider_event(self, event: ProviderEvent) -> None:
        """Write the entry. Raises ``StoreError``."""
        ...


class ProviderSwitch(Protocol):
    """Acts for all workers at once. Raises ``UnavailableError`` where that can't be."""

    def pause(self, provider: str, seconds: float, reason: str) -> None:
        """Let nobody call the provider for ``seconds``, whatever it asked for itself."""
        ...

    def reopen(self, provider: str, reason: str) -> None:
        """End a pause, close the breaker and forget how often it opened; calls begin slowly. May be repeated."""
        ...


class ProviderControl:
    """The use cases. The audit entry is written before the deed: nothing is done without one."""

    def __init__(
        self, *, switch: ProviderSwitch, audit: ProviderAudit, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._switch = switch
        self._audit = audit
        self._clock = clock
        self._new_id = new_id

    def pause(self, provider: str, until: datetime, *, actor: str, reason: str) -> None:
        """Let nobody call the provider until ``until``. Raises ``StoreError`` and ``UnavailableError``."""
        now = self._clock.now()
        self._audit.record_provider_event(
            ProviderEvent(self._new_id(), ProviderAction.PAUSE, actor, now, provider, reason, until)
        )
        self._switch.pause(provider, (until - now).total_seconds(), f"paused by {actor}: {reason}")

    def reopen(self, provider: str, *, actor: str, reason: str) -> None:
        """Let the provider be called again, slowly at first. Raises ``StoreError`` and ``UnavailableError``."""
        self._audit.record_provider_event(
            ProviderEvent(self._new_id(), ProviderAction.REOPEN, actor, self._clock.now(), provider, reason)
        )
        self._switch.reopen(provider, f"reopened by {actor}: {reason}")
