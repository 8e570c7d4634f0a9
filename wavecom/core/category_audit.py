"""Who did what to which category of messages, and to the look of preference pages: entries of the audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class CategoryAction(StrEnum):
    """What can be done and is noted: the ``action`` of an audit entry."""

    SET = "set_category"
    DELETE = "delete_category"
    SET_PAGE = "set_preference_page"


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryEvent:
    """That somebody changed what recipients of the account ``client`` may choose. ``actor``: ``key <keyId>``."""

    event_id: str
    action: CategoryAction
    actor: str
    at: datetime
    client: str
    details: Mapping[str, object] = field(default_factory=dict)


class CategoryAudit(Protocol):
    """Where it is noted, for good. Raises ``StoreError``."""

    def record_category_event(self, event: CategoryEvent) -> None:
        """Write the entry. May be repeated."""
        ...
