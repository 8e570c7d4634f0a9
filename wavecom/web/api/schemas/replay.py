"""The body of ``POST /api/notifications/replay``: which failed notifications to start again, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.dead_letters import DeadLetterFilter, Selection
from wavecom.core.ids import UUID_PATTERN
from wavecom.core.job import JobId
from wavecom.core.lanes import Channel
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Boolean, Choice, Integer, Items, Text, Timestamp
from wavecom.web.api.schemas.base import BaseSchema

#: Notifications that one call starts again at most; its answer says how to go on.
LIMIT = 1_000
RATE_DEFAULT = 50
RATE_MAXIMUM = 1_000
#: So far ahead a start may be: the time that the largest replay takes to go out, and less than a retention.
FARTHEST_START = timedelta(days=7)

_FILTERS = {
    "errorCode": "error_code",
    "provider": "provider",
    "type": "type",
    "failedSince": "failed_since",
    "failedBefore": "failed_before",
}


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """A body that is right; ``body`` is as it was sent."""

    selection: Selection
    body: Mapping[str, Any]
    is_dry_run: bool
    rate_per_second: int
    limit: int
    starts_at: datetime | None
    accepts_duplicate: bool = False


class ReplaySchema(BaseSchema):
    """``load`` answers a ``ReplayRequest``. ``now`` is the time against which startsAt is held."""

    aliases: ClassVar[Mapping[str, str]] = {
        "ids": "jobIds",
        "channel": "type",
        "since": "failedSince",
        "createdSince": "failedSince",
        "until": "failedBefore",
        "createdBefore": "failedBefore",
        "rate": "ratePerSecond",
        "sendAt": "startsAt",
        "preview": "dryRun",
        "error": "errorCode",
        "force": "acceptDuplicate",
    }

    error_code = Text("an error's code", max_length=100, data_key="errorCode")
    provider = Text("the name of a provider", max_length=100)
    type = Choice(Channel)
    failed_since = Timestamp(data_key="failedSince")
    failed_before = Timestamp(data_key="failedBefore")
    job_ids = Items(
        Text("the id of a notification", max_length=36, pattern=UUID_PATTERN),
        f"a list of at most {LIMIT} ids of notifications",
        max_items=LIMIT,
        data_key="jobIds",
    )
    dry_run = Boolean("true to count only, or false", data_key="dryRun", load_default=False)
    rate_per_second = Integer(
        "a whole number", minimum=1, maximum=RATE_MAXIMUM, data_key="ratePerSecond", load_default=RATE_DEFAULT
    )
    limit = Integer("a whole number", minimum=1, maximum=LIMIT, load_default=LIMIT)
    starts_at = Timestamp(data_key="startsAt")
    accept_duplicate = Boolean(
        "true to start those too that may have been sent already, or false",
        data_key="acceptDuplicate",
        load_default=False,
    )

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    def rules(self) -> dict[str, Any]:
        """See ``BaseSchema``."""
        any_filter = {"anyOf": [{"required": [name]} for name in _FILTERS]}
        return {"if": {"required": ["jobIds"]}, "then": {"not": any_filter}, "else": any_filter}

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _check_selection(self, data: Mapping[str, Any], original: object, **_: Any) -> None:
        if not isinstance(original, dict):
            return
        given = [name for name in _FILTERS if name in original]
        if "jobIds" in original and given:
            field_error = FieldError(FieldErrorCode.CONFLICT, "must not stand beside `jobIds`; give ids or filters")
            raise ValidationError({name: [field_error] for name in given})
        if "jobIds" not in original and not given:
            # A body that was meant to have a filter must not start everything again.
            known = ", ".join(_FILTERS)
            raise ValidationError(FieldError(FieldErrorCode.REQUIRED, f"must have jobIds, or at least one of {known}"))
        since, before = data.get("failed_since"), data.get("failed_before")
        if since is not None and before is not None and before <= since:
            field_error = FieldError(FieldErrorCode.OUT_OF_RANGE, "must be after `failedSince`, or nothing is meant")
            raise ValidationError({"failedBefore": [field_error]})
        starts_at = data.get("starts_at")
        if starts_at is not None and starts_at > self._now() + FARTHEST_START:
            field_error = FieldError(FieldErrorCode.OUT_OF_RANGE, f"must be within {FARTHEST_START.days} days from now")
            raise ValidationError({"startsAt": [field_error]})

    def load(self, data: Any, **_: Any) -> ReplayRequest:
        """The checked body. Raises ``ValidationError`` with every error in it."""
        fields: dict[str, Any] = super().load(data)
        selection: Selection
        if "job_ids" in fields:
            selection = tuple(JobId(each.lower()) for each in dict.fromkeys(fields["job_ids"]))
        else:
            selection = DeadLetterFilter(**{name: fields[name] for name in _FILTERS.values() if name in fields})
        return ReplayRequest(
            selection,
            data,
            fields["dry_run"],
            fields["rate_per_second"],
            fields["limit"],
            fields.get("starts_at"),
            fields["accept_duplicate"],
        )
