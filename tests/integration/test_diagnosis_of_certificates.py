"""``wavecom doctor`` at servers with TLS: each certificate that ends soon is told of, trusted or not."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest
import trustme
from aiosmtpd.controller import Controller

from wavecom.core.diagnosis import CheckResult, Severity
from wavecom.diagnosis.certificates import check_certificates
from wavecom.diagnosis.context import DiagnosisContext
from wavecom.local.ports import free_ports
from wavecom.settings import Settings

PROVIDERS = """
[providers.gateway]
type = "http"
url = "https://user:hunter2@127.0.0.1:{port}/send"
channels = ["sms"]
ca_file = "{ca}"
[providers.mail]
type = "smtp"
host = "127.0.0.1"
port = {smtp}
tls = "starttls"
sender = "bank@example.com"
[routes]
sms = ["gateway"]
email = ["mail"]
"""


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


class _Silent(BaseRequestHandler):
    def handle(self) -> None:
        self.request.recv(1)


@contextmanager
def tls_server(context: ssl.SSLContext) -> Iterator[int]:
    """Answers handshakes, and says nothing."""
    with ThreadingTCPServer(("127.0.0.1", 0), _Silent) as server:
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def server_context(authority: trustme.CA, days: float) -> ssl.SSLContext:
    """With a certificate that ends after so many days."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    now = datetime.now(UTC)
    issued = authority.issue_cert(
        "127.0.0.1", not_before=now - timedelta(days=90), not_after=now + timedelta(days=days)
    )
    issued.configure_cert(context)
    return context


def found(settings: Settings) -> dict[str, CheckResult]:
    return {each.subject: each for each in check_certificates(DiagnosisContext(settings=settings))}


@pytest.mark.parametrize(
    ("days", "severity"), [(90, Severity.OK), (20, Severity.WARNING), (1, Severity.ERROR), (-1, Severity.ERROR)]
)
def test_each_servers_certificate_is_read_though_it_has_ended_or_is_not_trusted(
    authority: trustme.CA, days: float, severity: Severity
) -> None:
    with tls_server(server_context(authority, days)) as port:
        results = found(
            Settings(
                amqp_url=f"amqps://user:hunter2@127.0.0.1:{port}/",
                redis_url=f"rediss://:hunter2@127.0.0.1:{port}/0",
                mongodb_uri=f"mongodb://user:hunter2@127.0.0.1:{port}/wavecom?tls=true",
            )
        )

    assert {subject: each.severity for subject, each in results.items()} == {
        f"RabbitMQ 127.0.0.1:{port}": severity,
        "Redis 127.0.0.1": severity,
        "MongoDB 127.0.0.1": severity,
    }
    assert "hunter2" not in str(results)


def test_servers_are_asked_side_by_side(authority: trustme.CA) -> None:
    both_there = threading.Barrier(2)

    class Waiting(BaseRequestHandler):
        def handle(self) -> None:
            both_there.wait(20)
            with server_context(authority, 90).wrap_socket(self.request, server_side=True) as secured:
                secured.recv(1)

    with ThreadingTCPServer(("127.0.0.1", 0), Waiting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        results = found(Settings(amqp_url=f"amqps://127.0.0.1:{port}/", redis_url=f"rediss://127.0.0.1:{port}/0"))
        both_there.abort()
        server.shutdown()
        thread.join()

    assert [each.severity for each in results.values()] == [Severity.OK, Severity.OK]


def test_providers_are_asked_too_and_the_authority_that_we_trust_them_by(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    smtp = Controller(None, hostname="127.0.0.1", port=free_ports(1)[0], tls_context=server_context(authority, 2))
    smtp.start()
    with tls_server(server_context(authority, 10)) as port:
        file = tmp_path / "providers.toml"
        file.write_text(PROVIDERS.format(port=port, smtp=smtp.port, ca=tmp_path / "ca.pem"))

        results = found(Settings(providers_file=file))
    smtp.stop()

    assert {subject: each.severity for subject, each in results.items()} == {
        "ca_file of provider gateway": Severity.OK,
        "provider gateway": Severity.WARNING,
        "provider mail": Severity.ERROR,
    }
    assert "hunter2" not in str(results)


def test_our_own_certificate_and_files_that_hold_none(authority: trustme.CA, tmp_path: Path) -> None:
    ours = authority.issue_cert("wavecom", not_after=datetime.now(UTC) + timedelta(days=5))
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "we.pem")
    (tmp_path / "ca.pem").write_text("nothing")
    settings = Settings(
        amqp_url="amqps://127.0.0.1:1/", amqp_cert_file=tmp_path / "we.pem", amqp_ca_file=tmp_path / "ca.pem"
    )

    results = found(settings)

    assert results["WAVECOM_AMQP_CERT_FILE"].severity is Severity.WARNING
    assert results["WAVECOM_AMQP_CA_FILE"].severity is Severity.ERROR
    assert "can't be read" in results["RabbitMQ 127.0.0.1:1"].text


def test_without_any_tls_there_is_nothing_to_end() -> None:
    assert [(each.subject, each.severity) for each in found(Settings()).values()] == [("none", Severity.OK)]
