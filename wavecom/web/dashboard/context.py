"""What the views work with, held by the app they belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from flask import current_app
from flask_login import current_user

from wavecom.accounts.expiring_cache import ExpiringCache
from wavecom.core.audit import FailureReason
from wavecom.services.web import WebServices
from wavecom.web.api.schemas.notification import NotificationSchema
from wavecom.web.api.sending import Sending
from wavecom.web.dashboard.access import Viewer, ViewerAuthenticator
from wavecom.web.dashboard.snapshots import Snapshots
from wavecom.web.health import Readiness
from wavecom.web.security import SecurityEvents

EXTENSION = "wavecom_pages"


@dataclass(frozen=True, slots=True)
class Pages:
    """What the pages of one application share."""

    services: WebServices
    access: ViewerAuthenticator
    security_events: SecurityEvents
    readiness: Readiness
    schema: NotificationSchema
    sending: Sending
    snapshots: Snapshots
    #: What dead letters were counted, by filter.
    tallies: ExpiringCache[Mapping[FailureReason, int]]
    #: A new id for an operation.
    new_id: Callable[[], str]


def pages() -> Pages:
    """The pages of the app that serves the current request."""
    found: Pages = current_app.extensions[EXTENSION]
    return found


def viewer() -> Viewer:
    """Who is looking; only behind the login."""
    found: Viewer = current_user._get_current_object()
    return found
