"""What is noted of whoever does something to a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class TemplateAction(StrEnum):
    """What somebody did to a template: the ``action`` of an audit entry."""

    SAVE = "save_template"
    ASK_REVIEW = "ask_template_review"
    PUBLISH = "publish_template"


@dataclass(frozen=True, slots=True)
class TemplateEvent:
    """An audit entry about a version. ``actor`` is named as in jobs: ``key <keyId>`` or an operator's name."""

    event_id: str
    action: TemplateAction
    actor: str
    at: datetime
    client: str
    template: str
    version: int
    details: Mapping[str, object] = field(default_factory=dict)


class TemplateAudit(Protocol):
    """Where it is noted. Raises ``StoreError``."""

    def record_template_event(self, event: TemplateEvent) -> None:
        """Note one entry; may be repeated."""
        ...
