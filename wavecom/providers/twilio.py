"""``type = "twilio"``: text messages by Twilio's Messages resource.

https://www.twilio.com/docs/messaging/api/message-resource
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Final
from urllib.parse import quote, urlencode

from marshmallow import ValidationError

from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAspect, AccountClient, AccountFinding
from wavecom.providers.account.findings import balance_finding, credentials_finding, fields_of, sender_finding
from wavecom.providers.api.base import ApiOptions, ApiProvider, sender_of
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.basic_auth import basic_credentials
from wavecom.providers.configuration.options import secret, secrets, text
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_field
from wavecom.providers.transport import Request, Response

_ACCOUNT, _ELSEWHERE, _RECIPIENT = AnswerMeaning.account, AnswerMeaning.elsewhere, AnswerMeaning.recipient
_SENDER = _ACCOUNT(Reason.SENDER, "Twilio does not let this account send from sender: check the number at Twilio")
_SERVICE = partial(_ACCOUNT, Reason.SENDER, holds_for_any_sender=True)
_CLOSED = _ACCOUNT(Reason.BALANCE, "the account is not active: check its balance and its status at Twilio")
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "Twilio does not accept account_sid and auth_token")

#: https://www.twilio.com/docs/usage/twilios-response and, for each code, https://www.twilio.com/docs/api/errors/<code>.
#: A refusal with a code that is not named here is nobody's end: Twilio adds codes, and some concern the account.
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        "4xx": AnswerMeaning(Outcome.UNAVAILABLE, check="Twilio refuses the request: see its error log"),
        401: _CREDENTIALS,
        403: _ACCOUNT(Reason.CREDENTIALS, "the account may not send messages: check its rights at Twilio"),
        404: _ACCOUNT(Reason.CREDENTIALS, "Twilio knows no such account: check account_sid and base_url"),
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "10001": _CLOSED,
        "20003": _CREDENTIALS,
        "20005": _CLOSED,
        "20429": AnswerMeaning.limit(),  # not processed: safe to send again
        "21211": _RECIPIENT(Reason.RECIPIENT_INVALID),
        "21212": _SENDER,
        "21408": _ELSEWHERE("sending to this country is not allowed: see Geo Permissions at Twilio"),
        "21601": _SENDER,
        "21603": _SENDER,
        "21606": _SENDER,
        "21608": _ELSEWHERE("a trial account sends to verified numbers only: upgrade it at Twilio"),
        "21610": _RECIPIENT(Reason.RECIPIENT_OPTED_OUT),
        "21612": _ELSEWHERE("this sender can't reach this number: see the country's rules for senders at Twilio"),
        "21614": _RECIPIENT(Reason.RECIPIENT_INVALID),
        "21617": _ELSEWHERE(),  # longer than 1600 characters
        "21635": _RECIPIENT(Reason.RECIPIENT_INVALID),  # a landline
        "21659": _SENDER,
        "21660": _SENDER,
        "21661": _SENDER,
        "21703": _SERVICE("the messaging service has no senders: add one at Twilio"),
        "21705": _SERVICE("Twilio knows no such messaging service: check messaging_service_sid"),
        "90010": _CLOSED,
    },
)

#: The longest ``ValidityPeriod``, and its default.
_LONGEST_VALIDITY_SECONDS: Final = 14_400


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class TwilioOptions(ApiOptions):
    """The type's own keys. Of several tokens the first is sent; receipts may be signed with any."""

    account_sid: Annotated[str, secret()]
    auth_token: Annotated[tuple[str, ...], secrets()]
    #: A number in E.164, a short code or a name; a message may name another.
    sender: Annotated[str | None, text()] = None
    messaging_service_sid: Annotated[str | None, text()] = None

    def __post_init__(self) -> None:
        if (self.sender is None) is (self.messaging_service_sid is None):
            raise ValidationError("give either sender or messaging_service_sid", "sender")


class TwilioProvider(ApiProvider[TwilioOptions]):
    """Twilio has no idempotency key: a repetition is a second message. Our job id goes with the status callback."""

    options_class: ClassVar[type[TwilioOptions]] = TwilioOptions
    channels = frozenset({Channel.SMS})
    answers = ANSWERS
    own_base_url = "https://api.twilio.com"

    def __init__(self, config: ProviderConfig[TwilioOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self._callback = self.receipts_address
        self.expects_receipts = self._callback is not None
        self._account = f"/2010-04-01/Accounts/{quote(self.options.account_sid)}"

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Authorization": basic_credentials(self.options.account_sid, self.options.auth_token[0])}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        fields = {
            "To": message.to["phone"],
            "Body": message.payload["text"],
            "From": sender_of(message, self.options.sender),
            "MessagingServiceSid": self.options.messaging_service_sid,
            "ValidityPeriod": self._validity_seconds(message),
            "StatusCallback": self._callback and f"{self._callback}?{urlencode({'job': message.receipt_reference})}",
        }
        return self.form_request(f"{self._account}/Messages.json", fields)

    def answer_code(self, response: Response) -> str | None:
        """The code of an error in its JSON."""
        return json_field(response, "code") if response.status >= 300 else None

    def message_id(self, response: Response) -> str | None:
        """Twilio's SID of the message."""
        return json_field(response, "sid")

    def _validity_seconds(self, message: Message) -> int | None:
        """How long Twilio may keep the message; None: its longest."""
        seconds = message.seconds_left(self.dependencies.clock.now())
        return None if seconds is None or seconds >= _LONGEST_VALIDITY_SECONDS else max(1, seconds)

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. https://www.twilio.com/docs/iam/api/account"""
        account = self.ask(client, f"{self._account}.json")
        status = fields_of(account).get("status", "active")
        findings = [credentials_finding(account)]
        if not findings[0].is_good:
            return findings
        if status != "active":
            findings.append(AccountFinding(AccountAspect.QUOTA, False, f"the account is {status}"))
        balance = fields_of(self.ask(client, f"{self._account}/Balance.json"))
        findings.append(balance_finding(balance.get("balance"), balance.get("currency", "")))
        sender = self.options.sender
        if sender is None or not sender.startswith("+"):
            findings.append(sender_finding(None, "names, short codes and messaging services can't be asked about"))
        else:
            query = urlencode({"PhoneNumber": sender})
            answer = self.ask(client, f"{self._account}/IncomingPhoneNumbers.json?{query}")
            numbers = fields_of(answer).get("incoming_phone_numbers")
            text = "a number of this account" if numbers else "no number of this account"
            findings.append(sender_finding(bool(numbers), text, answer))
        return findings
