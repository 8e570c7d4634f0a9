"""The smtp provider against a real mail server (aiosmtpd) and against one that breaks off at every step."""

from __future__ import annotations

import base64
import os
import resource
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests import peers
from tests.peers import SmtpPeer
from wavecom.core.exhaustion import is_exhaustion
from wavecom.core.job import JobId, Outcome, ProviderResult, Scope
from wavecom.core.lanes import Channel
from wavecom.core.ports import Message, MissingFileError
from wavecom.errors import StoreError
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.mail import mime
from wavecom.providers.smtp import SmtpOptions, SmtpProvider

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def monotonic(self) -> float:
        raise AssertionError("not asked for")


def unused(*_args: object, **_named: object) -> Any:
    raise AssertionError("an smtp provider has no use for this")


class Nothing:
    send = append = close = unused


Make = Callable[..., SmtpProvider]


@pytest.fixture
def make() -> Iterator[Make]:
    """A provider; closed after the test."""
    made: list[SmtpProvider] = []

    def make_provider(port: int, timeout_seconds: float = 20, **options: Any) -> SmtpProvider:
        fields = {"host": "127.0.0.1", "port": port, "helo_name": "wavecom.test"} | options
        config = ProviderConfig(
            name="mail", type="smtp", options=SmtpOptions(**fields), timeout_seconds=timeout_seconds
        )
        dependencies = ProviderDependencies(
            transport=Nothing(), outbox=Nothing(), clock=Clock(), sleep=unused, chance=unused
        )
        made.append(SmtpProvider(config, dependencies))
        return made[-1]

    yield make_provider
    for provider in made:
        provider.close()


def message(number: int = 1, to: str = "ada@example.org", **changes: Any) -> Message:
    fields: dict[str, Any] = {
        "job_id": JobId(f"job-{number}"),
        "delivery_key": f"job-{number}",
        "type": Channel.EMAIL,
        "to": {"email": to, "name": "Ada Lovelace"},
        "payload": {"subject": "Grüße", "text": "Your code is 123456.\n.\n", "html": "<p>Hi</p>"},
        "metadata": {},
        "attempt": 1,
    }
    return Message(**(fields | changes))


# --- A real server ------------------------------------------------------------------------------------------------


class Mailbox:
    """aiosmtpd's handler: keeps what it accepts; refuses by the recipient's name."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.sessions: list[Session] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        replies = {"nobody": "550 5.1.1 nobody@example.org: no such user", "busy": "451 4.3.0 try again later"}
        reply = replies.get(address.partition("@")[0])
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.envelopes.append(envelope)
        self.sessions.append(session)
        return "250 2.0.0 OK"

    def mail(self) -> EmailMessage:
        content = self.envelopes[-1].original_content
        assert isinstance(content, bytes)
        parsed = BytesParser(policy=policy.default).parsebytes(content)
        assert isinstance(parsed, EmailMessage)
        return parsed


def authenticate(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
    is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"wave", b"s3cret")
    return AuthResult(success=is_right, handled=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


class ImplicitTlsController(Controller):
    """aiosmtpd wakes its server by a first connection, and can't make a client of a context for servers."""

    def _trigger_server(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", self.port)) as raw, context.wrap_socket(raw) as sock:
            sock.recv(1024)


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Mailbox, int]]]:
    running: list[Controller] = []

    def start_server(**options: Any) -> tuple[Mailbox, int]:
        mailbox = Mailbox()
        kind = ImplicitTlsController if "ssl_context" in options else Controller
        controller = kind(mailbox, hostname="127.0.0.1", port=peers.free_port(), **options)
        controller.start()
        running.append(controller)
        return mailbox, controller.port

    yield start_server
    for controller in running:
        controller.stop()


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


BANK: dict[str, Any] = {"subject": "x", "text": "y"}


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


# --- A server that breaks off -------------------------------------------------------------------------------------


def drip(text: bytes) -> peers.Behaviour:
    return peers.drip(text * 1000)


