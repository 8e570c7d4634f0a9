"""The two APIs of AWS that send a text message: what each is asked, and where its answer has what counts.

Publish of SNS: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SendTextMessage of End User Messaging:
https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol
from urllib.parse import quote_plus, urlencode

import orjson


@dataclass(frozen=True, slots=True)
class TextMessage:
    """One message: to and sender as WaveCom has them, ``seconds`` until it is worth nothing (None: not told).

    ``reference`` comes back with its receipts.
    """

    reference: str
    to: str
    text: str
    sender: str | None
    seconds: int | None


class TextMessageApi(Protocol):
    """How one of the APIs is called; a name for it in signatures and hosts."""

    service: str
    headers: Mapping[str, str]

    def body(self, message: TextMessage) -> bytes:
        """The request's body. Raises ``ValueError``, with a text for people, for what this API can't say."""
        ...

    def message_id(self, body: bytes) -> str | None:
        """Of a message that was taken."""
        ...

    def error_code(self, body: bytes) -> str | None:
        """Of an error, in one word for both APIs where they mean the same."""
        ...


#: https://docs.aws.amazon.com/sns/latest/dg/sms_sending-overview.html#sms_publish-to-phone
_SENDER_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]{1,11}")
_NUMBER: Final = re.compile(r"\+?[0-9]+")
_MESSAGE_ID: Final = re.compile(rb"<MessageId>([0-9A-Za-z-]{1,100})</MessageId>")
_PHONE_NUMBER: Final = re.compile(rb"phone ?number", re.IGNORECASE)
_CODE: Final = re.compile(rb"<Code>([0-9A-Za-z.]{1,100})</Code>")


@lru_cache(maxsize=256)
def _attributes(sender: str | None) -> str:
    """The part of a form that is the same for all messages of a sender. Raises ``ValueError``."""
    attributes = {"AWS.SNS.SMS.SMSType": "Transactional"}
    if sender is not None and _NUMBER.fullmatch(sender):
        attributes["AWS.MM.SMS.OriginationNumber"] = sender
    elif sender is not None and _SENDER_ID.fullmatch(sender):
        attributes["AWS.SNS.SMS.SenderID"] = sender
    elif sender is not None:
        raise ValueError("sender: SNS takes a number, or 1 to 11 letters and digits with at least one letter")
    fields: dict[str, str] = {}
    for number, (name, value) in enumerate(attributes.items(), start=1):
        entry = f"MessageAttributes.entry.{number}"
        fields |= {f"{entry}.Name": name, f"{entry}.Value.DataType": "String", f"{entry}.Value.StringValue": value}
    return urlencode(fields)


class Publish:
    """SNS: nothing to set up, and no receipts. What it publishes to a phone number counts as transactional."""

    service = "sns"
    headers: Mapping[str, str] = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

    def body(self, message: TextMessage) -> bytes:
        """See ``TextMessageApi.body``."""
        to, text = quote_plus(message.to), quote_plus(message.text)
        attributes = _attributes(message.sender)
        return f"Action=Publish&Version=2010-03-31&PhoneNumber={to}&Message={text}&{attributes}".encode()

    def message_id(self, body: bytes) -> str | None:
        """See ``TextMessageApi.message_id``."""
        found = _MESSAGE_ID.search(body)
        return found[1].decode() if found else None

    def error_code(self, body: bytes) -> str | None:
        """See ``TextMessageApi.error_code``. One code stands for all parameters; the text names which."""
        found = _CODE.search(body)
        if found is None:
            return None
        if found[1] == b"InvalidParameter" and b"opted out" in body:
            return "OptedOut"
        if found[1] == b"InvalidParameter" and _PHONE_NUMBER.search(body):
            return "InvalidNumber"
        return found[1].decode()


#: ``Reason`` of an error of SendTextMessage, in one word. Reasons that say the same of a message share one.
_WORDS: Final = {
    "ACCOUNT_DISABLED": "AccountDisabled",
    "COUNTRY_CODE_MISMATCH": "CountryBlocked",
    "COUNTRY_NOT_ENABLED": "CountryBlocked",
    "DESTINATION_COUNTRY_BLOCKED": "CountryBlocked",
    "DESTINATION_COUNTRY_BLOCKED_BY_PROTECT_CONFIGURATION": "CountryBlocked",
    "DESTINATION_PHONE_NUMBER_BLOCKED_BY_PROTECT_NUMBER_OVERRIDE": "CountryBlocked",
    "DESTINATION_PHONE_NUMBER_NOT_VERIFIED": "NotVerified",
    "DESTINATION_PHONE_NUMBER_OPTED_OUT": "OptedOut",
    "INSUFFICIENT_ACCOUNT_REPUTATION": "AccountDisabled",
    "INTERNATIONAL_SENDING_NOT_SUPPORTED": "CountryBlocked",
    "INVALID_IDENTITY_FOR_DESTINATION_COUNTRY": "CountryBlocked",
    "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT": "SpendLimit",
    "NO_ORIGINATION_IDENTITIES_FOUND": "Sender",
    "SENDER_ID_NOT_REGISTERED": "Sender",
    "SENDER_ID_NOT_SUPPORTED": "Sender",
    "SENDER_ID_REQUIRES_REGISTRATION": "Sender",
}
#: Seconds that ``TimeToLive`` may be.
_SHORTEST_LIFE, _LONGEST_LIFE = 5, 259_200


class SendTextMessage:
    """End User Messaging: senders and pools by name, and receipts by a configuration set that publishes to a topic."""

    service = "sms-voice"
    headers: Mapping[str, str] = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage",
    }

    def __init__(self, configuration_set: str | None) -> None:
        self._configuration_set = configuration_set

    def body(self, message: TextMessage) -> bytes:
        """See ``TextMessageApi.body``."""
        fields: dict[str, object] = {
            "DestinationPhoneNumber": message.to,
            "MessageBody": message.text,
            "MessageType": "TRANSACTIONAL",
            "Context": {"jobId": message.reference},
        }
        if message.sender is not None:
            fields["OriginationIdentity"] = message.sender
        if self._configuration_set is not None:
            fields["ConfigurationSetName"] = self._configuration_set
        if message.seconds is not None and message.seconds < _LONGEST_LIFE:
            fields["TimeToLive"] = max(_SHORTEST_LIFE, message.seconds)
        return orjson.dumps(fields)

    def message_id(self, body: bytes) -> str | None:
        """See ``TextMessageApi.message_id``."""
        message_id = _fields(body).get("MessageId")
        return message_id if isinstance(message_id, str) else None

    def error_code(self, body: bytes) -> str | None:
        """See ``TextMessageApi.error_code``."""
        fields = _fields(body)
        word = _WORDS.get(str(fields.get("Reason")))
        if word is not None:
            return word
        if fields.get("__type") is None:
            return None
        named = [field.get("Name") for field in fields.get("Fields", []) if isinstance(field, dict)]
        if "DestinationPhoneNumber" in named:
            return "InvalidNumber"
        if "OriginationIdentity" in named:
            return "Sender"
        return str(fields["__type"]).rpartition("#")[2].removesuffix("Exception")


def _fields(body: bytes) -> dict[str, Any]:
    content: Any = orjson.loads(body)
    return content if isinstance(content, dict) else {}
