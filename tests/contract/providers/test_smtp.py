"""``type = "smtp"`` keeps the contract of every provider."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

import pytest

from tests import peers
from tests.contract.provider_contract import TO, Outbox, Peer, ProviderContract
from tests.peers import SmtpPeer
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

SCRIPTS: Mapping[str, dict[str, peers.Reply]] = {
    "takes it": {},
    "refuses it": {"RCPT": b"550 5.1.1 <ada@example.org> unknown"},
    "is overloaded": {"RCPT": b"451 4.3.0 ada@example.org: not now"},
    "takes it and is silent": {"content": peers.be_silent},
    "takes it and drips": {"content": peers.drip(b"250-x\r\n" * 1000)},
    "takes it and hangs up": {"content": peers.hang_up},
    "refuses us": {"MAIL": b"530 5.7.0 s3cret: authentication required"},
    # A mail server's reply is its first line: there is no more of it to say or to break off.
    "takes it and says no more": {},
    "is overloaded and breaks off": {"RCPT": peers.send(b"451 4.3.0 not now\r\n")},
    "refuses it with nonsense": {"RCPT": b"550 5.1.1 \xff\xfe\x01"},
}


class TestSmtpProvider(ProviderContract):
    #: SMTP has no way to say so.
    tells_how_long = False

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL

    def open_peer(self, behaviour: str, channel: Channel, outbox: Outbox, opened: ExitStack) -> Peer:
        if behaviour == "nobody":
            return Peer(_table(peers.free_port()), list, TO[channel])
        peer = opened.enter_context(SmtpPeer(**SCRIPTS[behaviour]))
        return Peer(_table(peer.port), lambda: [_delivery_key(mail) for mail in peer.mails], TO[channel])


def _table(port: int) -> str:
    return (
        f'type = "smtp"\nhost = "127.0.0.1"\nport = {port}\nsender = "bank@example.org"\nhelo_name = "us"\n'
        "final_reply_seconds = 1.5"
    )


def _delivery_key(mail: bytes) -> str:
    head = mail.partition(b"\r\n\r\n")[0].decode()
    return next(line for line in head.split("\r\n") if line.startswith("Message-ID:")).split("<")[1].split("@")[0]
