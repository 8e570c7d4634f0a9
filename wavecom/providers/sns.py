"""``type = "sns"``: text messages by Amazon Web Services, through SNS or End User Messaging.

Both APIs stand in ``wavecom/providers/aws/text_messages.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final
from urllib.parse import urlencode

from marshmallow import ValidationError

from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAnswer, AccountAspect, AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding
from wavecom.providers.api.aws import AwsOptions, AwsSigner
from wavecom.providers.api.base import ApiProvider, sender_of
from wavecom.providers.aws.text_messages import Publish, SendTextMessage, TextMessage, TextMessageApi
from wavecom.providers.base import ProviderDependencies, UnsendableError
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import text
from wavecom.providers.responses import AnswerMeaning, AnswerTable
from wavecom.providers.responses.answers import Meanings
from wavecom.providers.transport import Request, Response

_ACCOUNT, _ELSEWHERE, _RECIPIENT = AnswerMeaning.account, AnswerMeaning.elsewhere, AnswerMeaning.recipient
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "AWS does not accept the access key: check it, its rights, region, clock")

#: 400 says nothing by itself.
_STATUSES: Final[Meanings] = {
    "2xx": Outcome.ACCEPTED,
    "4xx": AnswerMeaning(Outcome.UNAVAILABLE, check="AWS refuses the request: see its documentation for the code"),
    403: _CREDENTIALS,
    429: Outcome.UNAVAILABLE,
    500: Outcome.UNAVAILABLE,
    503: Outcome.UNAVAILABLE,
}

#: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html and CommonErrors.html; ``InvalidNumber`` and ``OptedOut``
#: are an InvalidParameter whose text says so.
PUBLISH_ANSWERS: Final = AnswerTable(
    _STATUSES,
    {
        "AuthorizationError": _CREDENTIALS,
        "IncompleteSignature": _CREDENTIALS,
        "InternalError": Outcome.UNAVAILABLE,
        "InvalidClientTokenId": _CREDENTIALS,
        "InvalidNumber": _RECIPIENT(Reason.RECIPIENT_INVALID),
        "InvalidParameter": _ELSEWHERE("SNS does not take a parameter: check sender"),
        "InvalidSecurity": _CREDENTIALS,
        "OptedOut": _RECIPIENT(Reason.RECIPIENT_OPTED_OUT),
        "OptInRequired": _CREDENTIALS,
        "ParameterValueInvalid": _ELSEWHERE("SNS does not take a parameter: check sender"),
        "SignatureDoesNotMatch": _CREDENTIALS,
        "Throttled": AnswerMeaning.limit(),
        "Throttling": AnswerMeaning.limit(),
    },
)

#: https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html and CommonErrors.html; a
#: ``Reason`` that stands in an error has a word of its own (``aws/text_messages.py``).
SEND_TEXT_MESSAGE_ANSWERS: Final = AnswerTable(
    _STATUSES,
    {
        "AccessDenied": _CREDENTIALS,
        "AccountDisabled": _ACCOUNT(Reason.BALANCE, "AWS has closed the account for messages: ask its support"),
        "Conflict": _ELSEWHERE("AWS says that sender or configuration_set does not fit the message"),
        "CountryBlocked": _ELSEWHERE("the account may not send to this country: see End User Messaging"),
        "ExpiredToken": _CREDENTIALS,
        "InternalServer": Outcome.UNAVAILABLE,
        "InvalidNumber": _RECIPIENT(Reason.RECIPIENT_INVALID),
        "InvalidSignature": _CREDENTIALS,
        "NotVerified": _ELSEWHERE("an account in the sandbox sends to verified numbers only: leave it at AWS"),
        "OptedOut": _RECIPIENT(Reason.RECIPIENT_OPTED_OUT),
        "ResourceNotFound": _ACCOUNT(Reason.SENDER, "AWS knows no such sender or configuration_set"),
        "Sender": _ACCOUNT(Reason.SENDER, "this account may not send from sender: check it at AWS"),
        "ServiceQuotaExceeded": _ACCOUNT(Reason.QUOTA, "a quota of the account is used up: see AWS"),
        "SpendLimit": _ACCOUNT(Reason.QUOTA, "the month's spend limit is reached: have AWS raise it"),
        "Throttling": AnswerMeaning.limit(),
        "UnrecognizedClient": _CREDENTIALS,
        "Validation": _ELSEWHERE("AWS does not take a parameter: check sender and configuration_set"),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SnsOptions(AwsOptions):
    """The type's own keys."""

    #: A number, a name; of End User Messaging also the id or ARN of a sender or a pool. None: as AWS chooses.
    sender: Annotated[str | None, text()] = None
    api: Annotated[str, text(choices=("sns", "end_user_messaging"))] = "sns"

    def __post_init__(self) -> None:
        if self.configuration_set is not None and self.api == "sns":
            raise ValidationError('belongs to api = "end_user_messaging"; SNS has none', "configuration_set")


