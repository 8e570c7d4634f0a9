"""Flask's JSON by orjson: fast, strict, and without the BSON types that Flask-PyMongo would let clients smuggle in."""

from __future__ import annotations

from typing import Any

import orjson
from flask import Response
from flask.json.provider import JSONProvider


class OrjsonProvider(JSONProvider):
    """Set as ``app.json`` after ``PyMongo.init_app``, which sets one of its own."""

    def dumps(self, obj: Any, **_: Any) -> str:
        """JSON text; aware datetimes in RFC 3339 form."""
        return orjson.dumps(obj, option=orjson.OPT_UTC_Z).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        """Raises ``ValueError`` for what is not JSON, NaN and Infinity included."""
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """A JSON response of one value."""
        value = self._prepare_response_obj(args, kwargs)
        return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), mimetype="application/json")
