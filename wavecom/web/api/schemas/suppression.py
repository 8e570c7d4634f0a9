"""The bodies and queries of ``/api/suppressions``, and a row of its CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.lanes import Channel
from wavecom.core.recipients import recipient_of
from wavecom.core.suppressions import (
    NewSuppression,
    SuppressionCursor,
    SuppressionFilter,
    SuppressionScope,
    SuppressionSource,
    SuppressionState,
)
from wavecom.settings import MailAddresses
from wavecom.web.api import email_addresses
from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, refusal
from wavecom.web.api.fields import Choice, Text, Timestamp
from wavecom.web.api.phone_numbers import Phone
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.listing import (
    LIMIT_DEFAULT,
    LIMIT_MAXIMUM,
    RecipientInQuery,
    SuppressionCursorField,
    require_order,
)
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema, TimestampInQuery

REASON_LIMIT = 500
_EMAIL = EmailAddress()
_PHONE = Phone()


def normalised_recipient(channel: Channel, text: str) -> str:
    """A recipient in the form in which it is looked up. Raises ``ValidationError`` for what none can be."""
    text = text.strip()
    if channel is Channel.PUSH:
        if not text:
            raise refusal(FieldErrorCode.EMPTY, "must not be empty")
        to = {"token": text}
    elif channel is Channel.SMS:
        to = {"phone": _PHONE.normalised(text)}
    else:
        # Who suppresses an address may have it from a time with other rules.
        with email_addresses.rules(MailAddresses.RELAY):
            to = {"email": _EMAIL.normalised(text)}
    found = recipient_of(channel, to)
    assert found is not None  # noqa: S101 - each channel's part is there
    return found


class SuppressionSchema(BaseSchema):
    """What ``POST /api/suppressions`` takes. ``now`` is the time against which expiresAt is held."""

    component = "SuppressionRequest"
    aliases: ClassVar[Mapping[str, str]] = {
        "channel": "type",
        "to": "recipient",
        "email": "recipient",
        "phone": "recipient",
        "address": "recipient",
        "token": "recipient",
        "expires": "expiresAt",
        "note": "reason",
        "class": "scope",
    }

    type = Choice(Channel, required=True)
    recipient = Text(
        "an e-mail address, a phone number, a push token, or the endpoint of a web push subscription",
        max_length=4096,
        required=True,
    )
    scope = Choice(SuppressionScope, load_default=SuppressionScope.ALL)
    reason = Text(f"a text of at most {REASON_LIMIT} characters", max_length=REASON_LIMIT, load_default="")
    expires_at = Timestamp(data_key="expiresAt")

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    @validates_schema(skip_on_field_errors=False)
    def _check_recipient(self, data: Mapping[str, Any], **_: Any) -> None:
        if "type" in data and "recipient" in data:
            try:
                normalised_recipient(data["type"], data["recipient"])
            except ValidationError as error:
                raise ValidationError({"recipient": error.messages}) from None

    @validates_schema(skip_on_field_errors=False)
    def _check_end(self, data: Mapping[str, Any], **_: Any) -> None:
        expires_at = data.get("expires_at")
        if expires_at is not None and expires_at <= self._now():
            raise ValidationError({"expiresAt": [FieldError(FieldErrorCode.OUT_OF_RANGE, "must be in the future")]})

    def new(self, data: Mapping[str, Any], account: str, by: str) -> NewSuppression:
        """What the fields that were loaded ask for, on this account's list."""
        return NewSuppression(
            account=account,
            channel=data["type"],
            recipient=normalised_recipient(data["type"], data["recipient"]),
            source=SuppressionSource.MANUAL,
            scope=data["scope"],
            by=by,
            reason=data["reason"],
            expires_at=data.get("expires_at"),
        )


class LiftQuery(QuerySchema):
    """The query of ``DELETE /api/suppressions/<suppressionId>``."""

    aliases: ClassVar[Mapping[str, str]] = {"note": "reason"}

    reason = Text(f"why, a text of at most {REASON_LIMIT} characters", max_length=REASON_LIMIT, load_default="")

    def load(self, data: Mapping[str, list[str]], **_: Any) -> dict[str, Any]:  # type: ignore[override]
        """Raises ``ValidationError`` with every error in the query."""
        return self.load_query(data)


@dataclass(frozen=True, slots=True)
class SuppressionListRequest:
    """What to list; ``where`` has no account yet."""

    where: SuppressionFilter
    limit: int
    after: SuppressionCursor | None

    def for_account(self, account: str | None) -> SuppressionFilter:
        """The filter, narrowed to one account's list."""
        return replace(self.where, account=account)


class SuppressionExportQuery(QuerySchema):
    """Filters alone. ``load`` takes the query as name → values and answers a ``SuppressionFilter``, without account."""

    aliases: ClassVar[Mapping[str, str]] = {
        "channel": "type",
        "to": "recipient",
        "email": "recipient",
        "phone": "recipient",
        "status": "state",
        "since": "createdSince",
        "before": "createdBefore",
        "until": "createdBefore",
    }

    type = Choice(Channel)
    recipient = RecipientInQuery("an e-mail address, phone number or push token", max_length=4096)
    source = Choice(SuppressionSource)
    scope = Choice(SuppressionScope)
    state = Choice(SuppressionState)
    created_since = TimestampInQuery(data_key="createdSince")
    created_before = TimestampInQuery(data_key="createdBefore")

    @validates_schema
    def _check_times(self, data: Mapping[str, Any], **_: Any) -> None:
        require_order(data)

    def load(self, data: Mapping[str, list[str]], **_: Any) -> SuppressionFilter:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        return _filter_of(self.load_query(data))


class SuppressionQuery(SuppressionExportQuery):
    """The same and paging. ``load`` answers a ``SuppressionListRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {
        **SuppressionExportQuery.aliases,
        "after": "cursor",
        "page": "cursor",
        "pageSize": "limit",
        "perPage": "limit",
    }

    limit = IntegerInQuery("a whole number", minimum=1, maximum=LIMIT_MAXIMUM, load_default=LIMIT_DEFAULT)
    cursor = SuppressionCursorField("the cursor of a next link, unchanged")

    def load(self, data: Mapping[str, list[str]], **_: Any) -> SuppressionListRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        limit, after = fields.pop("limit"), fields.pop("cursor", None)
        return SuppressionListRequest(_filter_of(fields), limit, after)


def _filter_of(fields: dict[str, Any]) -> SuppressionFilter:
    channel, recipient = fields.pop("type", None), fields.pop("recipient", None)
    if recipient is not None and "@" in recipient:
        recipient = recipient.casefold()
    return SuppressionFilter(channel=channel, recipient=recipient, **fields)
