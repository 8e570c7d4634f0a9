"""The query of ``GET /api/notifications``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.ids import is_uuid
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import Cursor, JobFilter
from wavecom.core.states import Status
from wavecom.core.suppressions import SuppressionCursor
from wavecom.settings import MailAddresses
from wavecom.web.api import cursors, email_addresses
from wavecom.web.api.email_addresses import EmailAddress
from wavecom.web.api.field_errors import FieldError, FieldErrorCode, nearest, refusal
from wavecom.web.api.fields import Choice, DocumentedField, Text, control_character
from wavecom.web.api.invisible import INVISIBLE
from wavecom.web.api.phone_numbers import Phone
from wavecom.web.api.schemas.metadata import Metadata
from wavecom.web.api.schemas.query import IntegerInQuery, QuerySchema, TimestampInQuery

LIMIT_DEFAULT = 50
LIMIT_MAXIMUM = 200

EnumT = TypeVar("EnumT", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class ListRequest:
    """What to list; ``where`` has no client yet."""

    where: JobFilter
    limit: int
    after: Cursor | None

    def for_client(self, client: str) -> JobFilter:
        """The filter, narrowed to one client's jobs."""
        return replace(self.where, client=client)


class Choices(DocumentedField[frozenset[EnumT]], Generic[EnumT]):
    """Words of a ``StrEnum``, parted by commas, the parameter repeated, or both."""

    def __init__(self, words: type[EnumT], **options: Any) -> None:
        super().__init__(f"one or more of {', '.join(words)}, parted by commas", **options)
        self._words: dict[str, EnumT] = {word.value: word for word in words}

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "array", "items": {"type": "string", "enum": list(self._words)}, "minItems": 1}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> frozenset[EnumT]:
        words = [word.strip() for part in value for word in part.split(",")]
        for word in words:
            if word not in self._words:
                meant = nearest(word, self._words)
                hint = f"; did you mean {meant}?" if meant else ""
                raise refusal(FieldErrorCode.UNKNOWN_VALUE, f"must be {self.must}{hint}")
        return frozenset(self._words[word] for word in words)


class RecipientInQuery(Text):
    """An address in any form in which it could have been sent; comes out in the form that is stored."""

    _EMAIL = EmailAddress()
    _PHONE = Phone()

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        # An unescaped + arrives as a space; invisible characters come along when it is pasted.
        phone = "+" + text[1:] if re.match(r" [0-9]", text) else INVISIBLE.sub("", text).strip()
        try:
            if re.match(r"[\s(]*\+", phone):
                return self._PHONE.normalised(phone)
            # Whoever looks for an address may have sent to it under other rules.
            with email_addresses.rules(MailAddresses.RELAY):
                return self._EMAIL.normalised(text.strip()) if "@" in text else text
        except ValidationError:
            # Not an address after all; nothing can have been sent to it, but a push token can look like anything.
            return text


class JobIdInQuery(DocumentedField[JobId]):
    """The id of one notification, in any case."""

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "format": "uuid"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> JobId:
        if not is_uuid(value.strip()):
            raise self.invalid()
        return JobId(value.strip().lower())


class MetadataValue(DocumentedField[str]):
    """A value as it was sent, without the quotes of a text: ``A-42``, ``42``, ``true``. May be empty."""

    LIMIT = 8 * 1024

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "maxLength": self.LIMIT}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        text: str = value
        if len(text) > self.LIMIT:
            raise refusal(FieldErrorCode.TOO_LONG, f"must have at most {self.LIMIT} characters; it has {len(text)}")
        if field_error := control_character(text, is_line=False):
            raise ValidationError(field_error)
        return text


class CursorField(DocumentedField[Cursor]):
    """Where the last page ended."""

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        return {"type": "string", "pattern": cursors.PATTERN}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Cursor:
        try:
            return cursors.decode(value)
        except ValueError:
            raise self.invalid() from None


class SuppressionCursorField(CursorField):
    """The same in a suppression list."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        place: Cursor = super()._deserialize(value, *args, **kwargs)
        return SuppressionCursor(place.created_at, place.job_id)


def require_order(data: Mapping[str, Any]) -> None:
    """Raise ``ValidationError`` for a time that ends before it begins."""
    since, before = data.get("created_since"), data.get("created_before")
    if since is not None and before is not None and before <= since:
        field_error = FieldError(FieldErrorCode.OUT_OF_RANGE, "must be after `createdSince`, or the list is empty")
        raise ValidationError({"createdBefore": [field_error]})


class ListQuery(QuerySchema):
    """Filters and paging. ``load`` takes the query as name → values and answers a ``ListRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {
        "state": "status",
        "channel": "type",
        "to": "recipient",
        "email": "recipient",
        "phone": "recipient",
        "since": "createdSince",
        "from": "createdSince",
        "after": "cursor",
        "before": "createdBefore",
        "until": "createdBefore",
        "pageSize": "limit",
        "perPage": "limit",
        "page": "cursor",
        "metadata": "metadataKey",
        "key": "metadataKey",
        "value": "metadataValue",
        "id": "jobId",
    }

    statuses = Choices(Status, data_key="status")
    type = Choice(Channel)
    priority = Choice(Priority)
    provider = Text("the name of a provider", max_length=100)
    error_code = Text("an error's code", max_length=100, data_key="errorCode")
    recipient = RecipientInQuery("an e-mail address, phone number or push token", max_length=4096)
    metadata_key = Text("a name in metadata", max_length=Metadata.KEY_LIMIT, data_key="metadataKey")
    metadata_value = MetadataValue("a value in metadata, beside its name", data_key="metadataValue")
    job_id = JobIdInQuery("the id of a notification", data_key="jobId")
    idempotency_key = Text("an idempotency key", max_length=255, data_key="idempotencyKey")
    created_since = TimestampInQuery(data_key="createdSince")
    created_before = TimestampInQuery(data_key="createdBefore")
    limit = IntegerInQuery("a whole number", minimum=1, maximum=LIMIT_MAXIMUM, load_default=LIMIT_DEFAULT)
    cursor = CursorField("the cursor of a next link, unchanged")

    repeatable: ClassVar[frozenset[str]] = frozenset({"status"})

    @validates_schema(skip_on_field_errors=False)
    def _check_metadata(self, data: Mapping[str, Any], **_: Any) -> None:
        if "metadata_value" in data and "metadata_key" not in data:
            raise ValidationError(
                {
                    "metadataKey": [
                        FieldError(FieldErrorCode.REQUIRED, "is missing: the name to which `metadataValue` belongs")
                    ]
                }
            )

    @validates_schema
    def _check_times(self, data: Mapping[str, Any], **_: Any) -> None:
        require_order(data)

    def load(self, data: Mapping[str, list[str]], **_: Any) -> ListRequest:  # type: ignore[override]
        """See the class. Raises ``ValidationError`` with every error in the query."""
        fields = self.load_query(data)
        limit, after = fields.pop("limit"), fields.pop("cursor", None)
        return ListRequest(JobFilter(**fields), limit, after)
