"""Which transport is chosen."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import urllib3

from tests import peers
from tests.contract.http_transport.requests import fault_of, request_to
from tests.peers import HttpPeer
from wavecom.providers.transport import HttpVersion, NotSentError, TransportFault, make_transport
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def test_the_fast_transport_is_chosen_where_it_can_be_imported() -> None:
    assert isinstance(make_transport(), CurlTransport)


def test_without_pycurl_requests_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wavecom.providers.transport.curl", None)  # importing it fails, as without pycurl

    assert isinstance(make_transport(), RequestsTransport)


def test_urllib3_is_the_original() -> None:
    # niquests replaces it by a fork without saying so; the fork's versions end in .9xx.
    assert int(urllib3.__version__.split(".")[2]) < 900


def test_without_http_2_nothing_is_sent() -> None:
    transport = RequestsTransport()
    with HttpPeer(peers.reply()) as peer:
        error = fault_of(transport, replace(request_to(peer.url), http_version=HttpVersion.HTTP_2))

        assert peer.connections == 0
    assert isinstance(error, NotSentError)
    assert error.fault is TransportFault.HTTP_VERSION
    assert transport.http_versions == {HttpVersion.HTTP_1_1}
