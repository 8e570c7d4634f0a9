"""The page of a fallback: its steps, each with a link to the notification that it is, and what happened."""

from __future__ import annotations

import re

from flask import render_template

from wavecom.core.fallback import Fallback
from wavecom.errors import JobNotFoundError
from wavecom.web.api import fallbacks
from wavecom.web.dashboard.context import pages, viewer

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def visible(fallback_id: str) -> Fallback | None:
    """The fallback; None where this viewer may see none of this id. Raises ``StoreError``."""
    if not _ID.fullmatch(fallback_id):
        return None
    return pages().services.fallbacks.get(fallback_id.lower(), viewer().client)


def page_of(fallback: Fallback) -> str:
    """Its page. It shows no recipient and no text: the steps' own pages do, to those who may read them."""
    detail = fallbacks.detail(pages().services, fallback)
    return render_template("dashboard/fallback.html", fallback=fallback, steps=detail["steps"])


def page(fallback_id: str, missing: JobNotFoundError) -> str:
    """The page of the fallback with this id. Raises ``missing`` where there is none."""
    found = visible(fallback_id)
    if found is None:
        raise missing
    return page_of(found)
