"""The smtp provider against a real mail server (aiosmtpd) and against one that breaks off at every step."""

from __future__ import annotations

import base64
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from wavecom.core.job import Answer, Channel, JobId, Outcome
from wavecom.core.ports import Message
from wavecom.providers.base import Surroundings
from wavecom.providers.configuration import ProviderConfig
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

    def make_provider(port: int, timeout_seconds: float = 5, **options: Any) -> SmtpProvider:
        fields = {"host": "127.0.0.1", "port": port, "helo_name": "wavecom.test"} | options
        config = ProviderConfig(
            name="mail", type="smtp", options=SmtpOptions(**fields), timeout_seconds=timeout_seconds
        )
        surroundings = Surroundings(transport=Nothing(), outbox=Nothing(), clock=Clock(), sleep=unused, chance=unused)
        made.append(SmtpProvider(config, surroundings))
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

    assert answer == Answer(Outcome.ACCEPTED, "smtp_250", message_id="<job-1.2@bank.example>")
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


def test_an_unknown_recipient_is_rejected_and_the_connection_goes_on(
    start: Callable[..., tuple[Mailbox, int]], make: Make
) -> None:
    mailbox, port = start()
    provider = make(port)

    answers = [provider.send(message(to=f"{name}@example.org")) for name in ("nobody", "busy", "ada")]

    assert [answer.outcome for answer in answers] == [Outcome.REJECTED, Outcome.UNAVAILABLE, Outcome.ACCEPTED]
    assert answers[0].message == "the recipient was refused with 550 5.1.1"
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["ada@example.org"]]


def test_a_mail_over_the_servers_limit_is_rejected(start: Callable[..., tuple[Mailbox, int]], make: Make) -> None:
    _, port = start(data_size_limit=1000)

    answer = make(port).send(message(payload={"subject": "x", "text": "y" * 5000}))

    assert (answer.outcome, answer.code) == (Outcome.REJECTED, "smtp_552")


def test_letters_beyond_ascii_in_an_address_need_a_server_that_takes_them(
    start: Callable[..., tuple[Mailbox, int]], make: Make
) -> None:
    able, able_port = start(enable_SMTPUTF8=True)
    _, unable_port = start(enable_SMTPUTF8=False)
    mail = message(to="jürgen@bücher.example")

    accepted = make(able_port).send(mail)
    rejected = make(unable_port).send(mail)

    assert accepted.outcome is Outcome.ACCEPTED
    assert able.envelopes[0].rcpt_tos == ["jürgen@xn--bcher-kva.example"]
    assert "SMTPUTF8" in able.envelopes[0].mail_options
    assert (rejected.outcome, rejected.message) == (
        Outcome.REJECTED,
        "the recipient was refused with 550 5.6.7",
    )


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
        answer = make(peer.port, timeout_seconds=1.5).send(message())

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
    with SmtpPeer(DATA=stop_reading) as peer:
        answer = make(peer.port, timeout_seconds=1.5).send(message(payload=big))

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
        ("MAIL", b"552 5.3.4 too big", REJECTED),
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
        ("content", b"552 5.2.3 too big", REJECTED),
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
