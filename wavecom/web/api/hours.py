"""Fields for hours of the day, days of the week and time zones."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from marshmallow import ValidationError

from wavecom.core.local_hours import MINUTES_OF_A_DAY, DailyHours, SendWindow, clock_text, is_time_zone, minute_of_day
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import DocumentedField
from wavecom.web.api.shapes import Json, array, enum, record, text

_CLOCK: Final = "^(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
_MUST: Final = 'an object such as {"from": "22:00", "to": "07:00"}, less than a day'


class Day(StrEnum):
    """The days of the week. The words are part of the published API."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


_DAYS: Final = tuple(Day)
HOURS = record(
    "DailyHours",
    {"from": text("the first minute, such as 22:00", pattern=_CLOCK), "to": text("the end", pattern=_CLOCK)},
    description="Hours of a day by the clock on the wall, over midnight where `to` is not after `from`.",
)
WINDOW = record(
    "SendWindow",
    {
        "days": array(enum(Day)),
        "from": text("the first minute", pattern=_CLOCK),
        "to": text("the end, after `from`; 24:00 is the end of the day", pattern=_CLOCK),
    },
)


class HoursField(DocumentedField[DailyHours]):
    """Hours of a day; comes out as ``DailyHours``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(_MUST, **options)

    def json_schema(self) -> Json:
        """See ``DocumentedField``."""
        return dict(HOURS.schema)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> DailyHours:
        if not isinstance(value, dict):
            raise self.wrong_type(value)
        return read_hours(value, {"from", "to"})


def read_hours(value: dict[str, Any], names: set[str]) -> DailyHours:
    """The hours in ``from`` and ``to`` of an object that has these ``names``. Raises ``ValidationError``."""
    wrong: dict[str, list[FieldError]] = {
        name: [FieldError(FieldErrorCode.UNKNOWN_FIELD, "is not a known field")] for name in value.keys() - names
    }
    minutes: list[int] = []
    for name in ("from", "to"):
        given = value.get(name)
        minute = minute_of_day(given) if isinstance(given, str) else None
        if minute is None:
            code = FieldErrorCode.INVALID if name in value else FieldErrorCode.REQUIRED
            wrong[name] = [FieldError(code, "must be a time of the day, such as 07:30")]
        else:
            minutes.append(minute)
    if wrong:
        raise ValidationError(wrong)
    start, end = minutes
    try:
        return DailyHours(start, end or MINUTES_OF_A_DAY)
    except ValueError:
        raise ValidationError({"to": [FieldError(FieldErrorCode.INVALID, f"must make {_MUST}")]}) from None


class WindowField(DocumentedField[SendWindow]):
    """Hours of some days; comes out as ``SendWindow``."""

    def __init__(self, **options: Any) -> None:
        super().__init__('an object such as {"days": ["mon", "tue"], "from": "09:00", "to": "18:00"}', **options)

    def json_schema(self) -> Json:
        """See ``DocumentedField``."""
        return dict(WINDOW.schema) | {"required": ["from", "to"]}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> SendWindow:
        if not isinstance(value, dict):
            raise self.wrong_type(value)
        hours = read_hours(value, {"days", "from", "to"})
        if hours.is_over_midnight:
            text = "must be after `from`; write two windows for hours over midnight"
            raise ValidationError({"to": [FieldError(FieldErrorCode.INVALID, text)]})
        days = value.get("days", list(_DAYS))
        if not isinstance(days, list) or not days or any(each not in list(_DAYS) for each in days):
            text = f"must be a list of some of {', '.join(_DAYS)}"
            raise ValidationError({"days": [FieldError(FieldErrorCode.UNKNOWN_VALUE, text)]})
        return SendWindow(frozenset(_DAYS.index(Day(each)) for each in days), hours)


class TimeZoneField(DocumentedField[str]):
    """The IANA name of a time zone."""

    def __init__(self, **options: Any) -> None:
        super().__init__("an IANA time zone, such as Europe/Zurich", **options)

    def json_schema(self) -> Json:
        """See ``DocumentedField``."""
        return {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise self.wrong_type(value)
        if not is_time_zone(value):
            raise self.invalid()
        return value


def hours_json(hours: DailyHours | None) -> Json | None:
    """Hours as clients see them."""
    return None if hours is None else {"from": clock_text(hours.start), "to": clock_text(hours.end)}


def windows_json(windows: Sequence[SendWindow]) -> list[Json]:
    """Windows as clients see them."""
    return [{"days": [_DAYS[day] for day in sorted(each.days)]} | (hours_json(each.hours) or {}) for each in windows]
