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
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding, fields_of, sender_finding
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.base_http import BaseHttpProvider, form_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.basic_auth import basic_credentials
from wavecom.providers.configuration.options import base_url, host_name, pem_file, secret, secrets
from wavecom.providers.mail.composition import api_mail_of, mailbox, sender_address
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
class MailgunOptions:
    """The type's own keys. ``webhook_signing_key`` is the account's HTTP webhook signing key: with it receipts come."""

    domain: Annotated[str, host_name()]
    api_key: Annotated[str, secret()]
    sender: Annotated[str, sender_address()]
    webhook_signing_key: Annotated[tuple[str, ...], secrets()] = ()
    base_url: Annotated[str, base_url()] = "https://api.mailgun.net"
    ca_file: Annotated[str | None, pem_file()] = None


class MailgunProvider(BaseHttpProvider[MailgunOptions]):
    """Mailgun has no idempotency key. Our job id goes with the mail and comes back with each event.

    What is text goes as a form; what has files or an invitation goes as the mail that we make ourselves.
    """

    options_class: ClassVar[type[MailgunOptions]] = MailgunOptions
    channels = frozenset({Channel.EMAIL})
    answers = ANSWERS

    def __init__(self, config: ProviderConfig[MailgunOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        options = self.options
        self.expects_receipts = bool(options.webhook_signing_key)
        self._sender = mailbox(options.sender)
        self._url = f"{options.base_url}/v3/{quote(options.domain)}/messages"
        self._authorization = {"Authorization": basic_credentials("api", options.api_key)}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = api_mail_of(message, self._sender, self.dependencies.clock.now())
        own = {"v:wavecom_job_id": message.receipt_reference}
        if mail.attachments or mail.calendar is not None:
            content_type, body = multipart_form(
                {"to": mail.recipient.address, **own}, "message", b"".join(mail.content())
            )
            return self._request_to(f"{self._url}.mime", content_type, body)
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
        return self._request_to(self._url, "application/x-www-form-urlencoded", form_body(fields))

    def _request_to(self, url: str, content_type: str, body: bytes) -> Request:
        headers = {"Content-Type": content_type, **self._authorization}
        return Request(url, body, headers, self.config.timeout_seconds, self.options.ca_file)

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
        options = self.options
        url = f"{options.base_url}/v3/domains/{quote(options.domain)}"
        answer = client.call("GET", url, headers=self._authorization, ca_file=options.ca_file)
        if answer.status == 404:
            return [sender_finding(False, "Mailgun knows no such domain in this region: check domain and base_url")]
        credentials = credentials_finding(answer)
        if not credentials.is_good:
            return [credentials]
        domain = fields_of(answer).get("domain")
        state = domain.get("state") if isinstance(domain, dict) else None
        return [credentials, sender_finding(state == "active", f"the domain is {state}")]