FAILURES = [peers.hang_up, peers.reset, peers.be_silent, drip(b"2"), drip(b"250-x\r\n")]
FAILURE_NAMES = ["closed", "reset", "silent", "dripping", "dripping lines"]


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("failure", FAILURES, ids=FAILURE_NAMES)
def test_until_the_mail_is_sent_a_failure_means_that_it_was_not_taken(
    make: Make, step: str, failure: peers.Behaviour
) -> None:
    with SmtpPeer(**{step: failure}) as peer:
        answer = make(peer.port, timeout_seconds=0.4).send(message())

        assert peer.mails == []
    assert answer.outcome is Outcome.UNAVAILABLE
    assert answer.code in {"timeout", "reset"}


@pytest.mark.parametrize("failure", FAILURES, ids=FAILURE_NAMES)
def test_without_a_reply_to_the_sent_mail_nobody_can_tell(make: Make, failure: peers.Behaviour) -> None:
    with SmtpPeer(content=failure) as peer:
        answer = make(peer.port, final_reply_seconds=1.0).send(message())

        assert peer.commands.count("DATA") == 1
    assert answer.outcome is Outcome.UNKNOWN
    assert answer.code in {"timeout", "reset"}


def test_a_server_that_stops_reading_in_the_middle_of_a_mail_has_not_taken_it(make: Make) -> None:
    def stop_reading(connection: peers.PeerConnection) -> bool:
        connection.send(b"354 go on\r\n")
        connection.stopping.wait()
        return False

    big = {
        "subject": "x",
        "text": "z",
        "attachments": [
            {"filename": "a", "contentType": "a/b", "content": base64.b64encode(bytes(12_000_000)).decode()}
        ],
    }
    with SmtpPeer(DATA=stop_reading, EHLO=b"250 peer.test") as peer:
        answer = make(peer.port, data_seconds=1.0).send(message(payload=big))

    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "timeout")


REJECTED, UNAVAILABLE, UNKNOWN = Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("step", "reply", "outcome"),
    [
        ("greeting", b"554 5.3.2 no service here", UNAVAILABLE),
        ("greeting", b"421 too many connections", UNAVAILABLE),
        ("greeting", b"nonsense", UNAVAILABLE),
        ("MAIL", b"451 4.7.1 greylisted", UNAVAILABLE),
        ("MAIL", b"421 4.3.0 closing", UNAVAILABLE),
        ("MAIL", b"454 Throttling failure: Maximum sending rate exceeded", UNAVAILABLE),
        ("MAIL", b"530 5.7.0 Must issue a STARTTLS command first", UNAVAILABLE),
        ("MAIL", b"553 5.7.1 sender not owned by user", UNAVAILABLE),
        ("MAIL", b"552 5.3.4 too big", UNAVAILABLE),
        ("MAIL", b"555 5.5.4 unknown parameter", UNAVAILABLE),
        ("MAIL", b"502 5.5.1 what", UNAVAILABLE),
        ("RCPT", b"552 5.2.2 mailbox full", REJECTED),
        ("RCPT", b"552 no room", REJECTED),
        ("RCPT", b"550 5.1.1 unknown", REJECTED),
        ("RCPT", b"550-5.7.1 blocked\r\n550 5.7.1 by policy", REJECTED),
        ("RCPT", b"553 5.1.3 bad address", REJECTED),
        ("RCPT", b"554 5.7.1 relay access denied", REJECTED),
        ("RCPT", b"450 4.2.0 greylisted", UNAVAILABLE),
        ("RCPT", b"452 4.5.3 too many recipients", UNAVAILABLE),
        ("RCPT", b"530 5.7.0 authentication required", UNAVAILABLE),
        ("RCPT", b"535 5.7.8 authentication needed", UNAVAILABLE),
        ("RCPT", b"nonsense", UNAVAILABLE),
        ("DATA", b"451 4.3.0 not now", UNAVAILABLE),
        ("DATA", b"554 5.5.1 no valid recipients", REJECTED),
        ("DATA", b"250 surprise", UNAVAILABLE),
        ("content", b"250 2.0.0 queued", Outcome.ACCEPTED),
        ("content", b"451 4.3.0 not now", UNAVAILABLE),
        ("content", b"421 4.3.0 closing", UNAVAILABLE),
        ("content", b"552 5.2.3 too big for this mailbox", REJECTED),
        ("content", b"552 5.3.4 too big for this server", UNAVAILABLE),
        ("content", b"554 5.7.1 looks like spam", REJECTED),
        ("content", b"354 what", UNKNOWN),
        ("content", b"nonsense", UNKNOWN),
    ],
)
def test_a_reply_has_a_meaning(make: Make, step: str, reply: bytes, outcome: Outcome) -> None:
    with SmtpPeer(**{step: reply}) as peer:
        answer = make(peer.port).send(message())

    assert answer.outcome is outcome
    assert answer.code == f"smtp_{reply[:3].decode() if reply[:3].isdigit() else -1}"


