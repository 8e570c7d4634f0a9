"""Arguments of views: read safely, checked by a schema, refused with every error at once."""

from __future__ import annotations

from typing import Any, NoReturn

from flask import Request
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser

from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.field_errors import problems
from wavecom.web.api.idempotency import HEADER, idempotency_key
from wavecom.web.body import VALUES_LIMIT, is_left_out, read_json


class ArgumentsParser(FlaskParser):
    """webargs with our body reader and our errors."""

    #: Each schema says itself that it takes no unknown fields.
    DEFAULT_UNKNOWN_BY_LOCATION: dict[str, str | None] = {}  # noqa: RUF012 - webargs declares it so

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The parsed body."""
        if getattr(schema, "may_be_left_out", False) and is_left_out(req):
            return {}
        return read_json(req, values_limit=getattr(schema, "values_limit", VALUES_LIMIT))

    def load_querystring(self, req: Request, schema: Schema) -> Any:
        """The query as name → values."""
        return req.args.to_dict(flat=False)

    def handle_error(self, error: ValidationError, req: Request, schema: Schema, **_: Any) -> NoReturn:
        """Name every error, those of the headers too."""
        # webargs puts the location around what the schema found.
        [(location, found)] = error.messages_dict.items()
        wrong = problems(ValidationError(found))
        if location == "query":
            wrong = [Problem(f"?{problem.where[1:]}", problem.message, problem.code) for problem in wrong]
        try:
            idempotency_key(req.headers.get(HEADER))
        except InvalidRequestError as header_error:
            wrong += header_error.problems
        raise InvalidRequestError(wrong) from error
