"""``type = "mailgun"``: e-mail by Mailgun's Messages API, in the US or (``base_url``) the EU.

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Final
from urllib.parse import quote

from wavecom.core.job import Outcome, Reason
from wavecom.core.ports import Message
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding, fields_of, sender_finding
from wavecom.providers.api.mail import MailApiOptions, MailApiProvider
from wavecom.providers.configuration.basic_auth import basic_credentials
from wavecom.providers.configuration.options import host_name, secret, secrets
from wavecom.providers.mail.form_data import multipart_form
from wavecom.providers.mail.headers import written_headers
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_at, json_field
from wavecom.providers.transport import Request, Response

_ACCOUNT = AnswerMeaning.account
_DOMAIN = partial(_ACCOUNT, Reason.SENDER, holds_for_any_sender=True)

#: https://documentation.mailgun.com/docs/mailgun/api-reference/mg-responses. Codes are ours: Mailgun says it in words.
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: Outcome.REJECTED,
        401: _ACCOUNT(
            Reason.CREDENTIALS, "Mailgun does not accept api_key, or it is of the other region: see base_url"
        ),
        402: _ACCOUNT(Reason.BALANCE, "the account is not paid for: check it at Mailgun"),
        403: _DOMAIN("the domain may not send: it is disabled, or the account is: check it at Mailgun"),
        404: _DOMAIN("Mailgun knows no such domain in this region: check domain and base_url"),
        413: AnswerMeaning.elsewhere(),  # 25 MB
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "from": _ACCOUNT(Reason.SENDER, "Mailgun does not take sender as an address: check it"),
        "recipient": AnswerMeaning.recipient(Reason.RECIPIENT_INVALID),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MailgunOptions(MailApiOptions):
    """The type's own keys. ``webhook_signing_key`` is the account's HTTP webhook signing key: with it receipts come."""

    domain: Annotated[str, host_name()]
    api_key: Annotated[str, secret()]
    webhook_signing_key: Annotated[tuple[str, ...], secrets()] = ()


class MailgunProvider(MailApiProvider[MailgunOptions]):
    """Mailgun has no idempotency key. Our job id goes with the mail and comes back with each event.

    What is text goes as a form; what has files or an invitation goes as the mail that we make ourselves.
    """

    options_class: ClassVar[type[MailgunOptions]] = MailgunOptions
    answers = ANSWERS
    own_base_url = "https://api.mailgun.net"

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Authorization": basic_credentials("api", self.options.api_key)}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = self.mail_of(message)
        path = f"/v3/{quote(self.options.domain)}/messages"
        own = {"v:wavecom_job_id": message.receipt_reference}
        if mail.attachments or mail.calendar is not None:
            content_type, body = multipart_form(
                {"to": mail.recipient.address, **own}, "message", b"".join(mail.content())
            )
            return self.request_to(f"{path}.mime", body, {"Content-Type": content_type, **self.authorization()})
        fields = {
            "from": str(mail.sender),
            "to": str(mail.recipient),
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "h:Reply-To": ", ".join(map(str, mail.reply_to)) or None,
            "h:Message-Id": mail.message_id,
            **{f"h:{name}": value for name, value in written_headers(mail.headers or {}).items()},
            **own,
        }
        return self.form_request(path, fields)

    def answer_code(self, response: Response) -> str | None:
        """Which of the addresses it does not take, by its sentence."""
        text = str(json_at(response, "message"))
        if not text.startswith(("'to' parameter", "'from' parameter", "to parameter", "from parameter")):
            return None
        return "recipient" if text.strip("'").startswith("to") else "from"

    def message_id(self, response: Response) -> str | None:
        """The mail's Message-ID without its angle brackets, as events have it."""
        found = json_field(response, "id")
        return found and found.strip("<>")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. Quotas are not told by Mailgun's API."""
        answer = self.ask(client, f"/v3/domains/{quote(self.options.domain)}")
        if answer.status == 404:
            return [sender_finding(False, "Mailgun knows no such domain in this region: check domain and base_url")]
        credentials = credentials_finding(answer)
        if not credentials.is_good:
            return [credentials]
        domain = fields_of(answer).get("domain")
        state = domain.get("state") if isinstance(domain, dict) else None
        return [credentials, sender_finding(state == "active", f"the domain is {state}")]
