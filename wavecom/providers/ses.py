"""``type = "ses"``: e-mail by Amazon Simple Email Service, API v2.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAnswer, AccountAspect, AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding, fields_of, sender_finding
from wavecom.providers.aws.errors import error_type
from wavecom.providers.aws.sigv4 import AwsCredentials, signed_headers
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.base_http import BaseHttpProvider, json_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import base_url, host_name, pem_file, secret, text, tuple_of
from wavecom.providers.mail.composition import api_mail_of, mailbox, sender_address
from wavecom.providers.mail.mime import Mail
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_at, json_field
from wavecom.providers.transport import Request, Response

_ACCOUNT = AnswerMeaning.account
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "AWS does not accept the access key for ses:SendEmail in this region")
_SENDER = _ACCOUNT(Reason.SENDER, "SES has not verified sender in this region, or the account is in its sandbox")

#: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors and
#: https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html, without "Exception" at their ends.
#: Of the common ones those stand here that come with status 400 and say nothing of the message.
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: Outcome.REJECTED,
        401: _CREDENTIALS,
        403: _CREDENTIALS,
        404: _ACCOUNT(Reason.CREDENTIALS, "SES has nothing of this name: check configuration_set and base_url"),
        413: AnswerMeaning.elsewhere(),  # 40 MB
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "AccountSuspended": _ACCOUNT(Reason.BALANCE, "SES has ended the account's sending: see its console"),
        "AccessDenied": _CREDENTIALS,
        "DailyQuota": _ACCOUNT(Reason.QUOTA, "the account's daily quota is used up: ask AWS for a larger one"),
        "IncompleteSignature": _CREDENTIALS,
        "LimitExceeded": _ACCOUNT(Reason.QUOTA, "a quota of the account is used up: see SES's console"),
        "MailFromDomainNotVerified": _SENDER,
        "NotAuthorized": _CREDENTIALS,
        "NotVerified": _SENDER,
        "RequestAborted": Outcome.UNAVAILABLE,
        "RequestExpired": _ACCOUNT(Reason.CREDENTIALS, "AWS finds our requests out of date: set this machine's clock"),
        "SendingPaused": _ACCOUNT(Reason.BALANCE, "sending is paused for the account or the configuration set"),
        "Throttling": AnswerMeaning.limit(),
    },
)

_TOPICS = tuple_of(text(), 'must be a list such as ["arn:aws:sns:eu-west-1:123456789012:mail-events"]')


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SesOptions:
    """The type's own keys. ``topic_arns`` are the SNS topics that SES publishes events to: with them receipts come."""

    region: Annotated[str, host_name()]
    access_key_id: Annotated[str, secret()]
    secret_access_key: Annotated[str, secret()]
    sender: Annotated[str, sender_address()]
    configuration_set: Annotated[str | None, text()] = None
    topic_arns: Annotated[tuple[str, ...], _TOPICS] = ()
    base_url: Annotated[str | None, base_url()] = None
    ca_file: Annotated[str | None, pem_file()] = None


class SesProvider(BaseHttpProvider[SesOptions]):
    """SES has no idempotency key. Our job id goes with the mail as a tag and comes back with each event.

    What is text goes as simple content; what has files, an invitation or headers of its own as the mail that we make.
    """

    options_class: ClassVar[type[SesOptions]] = SesOptions
    channels = frozenset({Channel.EMAIL})
    answers = ANSWERS

    def __init__(self, config: ProviderConfig[SesOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        options = self.options
        self.expects_receipts = bool(options.topic_arns)
        self._sender = mailbox(options.sender)
        self._base_url = options.base_url or f"https://email.{options.region}.amazonaws.com"
        self._credentials = AwsCredentials(
            access_key_id=options.access_key_id,
            secret_access_key=options.secret_access_key,
            region=options.region,
            service="ses",
        )

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = api_mail_of(message, self._sender, self.dependencies.clock.now())
        content: dict[str, Any] = {
            "FromEmailAddress": str(mail.sender),
            "Destination": {"ToAddresses": [str(mail.recipient)]},
            "Content": _content(mail),
            "EmailTags": [{"Name": "wavecom_job_id", "Value": message.receipt_reference}],
        }
        if mail.reply_to:
            content["ReplyToAddresses"] = [str(box) for box in mail.reply_to]
        if self.options.configuration_set is not None:
            content["ConfigurationSetName"] = self.options.configuration_set
        url, body = f"{self._base_url}/v2/email/outbound-emails", json_body(content)
        headers = self._signed("POST", url, {"Content-Type": "application/json"}, body)
        return Request(url, body, headers, self.config.timeout_seconds, self.options.ca_file)

    def _signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> dict[str, str]:
        return signed_headers(self._credentials, method, url, headers, body, self.dependencies.clock.now())

    def answer_code(self, response: Response) -> str | None:
        """The type of the error; of two types its message says more."""
        code = error_type(response)
        text = str(json_at(response, "message") or json_at(response, "Message"))
        if code in {"Throttling", "TooManyRequests"} and text.startswith("Daily message quota exceeded"):
            return "DailyQuota"
        return "NotVerified" if code == "MessageRejected" and "not verified" in text else code

    def message_id(self, response: Response) -> str | None:
        """SES's name for the mail."""
        return json_field(response, "MessageId")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``."""

        def get(path: str) -> AccountAnswer:
            url = f"{self._base_url}/v2/email/{path}"
            return client.call("GET", url, headers=self._signed("GET", url, {}), ca_file=self.options.ca_file)

        account = get("account")
        credentials = credentials_finding(account)
        if not credentials.is_good:
            return [credentials]
        identities = [get(f"identities/{quote(each, safe='')}") for each in (self._sender.address, self._sender.domain)]
        is_verified = any(fields_of(each).get("VerifiedForSendingStatus") is True for each in identities)
        sender = sender_finding(is_verified, "verified" if is_verified else "not verified in this region", *identities)
        return [credentials, sender, _quota(fields_of(account))]


def _content(mail: Mail) -> dict[str, Any]:
    if mail.attachments or mail.calendar is not None or mail.headers:
        return {"Raw": {"Data": b64encode(b"".join(mail.content())).decode()}}
    bodies = {"Text": mail.text, "Html": mail.html}
    body = {kind: _utf8(value) for kind, value in bodies.items() if value is not None}
    return {"Simple": {"Subject": _utf8(mail.subject), "Body": body}}


def _utf8(value: str) -> dict[str, str]:
    return {"Data": value, "Charset": "UTF-8"}


def _quota(account: Mapping[str, Any]) -> AccountFinding:
    if account.get("SendingEnabled") is False:
        return AccountFinding(AccountAspect.QUOTA, False, "sending is paused for the account")
    quota = account.get("SendQuota") or {}
    most, sent = quota.get("Max24HourSend"), quota.get("SentLast24Hours")
    if most is None or sent is None:
        return AccountFinding(AccountAspect.QUOTA, None, "the quota is not told")
    place = "" if account.get("ProductionAccessEnabled", True) else ", in SES's sandbox: to verified addresses only"
    is_good = most == -1 or sent < most  # -1: no limit
    return AccountFinding(AccountAspect.QUOTA, is_good, f"{sent:g} of {most:g} mails sent within 24 hours{place}")
