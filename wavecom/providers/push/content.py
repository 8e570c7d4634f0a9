"""Reading the payload of a push message (``wavecom.web.api.schemas.push``) for any push service."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from wavecom.core.ports import Message
from wavecom.providers.base import UnsendableError

#: What push services keep a message for at most (FCM; RFC 8030 leaves it to them), and where nobody says how long.
LONGEST_TTL_SECONDS: Final = 28 * 24 * 3600


def recipient(message: Message, platform: str, field: str) -> Any:
    """``to.token`` or ``to.subscription`` of a message for ``platform``.

    Raises ``UnsendableError``; for another platform one that is final here, as another provider may serve it.
    """
    found = message.to.get("platform")
    if found != platform:
        raise UnsendableError(f"to.platform: this provider serves {platform} only", is_final_here=True)
    value = message.to.get(field)
    if not value:
        raise UnsendableError(f"to.{field}: is missing")
    return value


def is_silent(payload: Mapping[str, object]) -> bool:
    """Whether nothing is shown: the app is only woken, or its badge set."""
    return not payload.get("title") and not payload.get("body")


def app_data(payload: Mapping[str, Any], *fields: str) -> dict[str, str]:
    """The texts for the app: ``payload.data``, and those of ``fields`` that the push service has no place for.

    Raises ``UnsendableError`` where both use one name.
    """
    data = dict(payload.get("data") or {})
    for field in fields:
        if field in payload and data.setdefault(field, str(payload[field])) != str(payload[field]):
            raise UnsendableError(f"payload.data.{field}: is the name by which payload.{field} is sent")
    return data


def present(**values: object) -> dict[str, Any]:
    """The values that are not None, by name."""
    return {name: value for name, value in values.items() if value is not None}


def seconds_to_live(message: Message, now: datetime) -> int | None:
    """How long the push service keeps the message for a device that is away: ``payload.ttlSeconds``, else until the
    notification's deadline, so that no one-time password shows up days later. At most four weeks; None: not said.
    """
    asked = message.payload.get("ttlSeconds")
    if isinstance(asked, int):
        return asked
    seconds = message.seconds_left(now)
    return None if seconds is None else min(max(seconds, 0), LONGEST_TTL_SECONDS)


def expires_at(now: datetime, ttl_seconds: int) -> int:
    """As seconds since 1970; 0 (once, now or never) where there is no time to live."""
    return int((now + timedelta(seconds=ttl_seconds)).timestamp()) if ttl_seconds else 0
