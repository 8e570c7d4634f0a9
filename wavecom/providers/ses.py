"""``type = "ses"``: e-mail by Amazon Simple Email Service, API v2.

https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import quote

from wavecom.core.job import Outcome, Reason
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAspect, AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding, fields_of, sender_finding
from wavecom.providers.api.aws import AwsOptions, AwsSigner
from wavecom.providers.api.base import without_empty
from wavecom.providers.api.mail import MailApiOptions, MailApiProvider
from wavecom.providers.aws.errors import error_type
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
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


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SesOptions(AwsOptions, MailApiOptions):
    """The type's own keys. ``topic_arns`` are the SNS topics that SES publishes events to: with them receipts come."""


class SesProvider(MailApiProvider[SesOptions]):
    """SES has no idempotency key. Our job id goes with the mail as a tag and comes back with each event.

    What is text goes as simple content; what has files, an invitation or headers of its own as the mail that we make.
    """

    options_class: ClassVar[type[SesOptions]] = SesOptions
    answers = ANSWERS

    def __init__(self, config: ProviderConfig[SesOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self._signer = AwsSigner(self.options, "ses", dependencies.clock.now)

    def default_base_url(self) -> str:
        """See ``ApiProvider.default_base_url``."""
        return f"https://email.{self.options.region}.amazonaws.com"

    def signed(self, method: str, url: str, headers: Mapping[str, str], body: bytes = b"") -> Mapping[str, str]:
        """See ``ApiProvider.signed``."""
        return self._signer.signed(method, url, headers, body)

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = self.mail_of(message)
        content = {
            "FromEmailAddress": str(mail.sender),
            "Destination": {"ToAddresses": [str(mail.recipient)]},
            "ReplyToAddresses": [str(box) for box in mail.reply_to],
            "Content": _content(mail),
            "EmailTags": [{"Name": "wavecom_job_id", "Value": message.receipt_reference}],
            "ConfigurationSetName": self.options.configuration_set,
        }
        return self.json_request("/v2/email/outbound-emails", without_empty(content))

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
        account = self.ask(client, "/v2/email/account")
        credentials = credentials_finding(account)
        if not credentials.is_good:
            return [credentials]
        names = (self.sender.address, self.sender.domain)
        identities = [self.ask(client, f"/v2/email/identities/{quote(each, safe='')}") for each in names]
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
