"""``type = "postmark"``: e-mail by Postmark. https://postmarkapp.com/developer/api/email-api"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final
from urllib.parse import quote

from marshmallow import ValidationError

from wavecom.core.job import Outcome, ProviderResult, Reason
from wavecom.core.ports import Message
from wavecom.providers.account import AccountClient, AccountFinding
from wavecom.providers.account.findings import credentials_finding, fields_of, sender_finding
from wavecom.providers.api.base import without_empty
from wavecom.providers.api.mail import MailApiOptions, MailApiProvider, attachment_fields
from wavecom.providers.configuration.options import secret, secrets, text
from wavecom.providers.mail.headers import written_headers
from wavecom.providers.responses import AnswerMeaning, AnswerTable, json_at, json_field
from wavecom.providers.transport import Request, Response

_ACCOUNT = AnswerMeaning.account
_CREDENTIALS = _ACCOUNT(Reason.CREDENTIALS, "Postmark does not accept server_token")
_SENDER = _ACCOUNT(Reason.SENDER, "Postmark has no confirmed signature or domain for sender")
_CLOSED = _ACCOUNT(Reason.BALANCE, "the account may not send: see its credits and its status at Postmark")

#: https://postmarkapp.com/developer/api/overview#error-codes
ANSWERS: Final = AnswerTable(
    {
        "2xx": Outcome.ACCEPTED,
        401: _CREDENTIALS,
        403: _ACCOUNT(Reason.CREDENTIALS, "a firewall before Postmark's API refuses the request: ask its support"),
        404: _ACCOUNT(Reason.CREDENTIALS, "Postmark has nothing at this address: check base_url"),
        413: AnswerMeaning.elsewhere(),  # 10 MB
        415: _ACCOUNT(Reason.CREDENTIALS, "what answers takes no JSON: check base_url"),
        422: Outcome.REJECTED,
        429: Outcome.UNAVAILABLE,
        500: Outcome.UNAVAILABLE,
        503: Outcome.UNAVAILABLE,
    },
    {
        "10": _CREDENTIALS,
        "100": Outcome.UNAVAILABLE,  # maintenance
        "300": Outcome.REJECTED,
        "400": _SENDER,
        "401": _SENDER,
        "405": _CLOSED,
        "406": AnswerMeaning.recipient(Reason.RECIPIENT_INVALID),  # inactive: bounced before, or complained
        "411": AnswerMeaning.elsewhere(),  # a type of file that Postmark sends to nobody
        "412": _ACCOUNT(
            Reason.BALANCE, "the account waits for Postmark's approval, until when it sends to itself only"
        ),
        "413": _CLOSED,
        "1235": _ACCOUNT(
            Reason.SENDER, "Postmark knows no such stream: check message_stream", holds_for_any_sender=True
        ),
    },
)


_FILE: Final = {"filename": "Name", "content_type": "ContentType", "content": "Content", "content_id": "ContentID"}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PostmarkOptions(MailApiOptions):
    """The type's own keys. ``webhook_user`` and ``webhook_password`` stand in the webhook's address: so receipts come.

    ``server_token = "POSTMARK_API_TEST"`` checks each mail and sends none.
    """

    server_token: Annotated[str, secret()]
    message_stream: Annotated[str, text()] = "outbound"
    webhook_user: Annotated[str | None, secret()] = None
    webhook_password: Annotated[tuple[str, ...], secrets()] = ()

    def __post_init__(self) -> None:
        if (self.webhook_user is None) is bool(self.webhook_password):
            raise ValidationError("webhook_user and webhook_password go together", "webhook_user")


class PostmarkProvider(MailApiProvider[PostmarkOptions]):
    """Postmark has no idempotency key. Our job id goes with the mail and comes back with each event.

    Only a body with ``ErrorCode`` 0 is a success.
    """

    options_class: ClassVar[type[PostmarkOptions]] = PostmarkOptions
    answers = ANSWERS
    own_base_url = "https://api.postmarkapp.com"
    takes_invitations = False
    body_decides = True

    def authorization(self) -> dict[str, str]:
        """See ``ApiProvider.authorization``."""
        return {"Accept": "application/json", "X-Postmark-Server-Token": self.options.server_token}

    def request(self, message: Message) -> Request:
        """See ``BaseHttpProvider.request``."""
        mail = self.mail_of(message)
        content = {
            "From": str(mail.sender),
            "To": str(mail.recipient),
            "Subject": mail.subject,
            "TextBody": mail.text,
            "HtmlBody": mail.html,
            "ReplyTo": ", ".join(map(str, mail.reply_to)),
            "Headers": [{"Name": name, "Value": value} for name, value in written_headers(mail.headers or {}).items()],
            "Attachments": [attachment_fields(each, _FILE, id_prefix="cid:") for each in mail.attachments],
            "MessageStream": self.options.message_stream,
            "Metadata": {"wavecom_job_id": message.receipt_reference},
        }
        return self.json_request("/email", without_empty(content))

    def answer_code(self, response: Response) -> str | None:
        """Its ``ErrorCode``."""
        return json_field(response, "ErrorCode")

    def interpret(self, response: Response, message: Message) -> ProviderResult:
        """See ``BaseHttpProvider.interpret``."""
        result = super().interpret(response, message)
        if result.outcome is Outcome.ACCEPTED and json_at(response, "ErrorCode") != 0:
            return ProviderResult(Outcome.UNKNOWN, result.code, "a success without ErrorCode 0")
        return result

    def message_id(self, response: Response) -> str | None:
        """Postmark's name for the mail."""
        return json_field(response, "MessageID")

    def check_account(self, client: AccountClient) -> Sequence[AccountFinding]:
        """See ``BaseProvider.check_account``. Signatures and credits are told to account tokens only."""
        credentials = credentials_finding(self.ask(client, "/server"))
        if not credentials.is_good:
            return [credentials]
        stream = self.ask(client, f"/message-streams/{quote(self.options.message_stream, safe='')}")
        if fields_of(stream).get("ID") != self.options.message_stream:
            return [credentials, sender_finding(False, "Postmark knows no such stream: check message_stream", stream)]
        return [credentials, sender_finding(None, "the stream is there; a server token can't ask about signatures")]
