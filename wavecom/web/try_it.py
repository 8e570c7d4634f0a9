"""``GET /api/openapi.json``, the API's description for programs, and ``GET /docs``, a page to read it and try it.

The page is Swagger UI from the installed package; nothing of it comes from another host.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import orjson
from flask import Blueprint, Response

from wavecom.web.dashboard import headers

DOCUMENT = "/api/openapi.json"
PAGE = "/docs"

#: Swagger UI keeps its icons inside its style sheet; all else is as strict as for the other pages.
CONTENT_SECURITY_POLICY = headers.CONTENT_SECURITY_POLICY.replace("img-src 'self'", "img-src 'self' data:")

# Addresses relative to the page's, so that it works behind a proxy that mounts us below a prefix.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>WaveCom: the API</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
<link rel="icon" href="docs/assets/favicon-32x32.png">
</head>
<body>
<div id="page"><noscript>This page needs JavaScript. The same is in api/openapi.json and docs/errors.</noscript></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/assets/start.js"></script>
</body>
</html>
"""
# validatorUrl: by default a badge would send the document's address to swagger.io. The key typed in lives in the
# page's memory alone (persistAuthorization).
_START = b"""SwaggerUIBundle({
  url: "api/openapi.json",
  dom_id: "#page",
  presets: [SwaggerUIBundle.presets.apis],
  validatorUrl: null,
  persistAuthorization: false,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  requestSnippetsEnabled: false
});
"""
_ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}


def make_blueprint(document: Mapping[str, Any]) -> Blueprint:
    """The addresses. ``document`` is written once, here; it is public, as it is the same for everybody."""
    blueprint = Blueprint("try_it", __name__)
    written = orjson.dumps(document)
    folder = files("flask_swagger_ui") / "dist"

    @blueprint.get(DOCUMENT)
    def describe() -> Response:
        return Response(written, mimetype="application/json")

    @blueprint.get(PAGE)
    def show() -> Response:
        return _for_browsers(Response(_PAGE, mimetype="text/html"))

    @blueprint.get(f"{PAGE}/assets/start.js")
    def start() -> Response:
        return _for_browsers(Response(_START, mimetype="text/javascript"))

    def serve(name: str, mimetype: str) -> None:
        def asset() -> Response:
            response = _for_browsers(Response((folder / name).read_bytes(), mimetype=mimetype))
            response.headers["Cache-Control"] = "public, max-age=3600"
            return response

        blueprint.add_url_rule(f"{PAGE}/assets/{name}", name.replace(".", "_"), asset)

    for name, mimetype in _ASSETS.items():
        serve(name, mimetype)
    return blueprint


def _for_browsers(response: Response) -> Response:
    response.headers.update(headers.HEADERS | {"Content-Security-Policy": CONTENT_SECURITY_POLICY})
    response.headers["Cache-Control"] = "no-store"
    return response
