"""All HTTP transports, each of which keeps one contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trustme

from tests.started_transport import StartedTransport
from wavecom.providers.transport import HttpTransport
from wavecom.providers.transport.curl import CurlTransport
from wavecom.providers.transport.requests import RequestsTransport


@pytest.fixture(params=[CurlTransport, StartedTransport, RequestsTransport])
def transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture(params=[CurlTransport, StartedTransport, RequestsTransport], scope="module")
def shared_transport(request: pytest.FixtureRequest) -> Iterator[HttpTransport]:
    made = request.param()
    yield made
    made.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
