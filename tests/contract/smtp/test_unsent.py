"""Mails that are not sent: nobody is there, or they are none."""

from __future__ import annotations

from typing import Any

import pytest

from tests import peers
from tests.contract.smtp.mails import Make, message
from tests.peers import SmtpPeer
from wavecom.core.job import Outcome

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


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
