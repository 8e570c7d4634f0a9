"""Notifications of type ``sms``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar

from marshmallow import ValidationError

from wavecom.core.sms import segments
from wavecom.web.api.field_errors import FieldErrorCode, refusal
from wavecom.web.api.fields import DocumentedField, Text, json_type, text_error, whole_pattern
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
                FieldErrorCode.TOO_LONG,
                f"must fit into {SEGMENTS_LIMIT} segments (1530 characters of the GSM-7 alphabet, 670 of any other); "
                f"it takes {taken.count} in {taken.encoding}",
            )
        return text


#: Signs that some networks take in a sender's name, and others don't.
SENDER_ID_SIGNS = "&.-_"
_signs: ContextVar[str] = ContextVar("sender_id_signs", default="")


@contextmanager
def sender_id_signs(signs: str) -> Iterator[None]:
    """While inside, sender ids may hold these signs of ``SENDER_ID_SIGNS``."""
    token = _signs.set(signs)
    try:
        yield
    finally:
        _signs.reset(token)


class SenderId(DocumentedField[str]):
    """From whom a message seems to come: a name, or a number."""

    _NAME = re.compile(r"(?=.{1,11}$)(?=.*[A-Za-z])[A-Za-z0-9&._-]+( [A-Za-z0-9&._-]+)*")
    _NUMBER = re.compile(r"\+?[0-9]{3,15}")

    def __init__(self, **options: Any) -> None:
        super().__init__(
            "1 to 11 letters, digits and inner spaces with at least one letter, or a number of 3 to 15 digits",
            **options,
        )

    def json_schema(self) -> dict[str, Any]:
        """See ``DocumentedField``."""
        pattern = whole_pattern(f"{self._NAME.pattern}|{self._NUMBER.pattern}")
        return {"type": "string", "minLength": 1, "maxLength": 16, "pattern": pattern}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> str:
        if not isinstance(value, str):
            raise refusal(FieldErrorCode.WRONG_TYPE, f"must be a text, not {json_type(value)}")
        if field_error := text_error(value, 16):
            raise ValidationError(field_error)
        if self._NUMBER.fullmatch(value):
            return value
        if not self._NAME.fullmatch(value):
            raise self.invalid()
        unfit = next((sign for sign in value if sign in SENDER_ID_SIGNS and sign not in _signs.get()), None)
        if unfit is not None:
            raise self.invalid(f"{unfit} is not taken by all networks; who runs WaveCom may allow it")
        return value


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
    sender_id = SenderId(data_key="senderId", attribute="senderId")
