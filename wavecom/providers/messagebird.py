"""``type = "messagebird"``: text messages by MessageBird's (Bird's) SMS API.

https://developers.messagebird.com/api/sms-messaging/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import orjson

from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.core.sms import segments
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.findings import fields_of, prepaid_findings
from wavecom.providers.api.base import ApiOptions, ApiProvider, number, sender_of
from wavecom.providers.base import UnsendableError
from wavecom.providers.configuration.options import secret, secrets, text
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_field
from wavecom.providers.transport import Request, Response

_ACCOUNT, _RECIPIENT = AnswerMeaning.account, AnswerMeaning.recipient
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "MessageBird does not accept access_key")
_BALANCE = _ACCOUNT(Reason.BALANCE, "the account has not enough credit: top it up")
_OURS = AnswerMeaning(Outcome.UNAVAILABLE, check="MessageBird can't read what WaveCom sends: see its documentation")

#: https://developers.messagebird.com/api/#api-errors; a code that names a parameter has it behind the number.
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        "4xx": _OURS,
        401: _CREDENTIALS,
        402: _BALANCE,
        403: _CREDENTIALS,
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "2": _CREDENTIALS,
        "9": _OURS,  # a parameter is missing
        "10": Outcome.REJECTED,  # a parameter is wrong
        "10_originator": _ACCOUNT(Reason.SENDER, "this account may not send from sender: check it at MessageBird"),
        "10_recipient": _RECIPIENT(Reason.RECIPIENT_INVALID),
        "10_recipients": _RECIPIENT(Reason.RECIPIENT_INVALID),
        "20": _ACCOUNT(Reason.CREDENTIALS, "MessageBird knows no such address: check base_url"),
        "25": _BALANCE,
    },
)

#: A text may have so many parts: 1,377 characters of GSM-7.
_MOST_PARTS: Final = 9


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MessagebirdOptions(ApiOptions):
    """The type's own keys."""

    access_key: Annotated[str, secret()]
    sender: Annotated[str, text()]
    signing_key: Annotated[tuple[str, ...], secrets()] = ()


class MessagebirdProvider(ApiProvider[MessagebirdOptions]):
    """MessageBird has no idempotency key. Our job id is its ``reference``, without which it reports nothing."""

    options_class: ClassVar[type[MessagebirdOptions]] = MessagebirdOptions
    channels = frozenset({Channel.SMS})
    answers = ANSWERS
    own_base_url = "https://rest.messagebird.com"

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Authorization": f"AccessKey {self.options.access_key}"}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        content = str(message.payload["text"])
        taken = segments(content)
        if taken.count > _MOST_PARTS:
            raise UnsendableError(f"payload.text: MessageBird takes at most {_MOST_PARTS} parts", is_final_here=True)
        fields: dict[str, object] = {
            "originator": number(sender_of(message, self.options.sender)),
            "recipients": [number(str(message.to["phone"]))],
            "body": content,
            "datacoding": "plain" if taken.encoding == "GSM-7" else "unicode",
            "reference": message.receipt_reference,
        }
        if self.expects_receipts and self.receipts_address is not None:
            fields["reportUrl"] = self.receipts_address
        seconds = message.seconds_left(self.dependencies.clock.now())
        if seconds is not None:
            fields["validity"] = max(1, seconds)
        return self.json_request("/messages", fields)

    def answer_code(self, response: Response) -> str | None:
        """The first error's code, with the parameter that it names where the table tells such apart."""
        if response.status < 300:
            return None
        content: Any = orjson.loads(response.body)
        if not isinstance(content, dict) or not content.get("errors"):
            return None
        error = content["errors"][0]
        named = f"{error['code']}_{error.get('parameter')}"
        return named if named in ANSWERS.codes else str(error["code"])

    def message_id(self, response: Response) -> str | None:
        """MessageBird's id of the message."""
        return json_field(response, "id")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. https://developers.messagebird.com/api/balance/"""
        answer = self.ask(client, "/balance")
        balance = fields_of(answer)
        return prepaid_findings(answer, balance.get("amount"), balance.get("type", ""))
