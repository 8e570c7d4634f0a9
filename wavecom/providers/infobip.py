"""``type = "infobip"``: text messages by Infobip's SMS API, version 3.

https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

import orjson

from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.findings import fields_of, prepaid_findings
from wavecom.providers.api.base import ApiOptions, ApiProvider, number, sender_of
from wavecom.providers.configuration.options import base_url, secret, secrets, text
from wavecom.providers.responses import AnswerMeaning, AnswerTable
from wavecom.providers.transport import Request, Response

_ACCOUNT, _ELSEWHERE = AnswerMeaning.account, AnswerMeaning.elsewhere
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "Infobip does not accept api_key, or base_url is another account's")
_BALANCE = _ACCOUNT(Reason.BALANCE, "the account has not enough credit: top it up")
_SENDER = _ACCOUNT(Reason.SENDER, "this account may not send from sender: register it at Infobip")

#: By the name of a message's status without ``REJECTED_``, where it is refused at once, or by its group (2
#: undeliverable, 4 expired, 5 rejected):
#: https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        "4xx": AnswerMeaning(Outcome.UNAVAILABLE, check="Infobip can't read what WaveCom sends: see its documentation"),
        400: _ELSEWHERE("Infobip refuses a message's fields: see its documentation"),
        401: _CREDENTIALS,
        403: _CREDENTIALS,
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "PREFIX_MISSING": AnswerMeaning.recipient(Reason.RECIPIENT_INVALID),
        "NOT_ENOUGH_CREDITS": _BALANCE,
        "PREPAID_PACKAGE_EXPIRED": _BALANCE,
        "SENDER": _SENDER,
        "SOURCE": _SENDER,
        "SYSTEM_ERROR": Outcome.UNAVAILABLE,
        "group_2": _ELSEWHERE(),
        "group_4": _ELSEWHERE(),
        "group_5": _ELSEWHERE(),
        "other": AnswerMeaning(
            Outcome.UNAVAILABLE, check="Infobip refuses messages with a status that it doesn't name"
        ),
    },
)
#: Groups of statuses with which a message was taken: OK, PENDING, DELIVERED.
_TAKEN: Final = frozenset({0, 1, 3})
#: Infobip tries for two days where it is not told otherwise, and no longer.
_LONGEST_MINUTES: Final = 48 * 60


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class InfobipOptions(ApiOptions):
    """The type's own keys. Every account has an address of its own, ``base_url``."""

    api_key: Annotated[str, secret()]
    base_url: Annotated[str, base_url()]
    sender: Annotated[str, text()]
    webhook_user: Annotated[str, text()] = "wavecom"
    webhook_password: Annotated[tuple[str, ...], secrets()] = ()


class InfobipProvider(ApiProvider[InfobipOptions]):
    """Infobip has no idempotency key. Our name of a message is its ``callbackData``, which comes with its reports."""

    options_class: ClassVar[type[InfobipOptions]] = InfobipOptions
    channels = frozenset({Channel.SMS})
    answers = ANSWERS
    body_decides = True

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Authorization": f"App {self.options.api_key}", "Accept": "application/json"}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        fields: dict[str, object] = {
            "sender": number(sender_of(message, self.options.sender)),
            "destinations": [{"to": number(str(message.to["phone"]))}],
            "content": {"text": str(message.payload["text"])},
            "webhooks": {"callbackData": message.receipt_reference, "contentType": "application/json"},
        }
        seconds = message.seconds_left(self.dependencies.clock.now())
        if seconds is not None and seconds < _LONGEST_MINUTES * 60:
            fields["options"] = {"validityPeriod": {"amount": max(1, seconds // 60), "timeUnit": "MINUTES"}}
        return self.json_request("/sms/3/messages", {"messages": [fields]})

    def answer_code(self, response: Response) -> str | None:
        """Why the message was refused; None where it was taken."""
        if not 200 <= response.status < 300:
            return None
        status = _message(response)["status"]
        if status["groupId"] in _TAKEN:
            return None
        names = (str(status.get("name")).removeprefix("REJECTED_"), f"group_{status['groupId']}")
        return next((name for name in names if name in ANSWERS.codes), "other")

    def message_id(self, response: Response) -> str | None:
        """Infobip's id of the message."""
        message_id = _message(response).get("messageId")
        return message_id if isinstance(message_id, str) else None

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. https://www.infobip.com/docs/api/platform/account-management"""
        answer = self.ask(client, "/account/1/balance")
        balance = fields_of(answer)
        return prepaid_findings(answer, balance.get("balance"), balance.get("currency", ""))


def _message(response: Response) -> dict[str, Any]:
    """What is said of our one message. Raises where nothing is."""
    content: Any = orjson.loads(response.body)
    message: dict[str, Any] = content["messages"][0]
    if type(message["status"]["groupId"]) is not int:
        raise ValueError("a status without a group")
    return message
