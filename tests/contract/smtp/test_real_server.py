"""The smtp provider against a real mail server (aiosmtpd)."""

from __future__ import annotations

import base64
import os
import resource
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.parser import BytesParser
from typing import Any

import pytest

from tests.contract.smtp.mailbox import Mailbox, authenticate
from tests.contract.smtp.mails import BANK, REJECTED, UNAVAILABLE, Make, message
from tests.peers import SmtpPeer
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.job import Outcome, ProviderResult, Scope
from wavecom.providers.mail import mime

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def test_a_mail_arrives_whole(start: Callable[..., tuple[Mailbox, int]], make: Make) -> None:
    mailbox, port = start(enable_SMTPUTF8=True)
    file = bytes(range(256)) * 20
    payload = {
        "subject": "Ihre Quittung — إيصالك 🧾",
        "text": "Zeile 1\n.\n..\nFrom here\nBetrag: 12,50 €",
        "html": "<p>12,50 €</p>\n",
        "from": {"email": "quittung@bank.example", "name": "Bank & Söhne"},
        "replyTo": "hilfe@bank.example",
        "headers": {"X-Campaign": "q4"},
        "attachments": [
            {"filename": "größe.pdf", "contentType": "application/pdf", "content": base64.b64encode(file).decode()}
        ],
    }

    answer = make(port).send(message(payload=payload, delivery_key="job-1:2"))

    assert answer == ProviderResult(Outcome.ACCEPTED, "smtp_250", message_id="<job-1.2@bank.example>")
    [envelope] = mailbox.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("quittung@bank.example", ["ada@example.org"])
    mail = mailbox.mail()
    assert mail["Subject"] == payload["subject"]
    assert str(mail["From"]) == "Bank & Söhne <quittung@bank.example>"
    assert str(mail["To"]) == "Ada Lovelace <ada@example.org>"
    assert mail["Reply-To"] == "hilfe@bank.example"
    assert mail["X-Campaign"] == "q4"
    assert mail["Message-ID"] == "<job-1.2@bank.example>"
    assert mail["Date"] == "Sun, 22 Nov 2026 12:00:00 +0000"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    assert plain.get_content().replace("\r\n", "\n") == payload["text"]
    assert html.get_content().replace("\r\n", "\n") == payload["html"]
    [attachment] = mail.iter_attachments()
    assert attachment.get_filename() == "größe.pdf"
    assert attachment.get_content() == file


def test_a_mail_without_a_sender_comes_from_the_configured_one(
    start: Callable[..., tuple[Mailbox, int]], make: Make
) -> None:
    mailbox, port = start()

    answer = make(port, sender="Bänk <noreply@bank.example>").send(message())

    assert answer.message_id == "<job-1@bank.example>"
    assert mailbox.envelopes[0].mail_from == "noreply@bank.example"
    assert str(mailbox.mail()["From"]) == "Bänk <noreply@bank.example>"


def test_starttls_and_login(
    start: Callable[..., tuple[Mailbox, int]], make: Make, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    mailbox, port = start(tls_context=server_tls, require_starttls=True, auth_required=True, authenticator=authenticate)

    answer = make(port, tls="starttls", ca_file=ca_file, username="wave", password="s3cret").send(message())

    assert answer.outcome is Outcome.ACCEPTED
    assert mailbox.sessions[0].ssl is not None
    assert mailbox.sessions[0].authenticated


def test_implicit_tls(
    start: Callable[..., tuple[Mailbox, int]], make: Make, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    mailbox, port = start(ssl_context=server_tls)

    provider = make(port, tls="implicit", ca_file=ca_file)

    assert {provider.send(message(number)).outcome for number in range(3)} == {Outcome.ACCEPTED}
    assert len({session.peer for session in mailbox.sessions}) == 1


def test_a_wrong_password_is_the_providers_trouble_not_the_mails(
    start: Callable[..., tuple[Mailbox, int]], make: Make, server_tls: ssl.SSLContext, ca_file: str
) -> None:
    _, port = start(tls_context=server_tls, require_starttls=True, auth_required=True, authenticator=authenticate)

    wrong = make(port, tls="starttls", ca_file=ca_file, username="wave", password="wr0ng").send(message())
    none = make(port, tls="starttls", ca_file=ca_file).send(message())

    assert (wrong.outcome, wrong.code) == (Outcome.UNAVAILABLE, "smtp_535")
    assert (none.outcome, none.code) == (Outcome.UNAVAILABLE, "smtp_530")
    assert "wr0ng" not in wrong.message


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_that_nobody_vouches_for_is_refused(
    start: Callable[..., tuple[Mailbox, int]], make: Make, server_tls: ssl.SSLContext, tls: str
) -> None:
    options = {"ssl_context": server_tls} if tls == "implicit" else {"tls_context": server_tls}
    mailbox, port = start(**options)

    answer = make(port, tls=tls).send(message())

    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "tls")
    assert mailbox.envelopes == []


def test_a_server_without_starttls_gets_no_mail_in_the_clear(
    start: Callable[..., tuple[Mailbox, int]], make: Make
) -> None:
    mailbox, port = start()

    answer = make(port, tls="starttls").send(message())

    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "smtp_unsupported")
    assert mailbox.envelopes == []


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_without_descriptors_no_server_is_blamed(make: Make, host: str) -> None:
    provider = make(25, host=host)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, soft), hard))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(OSError, match="Too many open files") as caught:
            provider.send(message())
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert is_exhaustion(caught.value)