@pytest.mark.parametrize(
    ("step", "reply", "scope"),
    [
        ("greeting", b"421 too many connections", Scope.PROVIDER),
        ("MAIL", b"530 5.7.0 Must issue a STARTTLS command first", Scope.PROVIDER),
        ("MAIL", b"451 4.3.0 not now", Scope.PROVIDER),
        ("MAIL", b"454 Throttling failure: Maximum sending rate exceeded", Scope.PROVIDER),
        ("MAIL", b"421 4.3.0 closing", None),
        ("RCPT", b"451 4.7.1 greylisted", Scope.DESTINATION),
        ("RCPT", b"450 4.2.0 greylisted", Scope.DESTINATION),
        ("RCPT", b"451 4.3.0 not now", Scope.DESTINATION),
        ("RCPT", b"452 4.2.2 mailbox full", Scope.RECIPIENT),
        ("RCPT", b"550 5.1.1 unknown", Scope.RECIPIENT),
        ("RCPT", b"421 4.3.0 closing", None),
        ("RCPT", b"535 5.7.8 authentication needed", Scope.PROVIDER),
        ("DATA", b"451 4.3.0 not now", None),
        ("content", b"451 4.7.1 greylisted", Scope.DESTINATION),
        ("content", b"452 4.3.1 no room", None),
        ("content", b"454 Throttling failure: Daily message quota exceeded", Scope.PROVIDER),
        ("content", b"554 5.7.1 looks like spam", Scope.MESSAGE),
        ("content", b"552 5.3.4 too big", Scope.MESSAGE),
    ],
)
def test_a_reply_says_whom_it_is_about(make: Make, step: str, reply: bytes, scope: Scope | None) -> None:
    with SmtpPeer(**{step: reply}) as peer:
        answer = make(peer.port).send(message())

    assert answer.scope is scope


def test_nobody_there_is_about_everybody_and_silence_says_nothing(make: Make) -> None:
    with SmtpPeer(MAIL=peers.be_silent) as peer:
        silence = make(peer.port, timeout_seconds=0.3).send(message())

    assert make(peers.free_port()).send(message()).scope is Scope.PROVIDER
    assert (silence.code, silence.scope) == ("timeout", None)


def test_a_server_that_wants_no_greeting_of_ours_is_unavailable(make: Make) -> None:
    with SmtpPeer(EHLO=b"550 not you", HELO=b"550 not you") as peer:
        answer = make(peer.port).send(message())

    assert (answer.outcome, answer.code) == (UNAVAILABLE, "smtp_550")


def test_an_old_server_that_knows_only_helo_will_do(make: Make) -> None:
    with SmtpPeer(EHLO=b"502 what") as peer:
        assert make(peer.port).send(message()).outcome is Outcome.ACCEPTED


def test_a_refused_sender_that_the_message_chose_is_rejected(make: Make) -> None:
    payload = {"subject": "x", "text": "y", "from": "eve@elsewhere.example"}
    with SmtpPeer(MAIL=b"553 5.7.1 sender not owned by user") as peer:
        answer = make(peer.port).send(message(payload=payload))

    assert (answer.outcome, answer.message) == (Outcome.REJECTED, "the sender was refused with 553 5.7.1")


def test_an_answer_tells_nothing_of_the_recipient(make: Make) -> None:
    with SmtpPeer(RCPT=b"550 5.1.1 <ada@example.org> Ada Lovelace is unknown") as peer:
        answer = make(peer.port).send(message())

    assert answer.message == "the recipient was refused with 550 5.1.1"


# --- A server that takes its time ---------------------------------------------------------------------------------


def takes_its_time(reply: bytes, goes_on: threading.Event) -> peers.Behaviour:
    def behave(connection: peers.PeerConnection) -> bool:
        assert goes_on.wait(30)
        connection.is_reading_mail = reply.startswith(b"354")
        connection.send(reply + b"\r\n")
        return True

    return behave


