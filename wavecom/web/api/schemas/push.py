"""Notifications of type ``push``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

import orjson
from marshmallow import ValidationError, validates_schema

from wavecom.web.api.addresses import Url
from wavecom.web.api.encodings import Base64Url
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import (
    Choice,
    Integer,
    KeyedValues,
    Object,
    Text,
    control_character,
    text_error,
    text_schema,
    whole_pattern,
)
from wavecom.web.api.schemas.base import BaseSchema

#: FCM and APNs stop at 4 KiB.
PAYLOAD_LIMIT_BYTES = 4096
#: So do services of web push, but what encryption adds counts (RFC 8291 section 4).
WEB_PUSH_LIMIT_BYTES = 3993
_FOUR_WEEKS = 28 * 24 * 3600
_APNS_TOKEN = re.compile(r"(?:[0-9A-Fa-f]{2}){32,100}")
_EPOCH_LIMIT = 10**15
#: The JSON Schema that nothing fits; apispec takes a plain False for the name of another.


class Platform(StrEnum):
    """The push services. The words are part of the published API."""

    FCM = "fcm"
    APNS = "apns"
    WEBPUSH = "webpush"


class SubscriptionKeys(BaseSchema):
    """The browser's public key and secret (RFC 8291)."""

    p256dh = Base64Url(
        "the browser's public key, 65 bytes in base64url, as the subscription gives it",
        size=65,
        first_byte=4,
        required=True,
    )
    auth = Base64Url(
        "the subscription's secret, 16 bytes in base64url, as the subscription gives it", size=16, required=True
    )


class Subscription(BaseSchema):
    """What a browser's ``PushSubscription.toJSON()`` gives, as it is."""

    endpoint = Url("the https URL of the push service, as the subscription gives it", required=True)
    keys = Object(SubscriptionKeys(), "an object with p256dh and auth", required=True)
    expiration_time = Integer(
        "null or milliseconds",
        minimum=0,
        maximum=_EPOCH_LIMIT,
        allow_none=True,
        data_key="expirationTime",
        attribute="expirationTime",
    )


