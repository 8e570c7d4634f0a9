"""``type = "http"`` keeps the contract of every provider, by either HTTP transport."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.provider_contract import HttpProviderContract
from wavecom.core.lanes import Channel
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


class TestHttpProvider(HttpProviderContract):
    table = 'type = "http"\nurl = "{url}"\nheaders = { Authorization = "$SECRET" }'

    @pytest.fixture(params=[CurlTransport, RequestsTransport], ids=lambda kind: kind.__name__)
    def transport(self, request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
        made: HttpTransport = request.param()
        yield made
        made.close()

    @pytest.fixture
    def channel(self, transport: HttpTransport) -> Channel:
        return Channel.EMAIL if isinstance(transport, CurlTransport) else Channel.SMS