def test_who_looks_through_the_mail_before_it_answers_gets_it_once(make: Make) -> None:
    """Ten times longer than any other step may take: only the server's word says what became of the mail."""
    is_done = threading.Event()
    with SmtpPeer(content=takes_its_time(b"250 2.0.0 clean", is_done)) as peer:
        provider = make(peer.port, timeout_seconds=0.1)
        threading.Timer(1.0, is_done.set).start()

        answer = provider.send(message())

        assert peer.commands.count("DATA") == 1
    assert answer.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA"])
def test_each_step_has_its_own_time(make: Make, step: str) -> None:
    goes_on = threading.Event()
    with SmtpPeer(**{step: takes_its_time(SmtpPeer.WELL[step], goes_on)}) as peer:
        provider = make(peer.port, timeout_seconds=20, data_seconds=0.5, final_reply_seconds=0.5)
        threading.Timer(1.0, goes_on.set).start()

        assert provider.send(message()).outcome is Outcome.ACCEPTED


def test_a_connection_that_fell_silent_is_waited_for_once(make: Make) -> None:
    with SmtpPeer(MAIL=[SmtpPeer.WELL["MAIL"], peers.be_silent]) as peer:
        provider = make(peer.port, timeout_seconds=0.5)
        assert provider.send(message(1)).outcome is Outcome.ACCEPTED

        answer = provider.send(message(2))

        assert peer.connections == 1
    assert (answer.outcome, answer.code) == (UNAVAILABLE, "timeout")


# --- Attachments that are stored apart ----------------------------------------------------------------------------


class Shelf:
    """Files by name; notes what is asked of it."""

    def __init__(self, **held: bytes) -> None:
        self.held = held
        self.events: list[str] = []
        self.error: Exception | None = None

    def read(self, name: str) -> bytes:
        self.events.append(f"read {name}")
        if self.error is not None and name == "second":
            raise self.error
        return self.held[name]

    def handed_over(self) -> None:
        self.events.append("handed over")


