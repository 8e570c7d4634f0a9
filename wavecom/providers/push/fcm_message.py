"""The message of FCM HTTP v1 that says what a push message of ours says.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from wavecom.core.ports import Message
from wavecom.providers.push.content import app_data, expires_at, is_silent, present, recipient, seconds_to_live


def fcm_message(message: Message, now: datetime) -> Mapping[str, Any]:
    """For Android, and for Apple devices and browsers whose app uses FCM. ``now`` is aware UTC.

    The delivery key is the tag of what is shown: a repetition takes the place of the first.
    Raises ``UnsendableError``.
    """
    token = recipient(message, "fcm", "token")
    payload: Mapping[str, Any] = message.payload
    silent = is_silent(payload)
    ttl = seconds_to_live(message, now)
    # Without anything shown Android has no place for a badge: the app sets it.
    data = app_data(payload, "clickUrl", *(("badge", "sound", "imageUrl") if silent else ()))
    shown = None
    if not silent:
        shown = present(title=payload.get("title"), body=payload.get("body"), image=payload.get("imageUrl"))
    return present(
        token=token,
        notification=shown,
        data=data or None,
        android=_android(payload, silent, message.delivery_key, ttl),
        apns=_apns(payload, silent, message.delivery_key, None if ttl is None else expires_at(now, ttl)),
        webpush=_webpush(payload, silent, message.delivery_key, ttl),
    )


def _android(payload: Mapping[str, Any], silent: bool, key: str, ttl: int | None) -> Mapping[str, Any]:
    notification = None
    if not silent:
        notification = present(tag=payload.get("collapseKey", key), sound=payload.get("sound"))
        if payload.get("badge"):  # 0 would be taken for "not said"
            notification["notification_count"] = payload["badge"]
    return present(
        priority="NORMAL" if silent else "HIGH",
        ttl=None if ttl is None else f"{ttl}s",
        collapse_key=payload.get("collapseKey"),
        notification=notification,
    )


def _apns(payload: Mapping[str, Any], silent: bool, key: str, ends_at: int | None) -> Mapping[str, Any]:
    headers = present(
        **{
            "apns-priority": "5" if silent else "10",
            "apns-collapse-id": payload.get("collapseKey", key),
            "apns-expiration": None if ends_at is None else str(ends_at),
        }
    )
    aps = present(badge=payload.get("badge"), sound=payload.get("sound"))
    if silent:
        aps["content-available"] = 1
    elif payload.get("imageUrl"):
        aps["mutable-content"] = 1  # the app's extension loads the picture
    image = present(image=payload.get("imageUrl"))
    return present(headers=headers, payload={"aps": aps}, fcm_options=image or None)


def _webpush(payload: Mapping[str, Any], silent: bool, key: str, ttl: int | None) -> Mapping[str, Any]:
    link = payload.get("clickUrl")
    headers = present(TTL=None if ttl is None else str(ttl), Urgency="normal" if silent else "high")
    # FCM refuses links that are not https; those reach the app as data.
    options = {"link": link} if link and link.startswith("https://") else None
    shown = None if silent else {"tag": payload.get("collapseKey", key)}
    return present(headers=headers, notification=shown, fcm_options=options)


def fcm_error_code(body: bytes) -> str | None:
    """The ``errorCode`` of an answer (FcmError); ``INVALID_TOKEN`` where details or text say that of the token.

    None for what holds none. https://firebase.google.com/docs/reference/fcm/rest/v1/FcmError and, for the text,
    https://firebase.google.com/docs/cloud-messaging/error-codes (example 2).
    """
    content = _object(orjson.loads(body)) if body[:1] == b"{" else {}
    error = _object(content.get("error"))
    details = error.get("details")
    code = None
    for detail in map(_object, details if isinstance(details, list) else []):
        code = detail.get("errorCode", code)
        violations = detail.get("fieldViolations")
        if any(_object(each).get("field") == "message.token" for each in violations or []):
            return "INVALID_TOKEN"
    if code == "INVALID_ARGUMENT" and "not a valid FCM registration token" in str(error.get("message")):
        return "INVALID_TOKEN"
    return code if isinstance(code, str) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
