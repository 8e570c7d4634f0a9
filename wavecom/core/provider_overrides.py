"""What people have changed about a provider while it runs: its weight, a pause. Kept until it is taken back.

The providers file is what holds without them. Workers read them twice a second (``wavecom.routing.overrides``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ProviderOverride:
    """What holds for one provider in place of the file. Made anew by every change."""

    provider: str
    changed_at: datetime
    changed_by: str
    reason: str
    #: Its share of every step that it stands in; None: as the file says.
    weight: float | None = None
    #: Nobody calls it before (aware UTC); None: there is no pause.
    paused_until: datetime | None = None
    #: When somebody last said that it may be called again, whatever held it closed; None: nobody has.
    reopened_at: datetime | None = None
    #: Who last paused or reopened it, and why, whatever was changed since; "": nobody has.
    pause_changed_by: str = ""
    pause_reason: str = ""


class OverrideStore(Protocol):
    """Keeps one override for each provider that has any. Raises ``StoreError``."""

    def all(self) -> Mapping[str, ProviderOverride]:
        """Every override, by provider."""
        ...

    def set_weight(self, provider: str, weight: float | None, by: str, reason: str, at: datetime) -> None:
        """Change the weight and nothing else; None: as the file says."""
        ...

    def set_pause(self, provider: str, until: datetime | None, by: str, reason: str, at: datetime) -> None:
        """Change the pause and nothing else; None: there is none, and ``reopened_at`` is ``at``."""
        ...