def with_files(shelf: Shelf, **changes: Any) -> Message:
    attachments = [
        {"filename": f"{name}.bin", "contentType": "application/octet-stream", "blob": name, "size": len(held)}
        for name, held in shelf.held.items()
    ]
    return message(payload=BANK | {"attachments": attachments}, files=shelf, **changes)


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 57 * 1024, 57 * 1024 + 1, 300_000])
def test_files_are_read_when_they_are_sent_and_let_go_before_the_server_answers(
    start: Callable[..., tuple[Mailbox, int]], make: Make, size: int
) -> None:
    shelf = Shelf(first=bytes(range(256)) * (size // 256) + b"x" * (size % 256), second=b".\r\n.\r\n")
    mailbox, port = start(data_size_limit=2**20)

    answer = make(port).send(with_files(shelf))

    assert answer.outcome is Outcome.ACCEPTED
    assert [part.get_content() for part in mailbox.mail().iter_attachments()] == list(shelf.held.values())
    assert shelf.events == ["read first", "read second", "handed over"]
    [size_told] = [int(each[5:]) for each in mailbox.envelopes[0].mail_options if each.startswith("SIZE=")]
    assert isinstance(mailbox.envelopes[0].original_content, bytes)
    assert size_told == len(mailbox.envelopes[0].original_content)


def test_a_refused_recipient_costs_no_reading(make: Make) -> None:
    shelf = Shelf(first=b"x" * 100)
    with SmtpPeer(RCPT=b"550 5.1.1 unknown") as peer:
        make(peer.port).send(with_files(shelf))

    assert shelf.events == []


@pytest.mark.parametrize("error", [StoreError("away"), MissingFileError("second")])
def test_a_file_that_can_not_be_read_ends_the_mail_unsent(make: Make, error: Exception) -> None:
    shelf = Shelf(first=b"x" * 100_000, second=b"y")
    shelf.error = error
    with SmtpPeer() as peer:
        provider = make(peer.port)
        with pytest.raises(type(error)):
            provider.send(with_files(shelf))
        shelf.error = None

        assert peer.closed_one.wait(10)
        assert peer.mails == []
        assert provider.send(with_files(shelf)).outcome is Outcome.ACCEPTED
        assert (peer.connections, len(peer.mails)) == (2, 1)


# --- Kept connections ---------------------------------------------------------------------------------------------


def test_mails_follow_one_another_on_one_connection(make: Make) -> None:
    with SmtpPeer() as peer:
        provider = make(peer.port)
        outcomes = {provider.send(message(number)).outcome for number in range(5)}

        assert (peer.connections, len(peer.mails)) == (1, 5)
        assert peer.commands.count("EHLO wavecom.test") == 1
    assert outcomes == {Outcome.ACCEPTED}


def test_a_connection_is_left_after_a_hundred_mails(make: Make) -> None:
    with SmtpPeer() as peer:
        provider = make(peer.port)
        for number in range(101):
            provider.send(message(number))

        assert (peer.connections, len(peer.mails)) == (2, 101)


def close_after_content(connection: peers.PeerConnection) -> bool:
    connection.send(b"250 ok\r\n")
    return False


def timeout_after_content(connection: peers.PeerConnection) -> bool:
    connection.send(b"250 ok\r\n421 4.4.2 idle for too long\r\n")
    return False


@pytest.mark.parametrize("ending", [close_after_content, timeout_after_content])
def test_a_kept_connection_that_the_server_has_closed_is_replaced_unnoticed(
    make: Make, ending: peers.Behaviour
) -> None:
    with SmtpPeer(content=ending) as peer:
        provider = make(peer.port)
        for number in range(3):
            assert provider.send(message(number)).outcome is Outcome.ACCEPTED
            assert peer.closed_one.wait(10)
            peer.closed_one.clear()

        assert peer.connections == 3


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("ending", [peers.hang_up, peers.reset, b"421 4.3.2 shutting down"], ids=["end", "rst", "421"])
def test_a_kept_connection_that_ends_before_the_mail_is_sent_is_replaced_unnoticed(
    make: Make, step: str, ending: peers.Reply
) -> None:
    with SmtpPeer(**{step: [SmtpPeer.WELL[step], ending, SmtpPeer.WELL[step]]}) as peer:
        provider = make(peer.port)
        outcomes = [provider.send(message(number)).outcome for number in range(2)]

        assert (peer.connections, len(peer.mails)) == (2, 2)
    assert outcomes == [Outcome.ACCEPTED, Outcome.ACCEPTED]


def test_a_kept_connection_that_ends_with_the_mail_does_not_send_it_again(make: Make) -> None:
    with SmtpPeer(content=[b"250 ok", peers.hang_up, b"250 ok"]) as peer:
        provider = make(peer.port)
        outcomes = [provider.send(message(number)).outcome for number in range(3)]

        assert peer.commands.count("DATA") == 3
    assert outcomes == [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.ACCEPTED]


def test_after_close_connections_are_left_and_mails_are_still_sent(make: Make) -> None:
    with SmtpPeer() as peer:
        provider = make(peer.port)
        provider.send(message(1))
        provider.close()
        provider.close()

        assert provider.send(message(2)).outcome is Outcome.ACCEPTED
        assert peer.connections == 2
    assert peer.commands[-1] == "QUIT"


# --- Nobody there -------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_unavailable(make: Make) -> None:
    answer = make(peers.free_port()).send(message())

    assert (answer.outcome, answer.code) == (Outcome.UNAVAILABLE, "connect")


def test_a_name_that_does_not_exist_is_unavailable(make: Make) -> None:
    answer = make(25, host="no-such-host.invalid", tls="none").send(message())

    assert answer.outcome is Outcome.UNAVAILABLE
    assert answer.code in {"dns", "timeout"}  # a machine without a name server may wait for one


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "not an address"},
        {"to": "ada@example.org\r\nRCPT TO:<eve@example.org>"},
        {"payload": {"subject": "a\r\nBcc: eve@example.org", "text": "x"}},
        {"payload": {"subject": "\ud800", "text": "x"}},
        {"payload": {"subject": "a", "text": "\ud800"}},
        {"payload": {"subject": "a", "text": "x", "headers": {"Bcc": "eve@example.org"}}},
    ],
)
def test_what_can_not_be_a_mail_is_rejected_unsent(make: Make, changes: dict[str, Any]) -> None:
    with SmtpPeer() as peer:
        answer = make(peer.port).send(message(**changes))

        assert peer.connections == 0
    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "unsendable")
    assert "eve" not in answer.message
