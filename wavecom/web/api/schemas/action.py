"""The bodies of what is asked of one notification: ``…/retry`` and ``…/settle``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar

from wavecom.web.api.fields import Boolean, Choice, Text
from wavecom.web.api.schemas.base import BaseSchema

REASON_LIMIT = 500


class SettledAs(StrEnum):
    """What became of an unconfirmed notification. The words are part of the published API."""

    DELIVERED = "delivered"
    FAILED = "failed"


class RetrySchema(BaseSchema):
    """What ``POST /api/notifications/<jobId>/retry`` takes; without a body, nothing."""

    may_be_left_out: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, str]] = {
        "force": "acceptDuplicate",
        "allowDuplicate": "acceptDuplicate",
        "acceptDuplicates": "acceptDuplicate",
    }

    accept_duplicate = Boolean(
        "true to send again what may have been sent already, or false",
        data_key="acceptDuplicate",
        load_default=False,
    )


class SettleSchema(BaseSchema):
    """What ``POST /api/notifications/<jobId>/settle`` takes."""

    aliases: ClassVar[Mapping[str, str]] = {"status": "outcome", "result": "outcome", "note": "reason"}

    outcome = Choice(SettledAs, required=True)
    reason = Text(f"how you know, a text of 1 to {REASON_LIMIT} characters", max_length=REASON_LIMIT, required=True)
