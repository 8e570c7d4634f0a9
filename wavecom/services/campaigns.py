"""Campaigns as people manage them, and as their rows are uploaded, in a web process."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from wavecom.core.campaigns.administration import CampaignAdministration
from wavecom.core.campaigns.uploading import CampaignUploads
from wavecom.core.ports import Clock
from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.variables import Variable
from wavecom.errors import TemplateNotFoundError
from wavecom.services.shared import usual_limits
from wavecom.settings import Settings
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.campaigns import MongoCampaignStore


def campaigns_of(
    settings: Settings, database: Database[dict[str, Any]], clock: Clock, templates: TemplateAdministration
) -> tuple[CampaignAdministration, CampaignUploads]:
    """The use cases over MongoDB."""
    store = MongoCampaignStore(database)

    def find_variables(account: str, name: str, version: int) -> Mapping[str, Variable]:
        return templates.get(account, name, version).source.variables

    def has_version(account: str, name: str, version: int) -> bool:
        try:
            templates.get(account, name, version)
        except TemplateNotFoundError:
            return False
        return True

    administration = CampaignAdministration(
        store=store,
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=lambda: str(uuid.uuid4()),
        current_version=templates.current,
        has_version=has_version,
        usual_limits=usual_limits(settings),
        approval_rows=settings.campaign_approval_rows,
    )
    return administration, CampaignUploads(store=store, clock=clock, find_variables=find_variables)
