"""What operators do to providers: look how they stand, pause one, open one again. Each deed leaves an audit entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from wavecom.core.ports import Clock
from wavecom.core.provider_overrides import OverrideStore


class ProviderAction(StrEnum):
    """What an operator did to a provider: the ``action`` of an audit entry."""

    PAUSE = "pause_provider"
    REOPEN = "reopen_provider"
    WEIGH = "weigh_provider"
    SEND_TEST = "send_test_message"
    #: By WaveCom itself, after the provider's receipts (``core/weight_adjustment.py``).
    ADJUST = "adjust_weight"


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
    #: Its share from now on; None: as the file says, or the deed was another.
    weight: float | None = None
    #: What is left of its weight in the file; None: the deed was another.
    percent: int | None = None


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

    def reopen(self, provider: str, reason: str, at: datetime) -> None:
        """End a pause, close the breaker and forget how often it opened; calls begin slowly.

        ``at`` is when somebody said so (aware UTC): the same one again, or an earlier one, changes nothing.
        """
        ...


class ProviderControl:
    """The use cases. The audit entry is written before the deed: nothing is done without one.

    What is done is kept in ``overrides``, which every worker reads within a second. ``switch`` has it done at once,
    where who asks can reach the fleet; None: the workers do it by themselves.
    """

    def __init__(
        self,
        *,
        switch: ProviderSwitch | None,
        overrides: OverrideStore,
        audit: ProviderAudit,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._switch = switch
        self._overrides = overrides
        self._audit = audit
        self._clock = clock
        self._new_id = new_id

    def pause(self, provider: str, until: datetime, *, actor: str, reason: str) -> None:
        """Let nobody call the provider until ``until``. Raises ``StoreError`` and ``UnavailableError``."""
        now = self._clock.now()
        self._audit.record_provider_event(
            ProviderEvent(self._new_id(), ProviderAction.PAUSE, actor, now, provider, reason, until)
        )
        self._overrides.set_pause(provider, until, actor, reason, now)
        if self._switch is not None:
            self._switch.pause(provider, (until - now).total_seconds(), f"paused by {actor}: {reason}")

    def reopen(self, provider: str, *, actor: str, reason: str) -> None:
        """Let the provider be called again, slowly at first. Raises ``StoreError`` and ``UnavailableError``."""
        now = self._clock.now()
        self._audit.record_provider_event(
            ProviderEvent(self._new_id(), ProviderAction.REOPEN, actor, now, provider, reason)
        )
        self._overrides.set_pause(provider, None, actor, reason, now)
        if self._switch is not None:
            self._switch.reopen(provider, f"reopened by {actor}: {reason}", now)

    def weigh(self, provider: str, weight: float | None, *, actor: str, reason: str) -> None:
        """Give the provider another share of its steps; None: that of the file. Raises ``StoreError``."""
        now = self._clock.now()
        self._audit.record_provider_event(
            ProviderEvent(self._new_id(), ProviderAction.WEIGH, actor, now, provider, reason, weight=weight)
        )
        self._overrides.set_weight(provider, weight, actor, reason, now)
