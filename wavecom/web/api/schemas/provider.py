"""The body of ``PATCH /api/providers/<name>``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wavecom.core.provider_administration import ProviderChange
from wavecom.web.api.fields import Integer, Text, Timestamp
from wavecom.web.api.schemas.base import BaseSchema


class ProviderChangeSchema(BaseSchema):
    """What is to hold for a provider from now on; what is left out stays as it is, and null is what the file says."""

    component = "ProviderChange"
    aliases: ClassVar[Mapping[str, str]] = {"paused_until": "pausedUntil", "pauseUntil": "pausedUntil"}

    weight = Integer("null or a whole number", minimum=0, maximum=1_000_000, allow_none=True)
    paused_until = Timestamp(data_key="pausedUntil", allow_none=True)
    reason = Text("a text of 1 to 200 characters", max_length=200, required=True)


def change_of(wanted: Mapping[str, Any]) -> ProviderChange:
    """What a checked body asks for."""
    return ProviderChange(
        reason=wanted["reason"],
        sets_weight="weight" in wanted,
        weight=wanted.get("weight"),
        sets_pause="paused_until" in wanted,
        paused_until=wanted.get("paused_until"),
    )
