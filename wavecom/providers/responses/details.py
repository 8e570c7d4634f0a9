"""Details of a response. It may hold any bytes: what can't be read is None, and nothing here raises."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import orjson

from wavecom.providers.transport import Response

#: No provider's wish holds a message back for longer.
LONGEST_WAIT_SECONDS: Final = 86_400

#: Characters kept of a provider's name for a message.
LONGEST_ID: Final = 200

#: Longer than any date that RFC 9110 knows.
_LONGEST_DATE: Final = 64


def json_field(response: Response, *names: str) -> str | None:
    """The first of these fields that a JSON answer holds as text or number, at most ``LONGEST_ID`` characters.

    None for any other answer. What can't be printed (control characters, invisible marks) is left out.
    """
    try:
        content = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(content, dict):
        return None
    found = next((content[name] for name in names if content.get(name)), None)
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    text = str(found)[: 2 * LONGEST_ID]
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text[:LONGEST_ID] or None


def json_at(response: Response, *steps: str | int) -> object:
    """What a JSON answer holds at a place: ``json_at(response, "errors", 0, "field")``. None where it holds nothing."""
    try:
        found: Any = orjson.loads(response.body)
        for step in steps:
            found = found[step]
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None
    return found


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """What a ``Retry-After`` asks for, from 0 to a day; None when it is absent or neither seconds nor a date.

    RFC 9110 section 10.2.3. ``now`` is aware UTC.
    """
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(min(int(value.lstrip("0")[:9] or "0"), LONGEST_WAIT_SECONDS))
    if len(value) > _LONGEST_DATE:
        return None
    try:
        date = parsedate_to_datetime(value)
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except Exception:  # noqa: BLE001 - years and zones of any length: the library raises what its parts happen to raise
        return None
    return min(max(seconds, 0.0), float(LONGEST_WAIT_SECONDS))


#: Phrases that newer Pythons have otherwise (RFC 9110 renamed them): a job's log reads the same on all.
_PHRASES = {
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    416: "Requested Range Not Satisfiable",
    422: "Unprocessable Entity",
}


def phrase(status: int) -> str:
    """``HTTP 503 Service Unavailable``: in the standard's words, never in those of the answer."""
    try:
        return f"HTTP {status} {_PHRASES.get(status) or HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