def test_memory_that_runs_out_while_the_server_has_the_mail_leaves_an_unknown_outcome(
    start: Callable[..., tuple[Mailbox, int]], make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox, port = start()
    read_reply = smtplib.SMTP.getreply

    def run_out(conversation: Any) -> Any:
        reply = read_reply(conversation)
        if conversation.has_sent_end:
            raise MemoryError
        return reply

    monkeypatch.setattr(smtplib.SMTP, "getreply", run_out)

    answer = make(port).send(message())

    assert (len(mailbox.envelopes), answer.outcome) == (1, Outcome.UNKNOWN)


def test_an_unknown_recipient_is_rejected_and_the_connection_goes_on(
    start: Callable[..., tuple[Mailbox, int]], make: Make
) -> None:
    mailbox, port = start()
    provider = make(port)

    answers = [provider.send(message(to=f"{name}@example.org")) for name in ("nobody", "busy", "ada")]

    assert [answer.outcome for answer in answers] == [Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.ACCEPTED]
    assert answers[0].message == "the recipient was refused with 550 5.1.1"
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["ada@example.org"]]


def test_a_mail_over_the_servers_limit_is_for_another_server(
    start: Callable[..., tuple[Mailbox, int]], make: Make
) -> None:
    mailbox, port = start(data_size_limit=1000)
    provider = make(port)

    large = provider.send(message(payload={"subject": "x", "text": "y" * 5000}))
    small = provider.send(message(payload={"subject": "x", "text": "y"}))

    assert (large.outcome, large.code, large.scope) == (UNAVAILABLE, "too_large_for_server", Scope.MESSAGE)
    assert large.is_final_here
    assert large.message.endswith("the server takes 1000")
    assert small.outcome is Outcome.ACCEPTED
    assert len({session.peer for session in mailbox.sessions}) == 1, "the connection is as good as before"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"to": "jürgen@bücher.example"}, "to.email"),
        ({"payload": BANK | {"replyTo": "grüße@bank.example"}}, "payload.replyTo"),
        ({"payload": BANK | {"replyTo": ["a@bank.example", {"email": "grüße@bank.example"}]}}, "payload.replyTo"),
        ({"payload": BANK | {"from": "grüße@bank.example"}}, "payload.from"),
        ({"to": "jürgen@b.example", "payload": BANK | {"from": "ü@b.example"}}, "to.email and payload.from"),
    ],
)
def test_letters_beyond_ascii_in_an_address_need_a_server_that_takes_them(
    start: Callable[..., tuple[Mailbox, int]], make: Make, changes: dict[str, Any], place: str
) -> None:
    able, able_port = start(enable_SMTPUTF8=True)
    unable, unable_port = start(enable_SMTPUTF8=False)
    mail = message(**changes)

    accepted = make(able_port).send(mail)
    refused = make(unable_port).send(mail)

    assert accepted.outcome is Outcome.ACCEPTED
    assert {"SMTPUTF8", "BODY=8BITMIME"} <= set(able.envelopes[0].mail_options)
    assert (refused.outcome, refused.code, refused.scope) == (UNAVAILABLE, "smtputf8_missing", Scope.MESSAGE)
    assert refused.is_final_here
    assert refused.message.endswith(f"(SMTPUTF8), as in {place}")
    assert unable.envelopes == []


def test_a_domain_beyond_ascii_needs_no_such_server(start: Callable[..., tuple[Mailbox, int]], make: Make) -> None:
    mailbox, port = start(enable_SMTPUTF8=False)

    assert make(port).send(message(to="ada@bücher.example")).outcome is Outcome.ACCEPTED
    assert mailbox.envelopes[0].rcpt_tos == ["ada@xn--bcher-kva.example"]


def envelope_of(address: str) -> str:
    return mime.Mailbox.parse(address).address


@pytest.mark.parametrize(
    ("address", "on_the_wire"),
    [
        ("amina@corp.local", "amina@corp.local"),
        ("root@mailhost", "root@mailhost"),
        ("a_b@my_host.corp", "a_b@my_host.corp"),
        ("first..last@mobile.example", '"first..last"@mobile.example'),
        ("name.@mobile.example", '"name."@mobile.example'),
        (".name@mobile.example", '".name"@mobile.example'),
    ],
)
def test_addresses_that_only_a_relay_knows_are_written_as_the_protocol_wants_them(
    start: Callable[..., tuple[Mailbox, int]], make: Make, address: str, on_the_wire: str
) -> None:
    mailbox, port = start()

    assert make(port).send(message(to=address)).outcome is Outcome.ACCEPTED
    assert envelope_of(address) == on_the_wire
    # The server reads what was quoted as the mailbox that is meant.
    assert mailbox.envelopes[0].rcpt_tos == [address]
    assert mailbox.mail()["To"].addresses[0].username == address.rpartition("@")[0]


def test_a_server_that_promised_to_take_such_letters_and_does_not_is_one_that_can_not(make: Make) -> None:
    with SmtpPeer(RCPT=b"553 5.6.7 not here") as peer:
        for_jürgen = make(peer.port).send(message(to="jürgen@example.org"))
        for_ada = make(peer.port).send(message())

    assert (for_jürgen.outcome, for_jürgen.is_final_here) == (UNAVAILABLE, True)
    assert (for_ada.outcome, for_ada.is_final_here) == (REJECTED, False)


def test_sixteen_threads_send_all_their_mails_once(start: Callable[..., tuple[Mailbox, int]], make: Make) -> None:
    mailbox, port = start()
    provider = make(port)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: provider.send(message(number)), range(160)))

    assert {answer.outcome for answer in answers} == {Outcome.ACCEPTED}
    contents = [envelope.original_content for envelope in mailbox.envelopes]
    ids = [BytesParser().parsebytes(content)["Message-ID"] for content in contents if isinstance(content, bytes)]
    assert sorted(ids) == sorted(answer.message_id or "" for answer in answers)
    assert len({session.peer for session in mailbox.sessions}) <= 16
