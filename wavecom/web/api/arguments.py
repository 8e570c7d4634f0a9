"""Arguments of views: body, query and the ``Idempotency-Key``, read safely, refused with every error at once."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from flask import Request
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser

from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.field_errors import FieldErrorCode, problems
from wavecom.web.api.shapes import text
from wavecom.web.body import VALUES_LIMIT, is_left_out, read_json

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

IDEMPOTENCY_KEY = Parameter(
    HEADER,
    "header",
    text(minLength=1, maxLength=255, pattern=r"^[ -~]*[!-~][ -~]*$"),
    "Your own name for this request. Repeated with the same body it gets the first answer and sends nothing twice.",
    "order-42-otp-1",
)

MUST = "must be 1 to 255 printable ASCII characters, such as a UUID or your own order number"

_FORM = re.compile(r"[\x20-\x7e]{1,255}")


def idempotency_key(header: str | None) -> str | None:
    """The key in the ``header`` of this name, or None.

    Raises ``InvalidRequestError`` for one that is not 1 to 255 ASCII characters.
    """
    if header is not None and not is_idempotency_key(header):
        raise InvalidRequestError([Problem(HEADER, MUST, FieldErrorCode.INVALID)])
    return header


def is_idempotency_key(text: str) -> bool:
    """Whether a text has the form of a key."""
    return _FORM.fullmatch(text) is not None and not text.isspace()


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
        """Raise ``InvalidRequestError``, which names every error, those of the headers too."""
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
