"""The REST API: a client's way in."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask.typing import ResponseReturnValue
from flask_smorest import Api  # type: ignore[import-untyped]
from werkzeug.exceptions import HTTPException

from wavecom import __version__
from wavecom.bootstrap import WebServices
from wavecom.web import problems
from wavecom.web.api import notifications

_SETTINGS: dict[str, Any] = {
    "API_TITLE": "WaveCom",
    "API_VERSION": __version__,
    "OPENAPI_VERSION": "3.1.0",
    # Built from the schemas at start; served under no address yet.
    "OPENAPI_URL_PREFIX": None,
}


class ProblemApi(Api):  # type: ignore[misc]
    """flask-smorest that answers errors as the rest of the app does."""

    def handle_http_exception(self, error: HTTPException) -> ResponseReturnValue:
        """See ``problems.http_answer``."""
        return problems.http_answer(error)


def register(app: Flask, services: WebServices) -> None:
    """Add the API to ``app``."""
    app.config.update(_SETTINGS)
    api = ProblemApi(app)
    api.register_blueprint(notifications.make_blueprint(services))