class PushTo(BaseSchema):
    """``to`` of a push message: the platform decides whether a token or a subscription says whom."""

    aliases: ClassVar[Mapping[str, str]] = {"deviceToken": "token", "registrationToken": "token", "service": "platform"}

    platform = Choice(Platform, required=True)
    token = Text(
        "the device token, as the app gives it",
        max_length=4096,
        pattern=r"[A-Za-z0-9_:.=+/-]+",
    )
    subscription = Object(Subscription(), "an object with endpoint and keys, as the browser gives it")

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        apns_token = {"type": "string", "pattern": whole_pattern(_APNS_TOKEN.pattern)}
        needs_token = {
            "required": ["token"],
            "not": {"required": ["subscription"]},
            "if": {"properties": {"platform": {"const": "apns"}}},
            "then": {"properties": {"token": apns_token}},
        }
        needs_subscription = {"required": ["subscription"], "not": {"required": ["token"]}}
        # Not oneOf, of which generators of clients make a type for each platform without its fields.
        is_web_push = {"properties": {"platform": {"const": "webpush"}}, "required": ["platform"]}
        return {"if": is_web_push, "then": needs_subscription, "else": needs_token}

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_platform(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        platform = data.get("platform")
        if platform is None or not isinstance(original, dict):
            return
        wanted, other = ("subscription", "token") if platform is Platform.WEBPUSH else ("token", "subscription")
        field_errors: dict[str, list[FieldError]] = {}
        if wanted not in original:
            field_errors[wanted] = [
                FieldError(FieldErrorCode.REQUIRED, f"is missing; {platform} needs {_NEEDS[wanted]}")
            ]
        if other in original:
            field_errors[other] = [
                FieldError(FieldErrorCode.NOT_ALLOWED, f"must be left out; {platform} takes `{wanted}` only")
            ]
        token = data.get("token")
        if platform is Platform.APNS and token is not None and not _APNS_TOKEN.fullmatch(token):
            field_errors["token"] = [
                FieldError(
                    FieldErrorCode.INVALID, "must be an APNs device token: 64 to 200 hexadecimal digits, an even number"
                )
            ]
        if field_errors:
            raise ValidationError(field_errors)


_NEEDS = {
    "token": "the device token, as the app gives it",
    "subscription": "an object with endpoint and keys, as the browser gives it",
}


class PushData(KeyedValues):
    """Texts for the app. Names that FCM and APNs keep for themselves are refused here, not by them."""

    _RESERVED = frozenset({"aps", "from", "message_type", "collapse_key"})
    _RESERVED_BEGINNINGS = ("google.", "gcm.")

    def __init__(self, **options: Any) -> None:
        super().__init__("an object of texts", max_items=100, **options)

    def name_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        reserved = {"enum": sorted(self._RESERVED)}, {"pattern": r"^(google|gcm)\."}
        return {**text_schema(128), "not": {"anyOf": list(reserved)}}

    def item_schema(self) -> dict[str, Any]:
        """See ``KeyedValues``."""
        return {"type": "string"}

    def error_of(self, name: str, item: object) -> FieldError | None:
        """See ``KeyedValues``."""
        if field_error := text_error(name, 128):
            return FieldError(field_error.code, f"has a name that {field_error}")
        if name in self._RESERVED or name.startswith(self._RESERVED_BEGINNINGS):
            return FieldError(FieldErrorCode.NOT_ALLOWED, "has a name that the push services reserve; use another name")
        if not isinstance(item, str):
            return FieldError(
                FieldErrorCode.WRONG_TYPE, 'must be a text; write numbers and booleans in quotes, such as "42"'
            )
        return control_character(item, is_line=False)


class PushPayload(BaseSchema):
    """``payload`` of a push message. Without title and body it is silent."""

    aliases: ClassVar[Mapping[str, str]] = {
        "text": "body",
        "message": "body",
        "ttl": "ttlSeconds",
        "image": "imageUrl",
        "url": "clickUrl",
        "link": "clickUrl",
        "collapseId": "collapseKey",
    }

    title = Text("the title, one line", max_length=500)
    body = Text("the text", max_length=PAYLOAD_LIMIT_BYTES, is_line=False)
    data = PushData()
    badge = Integer("a whole number", minimum=0, maximum=99_999)
    sound = Text("the name of a sound", max_length=100)
    ttl_seconds = Integer(
        "whole seconds", minimum=0, maximum=_FOUR_WEEKS, data_key="ttlSeconds", attribute="ttlSeconds"
    )
    collapse_key = Text(
        "1 to 64 letters, digits and . _ - : characters",
        max_length=64,
        pattern=r"[A-Za-z0-9._:-]+",
        data_key="collapseKey",
        attribute="collapseKey",
    )
    image_url = Url("an https URL", data_key="imageUrl", attribute="imageUrl")
    click_url = Url(
        "a URL such as https://example.com/orders/1 or myapp://orders/1",
        schemes=None,
        data_key="clickUrl",
        attribute="clickUrl",
    )

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        some_data = {"required": ["data"], "properties": {"data": {"minProperties": 1}}}
        return {
            "if": {"required": ["title"]},
            "else": {"if": {"required": ["body"]}, "else": {"if": {"required": ["badge"]}, "else": some_data}},
        }

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_content(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        if not isinstance(original, dict):
            return
        if not original.keys() & {"title", "body", "badge"} and not original.get("data"):
            raise ValidationError(
                FieldError(FieldErrorCode.REQUIRED, "must have a title, a body, a badge or some data")
            )
        if field_error := size_error(data, PAYLOAD_LIMIT_BYTES):
            raise ValidationError(field_error)


def size_error(payload: Mapping[str, Any], limit: int) -> FieldError | None:
    """What is wrong with a payload that takes more than ``limit`` bytes."""
    size = len(orjson.dumps(payload))
    if size <= limit:
        return None
    return FieldError(
        FieldErrorCode.TOO_LARGE, f"must take at most {limit} bytes as JSON, as the push services do; it takes {size}"
    )
