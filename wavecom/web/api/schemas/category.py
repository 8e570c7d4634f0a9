"""The bodies of ``/api/categories`` and ``/api/preference-page``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.core.categories import Branding, Category, CategoryDefault, FrequencyCap
from wavecom.core.lanes import Channel
from wavecom.core.transitions import Policy
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Boolean, Choice, Integer, Items, Object, Text
from wavecom.web.api.hours import HoursField, TimeZoneField, WindowField
from wavecom.web.api.schemas.base import BaseSchema

_WINDOWS = 21
#: Caps are counted from the notifications themselves, which are deleted so long after their end.
_LONGEST_CAP_SECONDS = int((Policy().retention - timedelta(days=1)).total_seconds())


#: Of text on its background (WCAG 2.2, 1.4.3).
_CONTRAST = 4.5


def _contrast_with_white(color: str) -> float:
    """The contrast ratio of white on ``#rrggbb``, 1 to 21, as WCAG 2.2 reckons it."""
    parts = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


class CapSchema(BaseSchema):
    """How often a category may come."""

    component = "FrequencyCap"

    count = Integer("a whole number", minimum=1, maximum=1000, required=True)
    seconds = Integer("whole seconds", minimum=60, maximum=_LONGEST_CAP_SECONDS, required=True)


class CategorySchema(BaseSchema):
    """What ``PUT /api/categories/<name>`` takes."""

    component = "CategoryRequest"
    aliases: ClassVar[Mapping[str, str]] = {
        "label": "title",
        "required": "isRequired",
        "timezone": "timeZone",
        "sendWindows": "windows",
        "cap": "frequencyCap",
    }

    title = Text("what recipients read, one line", max_length=80, required=True)
    description = Text("what recipients read below it", max_length=300, is_line=False)
    default = Choice(CategoryDefault, load_default=CategoryDefault.OPT_OUT)
    is_required = Boolean("true for what can't be switched off", data_key="isRequired", load_default=False)
    channels = Items(Choice(Channel), "a list of channels; left out: all of them", min_items=1, max_items=3)
    needs_verified = Boolean("true for verified addresses only", data_key="needsVerified", load_default=False)
    obeys_quiet_hours = Boolean("false for what comes at any hour", data_key="obeysQuietHours", load_default=True)
    quiet_hours = HoursField(data_key="quietHours", allow_none=True)
    windows = Items(WindowField(), "a list of send windows; empty or left out: at any hour", max_items=_WINDOWS)
    time_zone = TimeZoneField(data_key="timeZone", load_default="UTC")
    frequency_cap = Object(CapSchema(), "an object with count and seconds", data_key="frequencyCap")

    @validates_schema(skip_on_field_errors=True)
    def _check_required(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["is_required"] and data["default"] is CategoryDefault.OPT_IN:
            text = "must not be opt_in where `isRequired` is true: it comes whatever was chosen"
            raise ValidationError({"default": [FieldError(FieldErrorCode.CONFLICT, text)]})

    @staticmethod
    def category(fields: Mapping[str, Any], account: str, name: str) -> Category:
        """The category of this name that the fields describe."""
        cap = fields.get("frequency_cap")
        return Category(
            account=account,
            name=name,
            title=fields["title"],
            description=fields.get("description", ""),
            default=fields["default"],
            is_required=fields["is_required"],
            channels=frozenset(fields.get("channels", ())),
            needs_verified=fields["needs_verified"],
            obeys_quiet_hours=fields["obeys_quiet_hours"],
            quiet_hours=fields.get("quiet_hours"),
            windows=tuple(fields.get("windows", ())),
            time_zone=fields["time_zone"],
            cap=None if cap is None else FrequencyCap(cap["count"], timedelta(seconds=cap["seconds"])),
        )


class BrandingSchema(BaseSchema):
    """What ``PUT /api/preference-page`` takes."""

    component = "PreferencePageRequest"
    aliases: ClassVar[Mapping[str, str]] = {"colour": "color", "logo": "logoText"}

    name = Text("who you are, as recipients know you", max_length=60, required=True)
    color = Text("a color such as #1d4ed8, dark enough for white text", max_length=7, pattern="#[0-9a-fA-F]{6}")
    logo_text = Text("a few characters that stand above the page", max_length=24, data_key="logoText")

    @validates_schema(skip_on_field_errors=True)
    def _check_contrast(self, data: Mapping[str, Any], **_: Any) -> None:
        contrast = _contrast_with_white(data["color"]) if "color" in data else _CONTRAST
        if contrast < _CONTRAST:
            text = f"must be darker: white text on it has a contrast of {contrast:.1f}, and needs {_CONTRAST}"
            raise ValidationError({"color": [FieldError(FieldErrorCode.INVALID, text)]})

    @staticmethod
    def branding(fields: Mapping[str, Any]) -> Branding:
        """What the fields describe."""
        known = Branding(fields["name"])
        return Branding(known.name, fields.get("color", known.color).lower(), fields.get("logo_text", ""))
