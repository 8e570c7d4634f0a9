"""``type = "sendgrid"``: e-mail by Twilio SendGrid's Mail Send API, v3.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final
from urllib.parse import quote

from wavecom.core.job import Outcome, Reason
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAnswer, AccountClient, AccountFinding
from wavecom.providers.account.findings import balance_finding, credentials_finding, fields_of, sender_finding
from wavecom.providers.api.base import without_empty
from wavecom.providers.api.mail import MailApiOptions, MailApiProvider, attachment_fields
from wavecom.providers.configuration.options import secret, secrets
from wavecom.providers.configuration.public_keys import check_ecdsa_public_key
from wavecom.providers.mail.composition import unsupported
from wavecom.providers.mail.headers import written_headers
from wavecom.providers.mail.mime import Mailbox
from wavecom.providers.mail.parts import MailAttachment
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_at
from wavecom.providers.transport import Request, Response

_ACCOUNT = AnswerMeaning.account
_SENDER = _ACCOUNT(Reason.SENDER, "SendGrid knows sender as no verified identity: see Sender Authentication there")

#: https://www.twilio.com/docs/sendgrid/api-reference/how-to-use-the-sendgrid-v3-api/errors and, for what fields are
#: wrong, https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors. Codes are ours: SendGrid has none.
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        400: Outcome.REJECTED,
        401: _ACCOUNT(Reason.CREDENTIALS, "SendGrid does not accept api_key"),
        403: _ACCOUNT(Reason.CREDENTIALS, "api_key may not send mail, or the account is held back: see SendGrid"),
        404: _ACCOUNT(Reason.CREDENTIALS, "SendGrid has nothing at this address: check base_url"),
        405: _ACCOUNT(Reason.CREDENTIALS, "SendGrid takes no mail at this address: check base_url"),
        413: AnswerMeaning.elsewhere(),  # 30 MB
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "credits": _ACCOUNT(Reason.QUOTA, "the account's credits are used up: see its plan at SendGrid"),
        "from": _SENDER,
        "recipient": AnswerMeaning.recipient(Reason.RECIPIENT_INVALID),
    },
)


_FILE: Final = {"filename": "filename", "content_type": "type", "content": "content", "content_id": "content_id"}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SendgridOptions(MailApiOptions):
    """The type's own keys. ``webhook_public_key`` is the Event Webhook's verification key: with it receipts come."""

    api_key: Annotated[str, secret()]
    webhook_public_key: Annotated[tuple[str, ...], secrets(check_ecdsa_public_key)] = ()


class SendgridProvider(MailApiProvider[SendgridOptions]):
    """SendGrid has no idempotency key. Our job id goes with the mail and comes back with each event."""

    options_class: ClassVar[type[SendgridOptions]] = SendgridOptions
    answers = ANSWERS
    own_base_url = "https://api.sendgrid.com"
    takes_invitations = False

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Authorization": f"Bearer {self.options.api_key}"}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = self.mail_of(message)
        headers = written_headers(mail.headers or {})
        if any(name.lower().startswith("x-sg-") for name in headers):
            raise unsupported("payload.headers", "has a header of SendGrid's own (X-SG-…)")
        texts = (("text/plain", mail.text), ("text/html", mail.html))
        addressee = {"to": [_person(mail.recipient)], "custom_args": {"wavecom_job_id": message.receipt_reference}}
        content = {
            "personalizations": [addressee],
            "from": _person(mail.sender),
            "reply_to_list": [_person(box) for box in mail.reply_to],
            "headers": headers,
            "attachments": [_attachment(each) for each in mail.attachments],
        }
        required = {
            "subject": mail.subject,
            "content": [{"type": kind, "value": value} for kind, value in texts if value],
        }
        return self.json_request("/v3/mail/send", {**without_empty(content), **required})

    def answer_code(self, response: Response) -> str | None:
        """What its first error is about."""
        if response.status == 401:
            return "credits" if json_at(response, "errors", 0, "message") == "Maximum credits exceeded" else None
        field = str(json_at(response, "errors", 0, "field"))
        if field == "from" or field.startswith("from."):
            return "from"
        return "recipient" if field.startswith("personalizations.0.to.0.email") else None

    def message_id(self, response: Response) -> str | None:
        """Its name for the mail, with which ``sg_message_id`` of each event begins."""
        return response.headers.get("x-message-id")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. A key that may only send can't ask about sender and credits."""
        scopes = self.ask(client, "/v3/scopes")
        credentials = credentials_finding(scopes)
        if not credentials.is_good:
            return [credentials]
        if "mail.send" not in fields_of(scopes).get("scopes", ()):
            return [AccountFinding(credentials.aspect, False, "accepted, but api_key has not the scope mail.send")]
        domains = self.ask(client, f"/v3/whitelabel/domains?domain={quote(self.sender.domain)}")
        senders = self.ask(client, "/v3/verified_senders")
        remain = fields_of(self.ask(client, "/v3/user/credits")).get("remain")
        return [credentials, self._sender_finding(domains, senders), balance_finding(remain, "mails")]

    def _sender_finding(self, domains: AccountAnswer, senders: AccountAnswer) -> AccountFinding:
        known = domains.content if isinstance(domains.content, list) else []
        single = fields_of(senders).get("results", ())
        if any(each.get("valid") for each in known):
            return sender_finding(True, "its domain is authenticated")
        is_single = any(each.get("from_email") == self.sender.address and each.get("verified") for each in single)
        text = "verified" if is_single else "neither the address nor its domain is verified"
        return sender_finding(is_single, text, domains, senders)


def _attachment(attachment: MailAttachment) -> dict[str, str]:
    disposition = "attachment" if attachment.content_id is None else "inline"
    return {**attachment_fields(attachment, _FILE), "disposition": disposition}


def _person(box: Mailbox) -> dict[str, str]:
    return {"email": box.address, "name": box.name} if box.name else {"email": box.address}
