"""Who did what to which callback: entries of the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class CallbackAction(StrEnum):
    """What can be done to a callback and is noted."""

    CREATE = "create_callback"
    CHANGE = "change_callback"
    ROTATE = "rotate_callback_secret"
    DELETE = "delete_callback"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackEvent:
    """That somebody did something to a callback of the account ``client``."""

    event_id: str
    action: CallbackAction
    #: An operator, or ``key <keyId>``.
    actor: str
    at: datetime
    client: str
    callback_id: str
    #: What else is worth knowing later; nothing of a secret, and of an address no more than its origin.
    details: Mapping[str, object] = field(default_factory=dict)


class CallbackAudit(Protocol):
    """Where it is noted, for good. Raises ``StoreError``."""

    def record_callback_event(self, event: CallbackEvent) -> None:
        """Write the entry. May be repeated."""
        ...
