"""Names that have several addresses, or none."""

from __future__ import annotations

import socket

import pytest

from tests import peers
from tests.contract.http_transport.requests import fault_of, request_to
from tests.peers import HttpPeer
from wavecom.providers.transport import NotSentError, TransportFault
from wavecom.providers.transport.deadline import Resolve
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def address(host: str, port: int) -> tuple[object, ...]:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port))


def test_of_several_addresses_the_first_that_answers_is_used() -> None:
    with HttpPeer(peers.reply(204)) as peer:
        found = [address("127.0.0.1", peers.free_port()), address("127.0.0.1", peer.port)]
        transport = RequestsTransport(resolve=lambda *_args, **_named: found)

        assert transport.send(request_to("http://gateway.invalid/")).status == 204
        transport.close()


def no_address(*_args: object, **_named: object) -> list[object]:
    return []


def no_such_name(*_args: object, **_named: object) -> list[object]:
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


def no_name_at_all(*_args: object, **_named: object) -> list[object]:
    raise UnicodeError("label too long")


@pytest.mark.parametrize("resolve", [no_address, no_such_name, no_name_at_all])
def test_a_look_up_that_finds_nothing_sent_nothing(resolve: Resolve) -> None:
    error = fault_of(RequestsTransport(resolve=resolve), request_to("http://gateway.invalid/"))

    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.DNS
