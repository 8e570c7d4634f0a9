"""``type = "sendgrid"``: e-mail by Twilio SendGrid's Mail Send API, v3.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final
from urllib.parse import quote

from marshmallow import ValidationError

from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.account import AccountAnswer, AccountClient, AccountFinding
from wavecom.providers.account.findings import balance_finding, credentials_finding, fields_of, sender_finding
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.base_http import BaseHttpProvider, json_body
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.configuration.options import base_url, pem_file, secret, secrets
from wavecom.providers.configuration.public_keys import ecdsa_public_key
from wavecom.providers.mail.composition import api_mail_of, base64_content, mailbox, sender_address, unsupported
from wavecom.providers.mail.headers import written_headers
from wavecom.providers.mail.mime import Mailbox
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


def _is_public_key(value: str) -> None:
    try:
        ecdsa_public_key(value)
    except ValueError:
        raise ValidationError(
            "must be the verification key as SendGrid shows it: base64, beginning with MFkw"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SendgridOptions:
    """The type's own keys. ``webhook_public_key`` is the Event Webhook's verification key: with it receipts come."""

    api_key: Annotated[str, secret()]
    sender: Annotated[str, sender_address()]
    webhook_public_key: Annotated[tuple[str, ...], secrets(_is_public_key)] = ()
    base_url: Annotated[str, base_url()] = "https://api.sendgrid.com"
    ca_file: Annotated[str | None, pem_file()] = None


class SendgridProvider(BaseHttpProvider[SendgridOptions]):
    """SendGrid has no idempotency key. Our job id goes with the mail and comes back with each event."""

    options_class: ClassVar[type[SendgridOptions]] = SendgridOptions
    channels = frozenset({Channel.EMAIL})
    answers = ANSWERS

    def __init__(self, config: ProviderConfig[SendgridOptions], dependencies: ProviderDependencies) -> None:
        super().__init__(config, dependencies)
        self.expects_receipts = bool(self.options.webhook_public_key)
        self._sender = mailbox(self.options.sender)
        self._authorization = {"Authorization": f"Bearer {self.options.api_key}"}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = api_mail_of(message, self._sender, self.dependencies.clock.now())
        if mail.calendar is not None:
            raise unsupported("payload.calendar", "is an invitation")
        headers = written_headers(mail.headers or {})
        if any(name.lower().startswith("x-sg-") for name in headers):
            raise unsupported("payload.headers", "has a header of SendGrid's own (X-SG-…)")
        texts = (("text/plain", mail.text), ("text/html", mail.html))
        content: dict[str, Any] = {
            "personalizations": [
                {"to": [_person(mail.recipient)], "custom_args": {"wavecom_job_id": message.receipt_reference}}
            ],
            "from": _person(mail.sender),
            "subject": mail.subject,
            "content": [{"type": kind, "value": value} for kind, value in texts if value],
        }
        if mail.reply_to:
            content["reply_to_list"] = [_person(box) for box in mail.reply_to]
        if headers:
            content["headers"] = headers
        if mail.attachments:
            content["attachments"] = [
                {
                    "content": base64_content(each),
                    "type": each.content_type,
                    "filename": each.filename,
                    "disposition": "attachment" if each.content_id is None else "inline",
                    **({} if each.content_id is None else {"content_id": each.content_id}),
                }
                for each in mail.attachments
            ]
        options = self.options
        return Request(
            f"{options.base_url}/v3/mail/send",
            json_body(content),
            {"Content-Type": "application/json", **self._authorization},
            self.config.timeout_seconds,
            options.ca_file,
        )

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

        def get(path: str) -> AccountAnswer:
            url = self.options.base_url + path
            return client.call("GET", url, headers=self._authorization, ca_file=self.options.ca_file)

        scopes = get("/v3/scopes")
        credentials = credentials_finding(scopes)
        if not credentials.is_good:
            return [credentials]
        if "mail.send" not in fields_of(scopes).get("scopes", ()):
            return [AccountFinding(credentials.aspect, False, "accepted, but api_key has not the scope mail.send")]
        domains = get(f"/v3/whitelabel/domains?domain={quote(self._sender.domain)}")
        senders = get("/v3/verified_senders")
        remain = fields_of(get("/v3/user/credits")).get("remain")
        return [credentials, self._sender_finding(domains, senders), balance_finding(remain, "mails")]

    def _sender_finding(self, domains: AccountAnswer, senders: AccountAnswer) -> AccountFinding:
        known = domains.content if isinstance(domains.content, list) else []
        single = fields_of(senders).get("results", ())
        if any(each.get("valid") for each in known):
            return sender_finding(True, "its domain is authenticated")
        is_single = any(each.get("from_email") == self._sender.address and each.get("verified") for each in single)
        text = "verified" if is_single else "neither the address nor its domain is verified"
        return sender_finding(is_single, text, domains, senders)


def _person(box: Mailbox) -> dict[str, str]:
    return {"email": box.address, "name": box.name} if box.name else {"email": box.address}
