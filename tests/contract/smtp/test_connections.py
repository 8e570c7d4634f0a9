"""Connections to a mail server are kept, and replaced when they have ended."""

from __future__ import annotations

import pytest

from tests import peers
from tests.contract.smtp.mails import Make, message
from tests.peers import SmtpPeer
from wavecom.core.job import Outcome

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
