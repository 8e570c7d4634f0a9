"""The smtp provider, and mail servers for it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller

from tests import peers
from tests.contract.smtp.mailbox import ImplicitTlsController, Mailbox
from tests.contract.smtp.mails import Clock, Make, UnusedService, unused
from wavecom.providers.base import ProviderDependencies
from wavecom.providers.configuration import ProviderConfig
from wavecom.providers.smtp import SmtpOptions, SmtpProvider


@pytest.fixture
def make() -> Iterator[Make]:
    """A provider; closed after the test."""
    made: list[SmtpProvider] = []

    def make_provider(port: int, timeout_seconds: float = 20, **options: Any) -> SmtpProvider:
        fields = {"host": "127.0.0.1", "port": port, "helo_name": "wavecom.test"} | options
        config = ProviderConfig(
            name="mail", type="smtp", options=SmtpOptions(**fields), timeout_seconds=timeout_seconds
        )
        dependencies = ProviderDependencies(
            transport=UnusedService(), outbox=UnusedService(), clock=Clock(), sleep=unused, chance=unused
        )
        made.append(SmtpProvider(config, dependencies))
        return made[-1]

    yield make_provider
    for provider in made:
        provider.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def start() -> Iterator[Callable[..., tuple[Mailbox, int]]]:
    running: list[Controller] = []

    def start_server(**options: Any) -> tuple[Mailbox, int]:
        mailbox = Mailbox()
        kind = ImplicitTlsController if "ssl_context" in options else Controller
        controller = kind(mailbox, hostname="127.0.0.1", port=peers.free_port(), **options)
        controller.start()
        running.append(controller)
        return mailbox, controller.port

    yield start_server
    for controller in running:
        controller.stop()
