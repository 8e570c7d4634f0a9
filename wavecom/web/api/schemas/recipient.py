"""The bodies and queries of ``/api/recipients``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.categories import NAME_PATTERN, NAME_RULE, is_category_name
from wavecom.core.lanes import Channel
from wavecom.core.recipient_administration import Change, stopped, with_choices
from wavecom.core.registered_recipients import (
    ID_PATTERN,
    ID_RULE,
    PUSH_TOKENS_LIMIT,
    PushToken,
    RegisteredRecipient,
    newest_tokens,
)
from wavecom.core.templates.locales import LOCALE_RULE, canonical
from wavecom.settings import MailAddresses
from wavecom.web.api import email_addresses
from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Boolean, DocumentedField, Items, KeyedValues, Object, Text, Timestamp
from wavecom.web.api.hours import HoursField, TimeZoneField
from wavecom.web.api.phone_numbers import Phone
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.push import PushTo
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema
from wavecom.web.api.shapes import Json
from wavecom.web.body import BATCH_VALUES_LIMIT

BULK_LIMIT = 1000
PAGE_DEFAULT, PAGE_MAXIMUM = 50, 500
_CATEGORIES = 100

Now = Callable[[], datetime]


class Locale(DocumentedField[str]):
    """A language with script and region; comes out in its canonical form."""

    def __init__(self, **options: Any) -> None:
        super().__init__(LOCALE_RULE, **options)

    def json_schema(self) -> Json:
        """See ``DocumentedField``."""
        return {"type": "string", "maxLength": 20, "pattern": "^[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,4}){0,2}$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        found = canonical(value)
        if found is None:
            raise self.invalid()
        return found


class PreferenceChoices(KeyedValues):
    """Category → channel → whether it is wanted."""

    def __init__(self, **options: Any) -> None:
        super().__init__('an object such as {"news": {"email": false}}', max_items=_CATEGORIES, **options)

    def name_schema(self) -> Json:
        """See ``KeyedValues``."""
        return {"type": "string", "pattern": f"^{NAME_PATTERN}$"}

    def item_schema(self) -> Json:
        """See ``KeyedValues``."""
        wanted = {channel.value: {"type": "boolean"} for channel in Channel}
        return {"type": "object", "properties": wanted, "additionalProperties": False}

    def error_of(self, name: str, item: object) -> FieldError | None:
        """See ``KeyedValues``."""
        if not is_category_name(name):
            return FieldError(FieldErrorCode.INVALID, f"is no name of a category: {NAME_RULE}")
        channels = {channel.value for channel in Channel}
        if not isinstance(item, dict) or any(key not in channels or type(item[key]) is not bool for key in item):
            text = f"must be an object with true or false for some of {', '.join(sorted(channels))}"
            return FieldError(FieldErrorCode.WRONG_TYPE, text)
        return None

    def canonical(self, _name: str, item: Any) -> Any:
        """See ``KeyedValues``."""
        return {Channel(channel): is_wanted for channel, is_wanted in item.items()}


class RegisteredTokenSchema(PushTo):
    """A device or browser: as ``to`` of a push message, and when it was seen last."""

    component = "RegisteredToken"

    seen_at = Timestamp(data_key="seenAt")


def token_of(fields: Mapping[str, Any], now: datetime) -> PushToken:
    """The token that was loaded, seen ``now`` where it does not say when."""
    to = {name: value for name, value in fields.items() if name != "seen_at"}
    return PushToken(to | {"platform": to["platform"].value}, min(fields.get("seen_at", now), now))


class RecipientFields(BaseSchema):
    """All that is kept of a recipient. ``mail_addresses``: see ``NotificationSchema``."""

    component = "RecipientRequest"
    aliases: ClassVar[Mapping[str, str]] = {
        "emailAddress": "email",
        "phoneNumber": "phone",
        "language": "locale",
        "timezone": "timeZone",
        "tokens": "pushTokens",
        "categories": "preferences",
    }

    email = EmailAddress(allow_none=True)
    phone = Phone(allow_none=True)
    is_email_verified = Boolean("true where you have made sure that the address is theirs", data_key="isEmailVerified")
    is_phone_verified = Boolean("true where you have made sure that the number is theirs", data_key="isPhoneVerified")
    push_tokens = Items(
        Object(RegisteredTokenSchema(), "an object with platform and token or subscription"),
        f"a list of at most {PUSH_TOKENS_LIMIT} devices and browsers",
        max_items=PUSH_TOKENS_LIMIT,
        data_key="pushTokens",
    )
    locale = Locale(allow_none=True)
    time_zone = TimeZoneField(data_key="timeZone", allow_none=True)
    quiet_hours = HoursField(data_key="quietHours", allow_none=True)
    preferences = PreferenceChoices()
    is_stopped = Boolean("true to stop all that can be stopped, false to take that back", data_key="isStopped")

    def __init__(self, mail_addresses: MailAddresses = MailAddresses.INTERNET) -> None:
        super().__init__()
        self._mail_addresses = mail_addresses

    def load(self, data: Any, **options: Any) -> Any:
        """The fields that are there. Raises ``ValidationError`` with every error."""
        with email_addresses.rules(self._mail_addresses):
            return super().load(data, **options)

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_verified(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        wrong: dict[str, list[FieldError]] = {}
        for address, flag in (("email", "isEmailVerified"), ("phone", "isPhoneVerified")):
            is_verified = isinstance(original, dict) and original.get(flag) is True
            if is_verified and isinstance(original, dict) and original.get(address) is None:
                # Else it would hold for whichever address is there by the time that it is written.
                text = f"must not be true without `{address}`: name the address that you have made sure of"
                wrong[flag] = [FieldError(FieldErrorCode.CONFLICT, text)]
        if wrong:
            raise ValidationError(wrong)


class RegistrationSchema(RecipientFields):
    """One of many recipients that are registered at once."""

    component = "Registration"

    recipient_id = Text(ID_RULE, max_length=128, pattern=ID_PATTERN, data_key="recipientId", required=True)


class BulkRegistrationSchema(BaseSchema):
    """What ``POST /api/recipients`` takes."""

    component = "Registrations"
    aliases: ClassVar[Mapping[str, str]] = {"items": "recipients"}
    values_limit: ClassVar[int] = BATCH_VALUES_LIMIT

    def __init__(self, mail_addresses: MailAddresses = MailAddresses.INTERNET) -> None:
        super().__init__()
        self._mail_addresses = mail_addresses

    recipients = Items(
        Object(RegistrationSchema(), "an object with recipientId and the recipient's fields"),
        f"a list of 1 to {BULK_LIMIT} recipients",
        min_items=1,
        max_items=BULK_LIMIT,
        required=True,
    )

    def load(self, data: Any, **options: Any) -> Any:
        """The fields. Raises ``ValidationError`` with every error."""
        with email_addresses.rules(self._mail_addresses):
            return super().load(data, **options)

    @validates_schema
    def _check_ids(self, data: Mapping[str, Any], **_: Any) -> None:
        seen: set[str] = set()
        wrong: dict[int, Any] = {}
        for index, each in enumerate(data["recipients"]):
            if each["recipient_id"] in seen:
                text = "is that of an earlier recipient of the list"
                wrong[index] = {"recipientId": [FieldError(FieldErrorCode.DUPLICATE, text)]}
            seen.add(each["recipient_id"])
        if wrong:
            raise ValidationError({"recipients": wrong})


@dataclass(frozen=True, slots=True)
class RecipientListRequest:
    """Which page to list."""

    limit: int
    after: str | None


class RecipientQuery(QuerySchema):
    """The query of ``GET /api/recipients``. ``load`` answers a ``RecipientListRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {"after": "cursor", "pageSize": "limit"}

    limit = IntegerInQuery("a whole number", minimum=1, maximum=PAGE_MAXIMUM, load_default=PAGE_DEFAULT)
    cursor = Text("the cursor of a next link, unchanged", max_length=128, pattern=ID_PATTERN)

    def load(self, data: Mapping[str, list[str]], **_: Any) -> RecipientListRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        return RecipientListRequest(fields["limit"], fields.get("cursor"))


