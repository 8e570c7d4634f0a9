"""The headers and the payload of APNs that say what a push message of ours says.

https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns and
https://developer.apple.com/documentation/usernotifications/generating-a-remote-notification
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson

from wavecom.core.ports import Message
from wavecom.providers.base import UnsendableError
from wavecom.providers.push.content import (
    LONGEST_TTL_SECONDS,
    app_data,
    expires_at,
    is_silent,
    present,
    seconds_to_live,
)

#: Of the payload in its form, not in ours.
LIMIT_BYTES: Final = 4096


def apns_headers(message: Message, topic: str, now: datetime) -> Mapping[str, str]:
    """The headers of one message, beside the token. ``now`` is aware UTC.

    The delivery key is the id, and where there is no ``collapseKey`` the collapse id: a repetition takes the place of
    the first.
    """
    payload: Mapping[str, Any] = message.payload
    is_background = is_silent(payload) and not payload.keys() & {"badge", "sound"}
    ttl = seconds_to_live(message, now)
    return {
        "apns-id": str(message_uuid(message.delivery_key)),
        "apns-topic": topic,
        "apns-push-type": "background" if is_background else "alert",
        "apns-priority": "5" if is_silent(payload) else "10",
        "apns-expiration": str(expires_at(now, LONGEST_TTL_SECONDS if ttl is None else ttl)),
        "apns-collapse-id": payload.get("collapseKey", message.delivery_key),
    }


def apns_payload(payload: Mapping[str, Any]) -> bytes:
    """The JSON of one message. Raises ``UnsendableError`` where it is too large in this form."""
    alert = present(title=payload.get("title"), body=payload.get("body"))
    aps = present(alert=alert or None, badge=payload.get("badge"), sound=payload.get("sound"))
    if is_silent(payload) and payload.get("data"):
        aps["content-available"] = 1
    if "imageUrl" in payload:
        aps["mutable-content"] = 1  # the app's extension loads the picture
    content = orjson.dumps({"aps": aps, **app_data(payload, "imageUrl", "clickUrl")})
    if len(content) > LIMIT_BYTES:
        raise UnsendableError(f"payload: takes {len(content)} bytes in APNs's form; at most {LIMIT_BYTES}")
    return content


def message_uuid(delivery_key: str) -> UUID:
    """The delivery key as APNs wants ids: itself where it is one, else one that is always the same for it."""
    try:
        return UUID(delivery_key)
    except ValueError:
        return uuid5(NAMESPACE_URL, f"wavecom:{delivery_key}")
