"""Notifications of type ``sms``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wavecom.core.sms import segments
from wavecom.web.api.faults import FaultCode, refusal
from wavecom.web.api.fields import Text
from wavecom.web.api.phone_numbers import Phone
from wavecom.web.api.schemas.base import BaseSchema

SEGMENTS_LIMIT = 10


class SmsText(Text):
    """A text that fits into ``SEGMENTS_LIMIT`` segments."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = super()._deserialize(value, *args, **kwargs)
        # 33 characters fit into a segment even if each is an emoji.
        if len(text) > SEGMENTS_LIMIT * 33 and (taken := segments(text)).count > SEGMENTS_LIMIT:
            raise refusal(
                FaultCode.TOO_LONG,
                f"must fit into {SEGMENTS_LIMIT} segments (1530 characters of the GSM-7 alphabet, 670 of any other); "
                f"it takes {taken.count} in {taken.encoding}",
            )
        return text


class SmsTo(BaseSchema):
    """``to`` of an SMS."""

    aliases: ClassVar[Mapping[str, str]] = {
        "number": "phone",
        "phoneNumber": "phone",
        "msisdn": "phone",
        "mobile": "phone",
    }

    phone = Phone(required=True)


class SmsPayload(BaseSchema):
    """``payload`` of an SMS."""

    aliases: ClassVar[Mapping[str, str]] = {
        "body": "text",
        "message": "text",
        "content": "text",
        "from": "senderId",
        "sender": "senderId",
    }

    text = SmsText("the text of the message", max_length=1600, is_line=False, required=True)
    sender_id = Text(
        "1 to 11 letters, digits and inner spaces with at least one letter, or a number of 3 to 15 digits",
        max_length=16,
        pattern=r"(?=.{1,11}$)(?=.*[A-Za-z])[A-Za-z0-9]+( [A-Za-z0-9]+)*|\+?[0-9]{3,15}",
        data_key="senderId",
        attribute="senderId",
    )
