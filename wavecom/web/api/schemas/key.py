"""The bodies of ``/api/keys``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from marshmallow import ValidationError, validates_schema

from wavecom.accounts import KeyScope
from wavecom.accounts.administration import LONGEST_OVERLAP
from wavecom.web.api.field_errors import FieldError, FieldErrorCode
from wavecom.web.api.fields import Choice, Integer, Items, Text, Timestamp
from wavecom.web.api.schemas.base import BaseSchema

LONGEST_LIFE = timedelta(days=3650)


class Mode(StrEnum):
    """Whether a key sends for real. The words are part of the published API."""

    LIVE = "live"
    TEST = "test"


class NewKeySchema(BaseSchema):
    """What ``POST /api/keys`` takes. ``now`` is the time against which expiresAt is held."""

    component = "KeyRequest"
    aliases: ClassVar[Mapping[str, str]] = {
        "scope": "scopes",
        "permissions": "scopes",
        "label": "name",
        "type": "mode",
        "expires": "expiresAt",
        "live": "mode",
        "test": "mode",
    }

    name = Text("a text of 1 to 100 characters", max_length=100, required=True)
    scopes = Items(
        Choice(KeyScope),
        f"a list of some of {', '.join(KeyScope)}",
        min_items=1,
        max_items=len(KeyScope),
        required=True,
    )
    mode = Choice(Mode)
    expires_at = Timestamp(data_key="expiresAt")

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__()
        self._now = now

    @validates_schema(skip_on_field_errors=False)
    def _check_end(self, data: Mapping[str, Any], **_: Any) -> None:
        expires_at, now = data.get("expires_at"), self._now()
        if expires_at is not None and not now < expires_at <= now + LONGEST_LIFE:
            field_error = FieldError(FieldErrorCode.OUT_OF_RANGE, "must be in the future, within ten years")
            raise ValidationError({"expiresAt": [field_error]})


class RotationSchema(BaseSchema):
    """What ``POST /api/keys/<keyId>/rotate`` takes."""

    aliases: ClassVar[Mapping[str, str]] = {"overlap": "overlapSeconds", "gracePeriod": "overlapSeconds"}
    may_be_left_out: ClassVar[bool] = True

    overlap_seconds = Integer(
        "whole seconds", minimum=0, maximum=int(LONGEST_OVERLAP.total_seconds()), data_key="overlapSeconds"
    )