def replacing(fields: Mapping[str, Any]) -> Change:
    """The change that leaves nothing of a recipient but these fields; push tokens and choices they do not name stay.

    A list of addresses that is sent again must not take back what its people have said no to, nor the devices that
    their apps have registered.
    """

    def change(known: RegisteredRecipient, now: datetime) -> RegisteredRecipient:
        blank = RegisteredRecipient(
            account=known.account,
            recipient_id=known.recipient_id,
            created_at=known.created_at,
            updated_at=known.updated_at,
            push_tokens=known.push_tokens,
            choices=known.choices,
            stopped_at=known.stopped_at,
            revision=known.revision,
        )
        return _with(blank, fields, now)

    return change


def merging(fields: Mapping[str, Any]) -> Change:
    """The change that sets these fields, and takes away those that are None. An address that is new is not verified."""

    def change(known: RegisteredRecipient, now: datetime) -> RegisteredRecipient:
        known = replace(
            known,
            is_email_verified=known.is_email_verified and fields.get("email", known.email) == known.email,
            is_phone_verified=known.is_phone_verified and fields.get("phone", known.phone) == known.phone,
        )
        return _with(known, fields, now)

    return change


_SIMPLE = ("email", "phone", "is_email_verified", "is_phone_verified", "locale", "time_zone", "quiet_hours")


def _with(known: RegisteredRecipient, fields: Mapping[str, Any], now: datetime) -> RegisteredRecipient:
    changed = replace(known, **{name: fields[name] for name in _SIMPLE if name in fields})
    if "push_tokens" in fields:
        changed = replace(changed, push_tokens=newest_tokens([token_of(each, now) for each in fields["push_tokens"]]))
    if "is_stopped" in fields:
        changed = stopped(changed, now) if fields["is_stopped"] else replace(changed, stopped_at=None)
    return with_choices(changed, fields["preferences"]) if "preferences" in fields else changed