class SnsProvider(ApiProvider[SnsOptions]):
    """AWS has no idempotency key for text messages. End User Messaging echoes our job id in its events."""

    options_class: ClassVar[type[SnsOptions]] = SnsOptions
    channels = frozenset({Channel.SMS})
    answers = PUBLISH_ANSWERS

    def __init__(self, config: ProviderConfig[SnsOptions], dependencies: ProviderDependencies) -> None:
        options = config.options
        is_sns = options.api == "sns"
        self._api: TextMessageApi = Publish() if is_sns else SendTextMessage(options.configuration_set)
        super().__init__(config, dependencies)
        if not is_sns:
            self.answers = SEND_TEXT_MESSAGE_ANSWERS
        #: SNS itself writes what became of a text message to CloudWatch alone.
        self.expects_receipts = bool(not is_sns and options.configuration_set and options.topic_arns)
        self._signer = AwsSigner(options, self._api.service, dependencies.clock.now)

    def default_base_url(self) -> str:
        """See ``ApiProvider.default_base_url``."""
        domain = "amazonaws.com.cn" if self.options.region.startswith("cn-") else "amazonaws.com"
        return f"https://{self._api.service}.{self.options.region}.{domain}"

    def signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Mapping[str, str]:
        """See ``ApiProvider.signed``."""
        return self._signer.signed(method, url, headers, body)

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        content = TextMessage(
            message.receipt_reference,
            str(message.to["phone"]),
            str(message.payload["text"]),
            sender_of(message, self.options.sender),
            message.seconds_left(self.dependencies.clock.now()),
        )
        try:
            body = self._api.body(content)
        except ValueError as error:
            place = "payload.senderId: " if message.payload.get("senderId") else ""
            raise UnsendableError(f"{place}{error}", is_final_here=True) from None
        return self.request_to("/", body, self._api.headers)

    def answer_code(self, response: Response) -> str | None:
        """The code of an error."""
        return self._api.error_code(response.body) if response.status >= 300 else None

    def message_id(self, response: Response) -> str | None:
        """AWS's id of the message."""
        return self._api.message_id(response.body)

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``.

        https://docs.aws.amazon.com/sns/latest/api/API_GetSMSAttributes.html and API_GetSMSSandboxAccountStatus,
        https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_DescribeAccountAttributes.html
        """
        if self.options.api == "sns":
            return self._sns_findings(client)
        target = {**self._api.headers, "X-Amz-Target": "PinpointSMSVoiceV2.DescribeAccountAttributes"}
        answer = self._asked(client, target, b"{}")
        return _findings(answer, b'"SANDBOX"', b'"PRODUCTION"')

    def _sns_findings(self, client: AccountClient) -> list[AccountFinding]:
        def ask(action: str) -> AccountAnswer:
            form = urlencode({"Action": action, "Version": "2010-03-31"}).encode()
            return self._asked(client, self._api.headers, form)

        answer = ask("GetSMSSandboxAccountStatus")
        findings = _findings(answer, b"<IsInSandbox>true<", b"<IsInSandbox>false<")
        limit = _SPEND_LIMIT.search(ask("GetSMSAttributes").body) if findings[0].is_good else None
        if limit is not None:
            text = f"monthly spend limit: {limit[1].decode()} USD"
            findings.append(AccountFinding(AccountAspect.QUOTA, float(limit[1]) > 0, text))
        return findings

    def _asked(self, client: AccountClient, headers: Mapping[str, str], body: bytes) -> AccountAnswer:
        url = f"{self.base_url}/"
        signed = self.signed("POST", url, headers, body)
        return client.call("POST", url, headers=signed, body=body, ca_file=self.options.ca_file)


#: In the answer of GetSMSAttributes.
_SPEND_LIMIT: Final = re.compile(rb"MonthlySpendLimit</key>\s*<value>([0-9]+(?:\.[0-9]+)?)<")


def _findings(answer: AccountAnswer, sandbox: bytes, production: bytes) -> list[AccountFinding]:
    """Whether AWS knows us; and if so, whether the account is in the sandbox, by which words its answer holds."""
    findings = [credentials_finding(answer)]
    if findings[0].is_good and sandbox in answer.body:
        text = "the account is in the sandbox: it sends to verified numbers only"
        findings.append(AccountFinding(AccountAspect.QUOTA, False, text))
    elif findings[0].is_good:
        is_told = production in answer.body
        text = "the account is in production" if is_told else "whether the account is in the sandbox is not told"
        findings.append(AccountFinding(AccountAspect.QUOTA, is_told or None, text))
    return findings
