"""The smtp provider against a server that breaks off at every step."""

from __future__ import annotations

import base64

import pytest

from tests import peers
from tests.contract.smtp.mails import Make, message
from tests.peers import SmtpPeer
from wavecom.core.job import Outcome

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
