"""The body of ``POST /api/notifications/cancel``: which notifications that wait are never to be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.lanes import Channel, Priority
from wavecom.core.ports import Cursor, JobFilter
from wavecom.core.states import WAITING, Status
from wavecom.web.api import cursors
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Boolean, Choice, Integer, Items, Text, Timestamp
from wavecom.web.api.schemas.action import REASON_LIMIT
from wavecom.web.api.schemas.base import BaseSchema
from wavecom.web.api.schemas.listing import MetadataValue
from wavecom.web.api.schemas.metadata import Metadata

#: Notifications that one call cancels at most; its answer says how to go on.
LIMIT = 1_000

_FILTERS = {
    "status": "statuses",
    "type": "type",
    "priority": "priority",
    "provider": "provider",
    "errorCode": "error_code",
    "metadataKey": "metadata_key",
    "metadataValue": "metadata_value",
    "createdSince": "created_since",
    "createdBefore": "created_before",
}


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A body that is right; ``body`` is as it was sent. ``where`` has no client yet."""

    where: JobFilter
    body: Mapping[str, Any]
    is_dry_run: bool
    limit: int
    reason: str
    after: Cursor | None


class WaitingStatus(Choice[Status]):
    """A status in which a notification waits, and so can be cancelled."""

    def __init__(self) -> None:
        super().__init__(Status)
        self.words = {status.value: status for status in Status if status in WAITING}
        self.must = f"one of {', '.join(map(str, self.words))}"


class CursorInBody(Text):
    """Where the last call ended."""

    def __init__(self, **options: Any) -> None:
        super().__init__("the cursor of `next`, unchanged", max_length=38, pattern=cursors.PATTERN, **options)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, *args, **kwargs)
        try:
            return cursors.decode(text)
        except ValueError:
            raise self.invalid() from None


class CancelSchema(BaseSchema):
    """``load`` answers a ``CancelRequest``."""

    aliases: ClassVar[Mapping[str, str]] = {
        "statuses": "status",
        "state": "status",
        "channel": "type",
        "since": "createdSince",
        "until": "createdBefore",
        "before": "createdBefore",
        "metadata": "metadataKey",
        "key": "metadataKey",
        "value": "metadataValue",
        "preview": "dryRun",
        "error": "errorCode",
        "after": "cursor",
        "note": "reason",
    }

    statuses = Items(
        WaitingStatus(),
        "a list of statuses in which notifications wait",
        max_items=len(WAITING),
        min_items=1,
        data_key="status",
    )
    type = Choice(Channel)
    priority = Choice(Priority)
    provider = Text("the name of a provider", max_length=100)
    error_code = Text("an error's code", max_length=100, data_key="errorCode")
    metadata_key = Text("a name in metadata", max_length=Metadata.KEY_LIMIT, data_key="metadataKey")
    metadata_value = Text(
        "a value in metadata, as a text", max_length=MetadataValue.LIMIT, is_line=False, data_key="metadataValue"
    )
    created_since = Timestamp(data_key="createdSince")
    created_before = Timestamp(data_key="createdBefore")
    dry_run = Boolean("true to count only, or false", data_key="dryRun", load_default=False)
    limit = Integer("a whole number", minimum=1, maximum=LIMIT, load_default=LIMIT)
    reason = Text(f"why, a text of 1 to {REASON_LIMIT} characters", max_length=REASON_LIMIT, load_default="")
    cursor = CursorInBody()

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        return self.one_needed(*_FILTERS) | {"dependentRequired": {"metadataValue": ["metadataKey"]}}

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_filters(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        if not isinstance(original, dict):
            return
        if not any(name in original for name in _FILTERS):
            # A body that was meant to have a filter must not cancel everything.
            known = ", ".join(_FILTERS)
            raise ValidationError(FieldError(FieldErrorCode.REQUIRED, f"must have at least one of {known}"))
        if "metadataValue" in original and "metadataKey" not in original:
            text = "is missing: the name to which `metadataValue` belongs"
            raise ValidationError({"metadataKey": [FieldError(FieldErrorCode.REQUIRED, text)]})
        since, before = data.get("created_since"), data.get("created_before")
        if since is not None and before is not None and before <= since:
            field_error = FieldError(FieldErrorCode.OUT_OF_RANGE, "must be after `createdSince`, or nothing is meant")
            raise ValidationError({"createdBefore": [field_error]})

    def load(self, data: Any, **_: Any) -> CancelRequest:
        """The checked body. Raises ``ValidationError`` with every error in it."""
        fields: dict[str, Any] = super().load(data)
        found = {name: fields[name] for name in _FILTERS.values() if name in fields}
        if "statuses" in found:
            found["statuses"] = frozenset(found["statuses"])
        return CancelRequest(
            JobFilter(**found), data, fields["dry_run"], fields["limit"], fields["reason"], fields.get("cursor")
        )
