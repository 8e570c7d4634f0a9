"""The ``Idempotency-Key`` header."""

from __future__ import annotations

import re

from wavecom.errors import InvalidRequestError, Problem
from wavecom.web.api.declarations import Parameter
from wavecom.web.api.field_errors import FieldErrorCode
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
