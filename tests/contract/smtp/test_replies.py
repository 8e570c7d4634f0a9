"""What the replies of a mail server mean."""

from __future__ import annotations

import pytest

from tests import peers
from tests.contract.smtp.mails import REJECTED, UNAVAILABLE, UNKNOWN, Make, message
from tests.peers import SmtpPeer
from wavecom.core.job import Outcome, Reason, Scope

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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


@pytest.mark.parametrize(
    ("reply", "reason"),
    [(b"553 5.7.1 sender not owned by user", Reason.SENDER), (b"451 4.3.0 later", None), (b"530 5.7.0 log in", None)],
)
def test_a_refused_sender_that_the_message_did_not_choose_is_trouble_of_the_account(
    make: Make, reply: bytes, reason: Reason | None
) -> None:
    of_route = {"subject": "x", "text": "y", "from": "Bank <noreply@bank.example>"}
    with SmtpPeer(MAIL=reply) as peer:
        answers = [
            make(peer.port).send(message()),
            make(peer.port).send(message(payload=of_route, has_route_sender=True)),
        ]

    for answer in answers:
        assert (answer.outcome, answer.scope, answer.reason) == (UNAVAILABLE, Scope.PROVIDER, reason)


def test_an_answer_tells_nothing_of_the_recipient(make: Make) -> None:
    with SmtpPeer(RCPT=b"550 5.1.1 <ada@example.org> Ada Lovelace is unknown") as peer:
        answer = make(peer.port).send(message())

    assert answer.message == "the recipient was refused with 550 5.1.1"
