"""What is noted of whoever does something to a campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class CampaignAction(StrEnum):
    """What somebody did to a campaign: the ``action`` of an audit entry."""

    CREATE = "create_campaign"
    UPLOAD = "upload_campaign_rows"
    START = "start_campaign"
    APPROVE = "approve_campaign"
    PAUSE = "pause_campaign"
    RESUME = "resume_campaign"
    CANCEL = "cancel_campaign"


@dataclass(frozen=True, slots=True)
class CampaignEvent:
    """An audit entry about a campaign. ``actor`` is named as in jobs: ``key <keyId>`` or an operator's name."""

    event_id: str
    action: CampaignAction
    actor: str
    at: datetime
    client: str
    campaign_id: str
    details: Mapping[str, object] = field(default_factory=dict)


class CampaignAudit(Protocol):
    """Where it is noted. Raises ``StoreError``."""

    def record_campaign_event(self, event: CampaignEvent) -> None:
        """Note one entry; may be repeated."""
        ...
