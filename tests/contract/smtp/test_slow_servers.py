"""The smtp provider against a server that takes its time."""

from __future__ import annotations

import threading

import pytest

from tests import peers
from tests.contract.smtp.mails import UNAVAILABLE, Make, message
from tests.peers import SmtpPeer
from wavecom.core.job import Outcome

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
