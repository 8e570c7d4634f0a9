"""``type = "resend"``: e-mail by Resend. https://resend.com/docs/api-reference/emails/send-email"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAspect, AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding, fields_of, sender_finding
from wavecom.providers.api.base import without_empty
from wavecom.providers.api.mail import MailApiOptions, MailApiProvider, attachment_fields
from wavecom.providers.configuration.options import secret, secrets
from wavecom.providers.configuration.webhook_secrets import check_webhook_secret
from wavecom.providers.mail.headers import written_headers
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_at, json_field
from wavecom.providers.transport import Request, Response

_ACCOUNT = AnswerMeaning.account
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "Resend does not accept api_key")
_QUOTA = _ACCOUNT(Reason.QUOTA, "the account's quota is used up: see its plan at Resend")
_SENDER = _ACCOUNT(Reason.SENDER, "Resend has not verified sender's domain")

#: https://resend.com/docs/api-reference/errors
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: Outcome.REJECTED,
        401: _CREDENTIALS,
        403: _SENDER,
        404: _ACCOUNT(Reason.CREDENTIALS, "Resend has nothing at this address: check base_url"),
        405: _ACCOUNT(Reason.CREDENTIALS, "Resend takes no mail at this address: check base_url"),
        409: AnswerMeaning(Outcome.UNKNOWN, Scope.MESSAGE),  # it knows the Idempotency-Key: it has the mail already
        413: AnswerMeaning.elsewhere(),  # 40 MB
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        451: AnswerMeaning.elsewhere(),  # what Resend takes for a danger
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "daily_quota_exceeded": _QUOTA,
        "invalid_api_key": _CREDENTIALS,
        "invalid_from_address": _SENDER,
        "monthly_quota_exceeded": _QUOTA,
    },
)


_FILE: Final = {name: name for name in ("filename", "content_type", "content", "content_id")}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ResendOptions(MailApiOptions):
    """The type's own keys. ``webhook_secret`` is the webhook's signing secret (``whsec_…``): with it receipts come."""

    api_key: Annotated[str, secret()]
    webhook_secret: Annotated[tuple[str, ...], secrets(check_webhook_secret)] = ()


class ResendProvider(MailApiProvider[ResendOptions]):
    """Resend drops repetitions of an ``Idempotency-Key`` for a day. Our job id goes with the mail as a tag."""

    options_class: ClassVar[type[ResendOptions]] = ResendOptions
    answers = ANSWERS
    own_base_url = "https://api.resend.com"
    takes_invitations = False
    is_idempotent = True

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Authorization": f"Bearer {self.options.api_key}"}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``. The same at every attempt, as its key demands."""
        mail = self.mail_of(message)
        content = {
            "from": str(mail.sender),
            "to": [str(mail.recipient)],
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "reply_to": [str(box) for box in mail.reply_to],
            "headers": written_headers(mail.headers or {}),
            "attachments": [attachment_fields(each, _FILE) for each in mail.attachments],
            "tags": [{"name": "wavecom_job_id", "value": message.receipt_reference}],
        }
        return self.json_request("/emails", without_empty(content), {"Idempotency-Key": message.delivery_key})

    def answer_code(self, response: Response) -> str | None:
        """The name of its error; a wrong key has two."""
        name = json_field(response, "name")
        return "invalid_api_key" if json_at(response, "message") == "API key is invalid" else name

    def message_id(self, response: Response) -> str | None:
        """Resend's name for the mail."""
        return json_field(response, "id")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. Quotas are not told, and a key that may only send can't ask."""
        answer = self.ask(client, "/domains")
        if isinstance(answer.content, dict) and answer.content.get("name") == "restricted_api_key":
            known = AccountFinding(AccountAspect.CREDENTIALS, True, "accepted, to send only")
            return [known, sender_finding(None, "a key that may only send can't ask about domains")]
        credentials = credentials_finding(answer)
        if not credentials.is_good:
            return [credentials]
        verified = {each.get("name") for each in fields_of(answer).get("data", ()) if each.get("status") == "verified"}
        is_verified = self.sender.domain in verified
        text = "its domain is verified" if is_verified else "its domain is not verified at Resend"
        return [credentials, sender_finding(is_verified, text)]
