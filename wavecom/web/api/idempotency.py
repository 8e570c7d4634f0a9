"""The ``Idempotency-Key`` header."""

from __future__ import annotations

import re

from flask import Request

from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.faults import FaultCode
from wavecom.web.api.shapes import text

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

IDEMPOTENCY_KEY = Parameter(
    HEADER,
    "header",
    text(minLength=1, maxLength=255, pattern=r"^[ -~]*[!-~][ -~]*$"),
    "Your own name for this request. Repeated with the same body it gets the first answer and sends nothing twice.",
    "order-42-otp-1",
)

_FORM = re.compile(r"[\x20-\x7e]{1,255}")


def idempotency_key(request: Request) -> str | None:
    """The key as it was sent, or None. Raises ``InvalidRequestError`` for one that is not 1 to 255 ASCII characters."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _FORM.fullmatch(key) or key.isspace():
        message = "must be 1 to 255 printable ASCII characters, such as a UUID or your own order number"
        raise InvalidRequestError([Problem(HEADER, message, FaultCode.INVALID)])
    return key
