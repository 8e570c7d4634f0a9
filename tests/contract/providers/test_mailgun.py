"""``type = "mailgun"`` keeps the contract of every provider, and reads every answer of Mailgun as its table says."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from mailgun.builders import MailgunMessageBuilder
from mailgun.client import Client
from mailgun.ext.pydantic.models import SendMessageSchema
from pydantic import ValidationError
from werkzeug.formparser import parse_form_data

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow, setup_of
from tests.contract.provider_contract import HttpProviderContract, Way
from tests.mail_apis import EVERYTHING, mail, request_of
from tests.peers import HttpPeer, Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message
from wavecom.providers.transport import HttpTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED = b'{"id": "<20261122120000.1.ABC@mg.bank.example>", "message": "Queued. Thank you."}'


def said(message: str) -> bytes:
    return json.dumps({"message": message}).encode()


def account(status: int, body: bytes, reason: Reason, code: str | None = None) -> AnswerRow:
    return AnswerRow(status, body, Outcome.UNAVAILABLE, code, reason=reason, scope=Scope.PROVIDER)


class TestMailgunProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "mailgun"
        domain = "mg.bank.example"
        api_key = "$SECRET"
        sender = "Bank <bank@mg.bank.example>"
        base_url = "{base_url}"
    """
    accepted_body = ACCEPTED
    rows = (
        AnswerRow(200, ACCEPTED, Outcome.ACCEPTED),
        AnswerRow(
            400,
            said("Need at least one of 'text' or 'html' parameters specified"),
            Outcome.REJECTED,
            scope=Scope.MESSAGE,
        ),
        AnswerRow(
            400,
            said("'to' parameter is not a valid address. please check documentation"),
            Outcome.REJECTED,
            "mailgun_recipient",
            reason=Reason.RECIPIENT_INVALID,
            scope=Scope.RECIPIENT,
        ),
        account(
            400,
            said("'from' parameter is not a valid address. please check documentation"),
            Reason.SENDER,
            "mailgun_from",
        ),
        account(401, b"Forbidden", Reason.CREDENTIALS),
        account(402, said("Request Failed"), Reason.BALANCE),
        account(403, said("Domain mg.bank.example is not allowed to send: the account is disabled"), Reason.SENDER),
        account(404, said("Domain not found: mg.bank.example"), Reason.SENDER),
        AnswerRow(413, b"Request Entity Too Large", Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(422, said("no"), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, said("Too many requests"), Outcome.UNAVAILABLE),
        AnswerRow(500, said("Internal Server Error"), Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    )

    @pytest.mark.parametrize("status", [403, 404])
    def test_a_domain_that_may_not_send_is_every_messages_trouble(
        self, status: int, channel: Channel, any_transport: HttpTransport, way: Way
    ) -> None:
        payload = {"from": "ada@mg.bank.example", "subject": "S", "text": "T"}
        with HttpPeer(peers.reply(status, said("Domain mg.bank.example is not allowed to send"))) as peer:
            provider = self.provider_at(peer.url, channel, any_transport)
            result = way(provider, setup_of(provider, channel).message(payload=payload))

        assert (result.reason, result.scope, result.is_final_here) == (Reason.SENDER, Scope.PROVIDER, False)

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL

    def delivery_key(self, received: Received) -> str:
        return parse_qs(received.body.decode())["v:wavecom_job_id"][0]


# --- Mailgun's own library as a judge ---------------------------------------------------------------------------------

TABLE = """
type = "mailgun"
domain = "mg.bank.example"
api_key = "$SECRET"
sender = "Bank <bank@mg.bank.example>"
"""


def shape_of(url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str, dict[str, str], dict[str, bytes]]:
    """The path, who asks, and the fields and files of a form, as a server reads them."""
    environ = {
        "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": headers["content-type"],
        "REQUEST_METHOD": "POST",
    }
    _, fields, files = parse_form_data(environ)
    held = {}
    for name, file in files.items():
        with file.stream:
            held[name] = file.read()
    return urlsplit(url).path, headers["authorization"], fields.to_dict(), held


def ours(message: Message) -> tuple[str, str, dict[str, str], dict[str, bytes]]:
    request = request_of(TABLE, message)
    return shape_of(request.url, {name.lower(): value for name, value in request.headers.items()}, request.body)


def theirs(call: Callable[[Client], object]) -> tuple[str, str, dict[str, str], dict[str, bytes]]:
    """What Mailgun's library sends."""
    with HttpPeer(peers.reply(200, ACCEPTED)) as peer:
        base_url = "{0.scheme}://{0.netloc}".format(urlsplit(peer.url))
        with Client(auth=("api", "s3cret"), api_url=base_url) as client:
            call(client)
    [request] = peer.requests
    return shape_of(request.line.split()[1], request.headers, request.body)


def test_a_mail_of_text_is_sent_as_mailguns_library_sends_it() -> None:
    text = {key: value for key, value in EVERYTHING.items() if key not in {"attachments", "headers"}}
    path, authorization, fields, _ = ours(mail({**text, "headers": {"X-Campaign": "spring"}}))
    builder = (
        MailgunMessageBuilder(fields["from"])
        .add_recipient(fields["to"])
        .set_subject(fields["subject"])
        .set_text(fields["text"])
        .set_html(fields["html"])
        .add_custom_header("Reply-To", fields["h:Reply-To"])
        .add_custom_header("Message-Id", fields["h:Message-Id"])
        .add_custom_header("X-Campaign", "spring")
        .add_custom_variable("wavecom_job_id", fields["v:wavecom_job_id"])
    )
    data, _ = builder.build()
    # A header that the library adds of its own accord; Mailgun documents none.
    del data["h:X-Idempotency-Key"]

    sent = theirs(lambda client: client.messages.create(data=data, domain="mg.bank.example"))

    assert sent == (path, authorization, fields, {})


def test_a_mail_with_files_is_sent_as_mailguns_library_sends_one_that_is_made() -> None:
    path, authorization, fields, files = ours(mail(EVERYTHING))

    sent = theirs(
        lambda client: client.mimemessage.create(
            data=fields, files={"message": ("message", files["message"])}, domain="mg.bank.example"
        )
    )

    assert sent == (path, authorization, fields, files)


@pytest.mark.parametrize(
    "message",
    [mail(), mail({"subject": "S", "html": "<b>1</b>"}), mail({**EVERYTHING, "attachments": []})],
    ids=["plain", "html", "everything but files"],
)
def test_mailguns_schema_takes_the_fields_and_no_other(message: Message) -> None:
    _, _, fields, _ = ours(message)
    prefixed = {name: value for name, value in fields.items() if name[1:2] == ":"}
    named = {name: value for name, value in fields.items() if name not in prefixed}

    SendMessageSchema.model_validate({**named, "custom_params": prefixed})
    with pytest.raises(ValidationError, match="unheardOf"):
        SendMessageSchema.model_validate({**named, "unheardOf": "1", "custom_params": prefixed})
