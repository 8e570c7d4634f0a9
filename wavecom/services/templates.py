"""Templates as clients and operators manage them, and as notifications are written by them."""

from __future__ import annotations

import uuid
from typing import Any

from pymongo.database import Database

from wavecom.core.ports import Clock
from wavecom.core.templates.administration import TemplateAdministration
from wavecom.core.templates.rendering import TemplateRenderer
from wavecom.settings import Settings
from wavecom.storage.mongo.audit import MongoAuditLog
from wavecom.storage.mongo.templates import MongoTemplateStore


def templates_of(
    settings: Settings, database: Database[dict[str, Any]], clock: Clock
) -> tuple[TemplateRenderer, TemplateAdministration]:
    """What renders, and the use cases, which tell it when a version is published here."""
    store = MongoTemplateStore(database)
    renderer = TemplateRenderer(store, clock)
    administration = TemplateAdministration(
        store=store,
        audit=MongoAuditLog(database),
        clock=clock,
        new_id=lambda: uuid.uuid4().hex,
        on_published=renderer.forget,
        needs_second_person=settings.template_review,
        templates_limit=settings.client_templates,
        versions_limit=settings.template_versions,
    )
    return renderer, administration
