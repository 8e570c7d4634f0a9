"""The REST API: a client's way in."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, UnicodeConverter

from wavecom import __version__
from wavecom.internals import smorest
from wavecom.services.web import WebServices
from wavecom.web import problems
from wavecom.web.api import (
    actions,
    callbacks,
    campaigns,
    categories,
    contact,
    events,
    files,
    keys,
    notifications,
    openapi,
    providers,
    recipients,
    stats,
    suppressions,
    templates,
)

_SETTINGS: dict[str, Any] = {
    "API_TITLE": "WaveCom",
    "API_VERSION": __version__,
    "OPENAPI_VERSION": "3.1.0",
    # Not flask-smorest's pages, which would build the document at each request: ``web/reference.py`` serves ours.
    "OPENAPI_URL_PREFIX": None,
}


#: What stands in a path where an id may stand: GET of these is a wrong method (405), not an unknown id (404).
RESERVED = ("add", "batch", "export", "import", "replay")


class PathPart(UnicodeConverter):
    """A part of a path that is none of the ``RESERVED`` words."""

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, **options)
        self.regex = rf"(?!(?:{'|'.join(RESERVED)})$){self.regex}"


class ProblemApi(smorest.BareApi):
    """flask-smorest that answers errors as the rest of the app does, and describes nothing that is never answered."""

    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue:
        """See ``problems.http_answer``."""
        return problems.http_answer(error)


def register(app: Flask, services: WebServices) -> dict[str, Any]:
    """Add the API to ``app``; its OpenAPI document."""
    app.config.update(_SETTINGS)
    app.url_map.converters["default"] = PathPart
    api = ProblemApi(app, spec_kwargs=openapi.spec_options())
    api.register_blueprint(notifications.make_blueprint(services))
    api.register_blueprint(actions.make_blueprint(services))
    api.register_blueprint(callbacks.make_blueprint(services))
    api.register_blueprint(categories.make_blueprint(services))
    api.register_blueprint(campaigns.make_blueprint(services))
    api.register_blueprint(contact.make_blueprint(services))
    api.register_blueprint(events.make_blueprint(services))
    api.register_blueprint(files.make_blueprint(services))
    api.register_blueprint(keys.make_blueprint(services))
    api.register_blueprint(providers.make_blueprint(services))
    api.register_blueprint(recipients.make_blueprint(services))
    api.register_blueprint(suppressions.make_blueprint(services))
    api.register_blueprint(stats.make_blueprint(services))
    api.register_blueprint(templates.make_blueprint(services))
    return openapi.document(api.spec)
