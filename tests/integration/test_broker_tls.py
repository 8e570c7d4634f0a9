"""RabbitMQ by TLS, with certificates of both sides: publisher, dead letters and Celery's own connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from kombu import Connection

from tests.waiting import wait_until
from wavecom.amqp_address import AmqpAddress, TlsFiles
from wavecom.broker.connection import connect
from wavecom.broker.dead_letter_queue import AmqpDeadLetterQueue
from wavecom.broker.publisher import AmqpPublisher
from wavecom.internals.kombu import TlsOptions
from wavecom.local.ports import free_ports
from wavecom.local.servers import PrivateRabbitMQ

PLUGINS = ["rabbitmq_auth_mechanism_ssl"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, the node's certificate for ``127.0.0.1`` alone, and ours."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(folder / "node.pem")
    ours = authority.issue_cert("wavecom@example.com", common_name="wavecom")
    ours.private_key_and_cert_chain_pem.write_to_path(folder / "we.pem")
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    return folder


@pytest.fixture(scope="module")
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, folder: Path, port: int) -> Iterator[PrivateRabbitMQ]:
    configuration = [
        f"listeners.ssl.default = 127.0.0.1:{port}",
        f"ssl_options.cacertfile = {folder / 'ca.pem'}",
        f"ssl_options.certfile = {folder / 'node.pem'}",
        f"ssl_options.keyfile = {folder / 'node.pem'}",
        "ssl_options.verify = verify_peer",
        "ssl_options.fail_if_no_peer_cert = true",
        "auth_mechanisms.3 = EXTERNAL",
        "ssl_cert_login_from = common_name",
    ]
    home = tmp_path_factory.mktemp("broker")
    with PrivateRabbitMQ(home, plugins=PLUGINS, configuration=configuration) as broker:
        yield broker


@pytest.fixture
def files(folder: Path) -> TlsFiles:
    return TlsFiles(ca=folder / "ca.pem", certificate=folder / "we.pem")


@pytest.fixture
def address(broker: PrivateRabbitMQ, files: TlsFiles, port: int) -> AmqpAddress:
    """Without a user: the certificate says who we are."""
    return AmqpAddress.parse(f"amqps://127.0.0.1:{port}/{broker.logins.vhost}", files)


def test_a_certificate_of_ours_is_enough_to_publish_and_to_read_dead_letters(address: AmqpAddress) -> None:
    publisher = AmqpPublisher(address, origin="test", pause_seconds=0.1)

    wait_until(publisher.ping, "the broker to take and give a message")
    scan = AmqpDeadLetterQueue(address, origin="test").scan(lambda dead_letters: [True] * len(dead_letters))

    publisher.close()
    assert (scan.seen, scan.is_complete) == (0, True)


@pytest.mark.parametrize(
    "wrong", ["an authority that is none of ours", "another name than the certificate's", "no certificate of ours"]
)
def test_whom_one_of_the_two_sides_does_not_trust_there_is_no_connection_with(
    wrong: str, address: AmqpAddress, broker: PrivateRabbitMQ, folder: Path, files: TlsFiles, port: int
) -> None:
    # The broker by a name that its certificate has not: an old way to write 127.0.0.1.
    host = "127.1" if wrong.startswith("another") else "127.0.0.1"
    files = {"an": replace(files, ca=folder / "stranger.pem"), "no": replace(files, certificate=None)}.get(
        wrong.split()[0], files
    )
    with_password = broker.url.replace("amqp://", "amqps://").replace(f"127.0.0.1:{broker.port}", f"{host}:{port}")

    with pytest.raises(OSError, match=r"(?i)certificate|reset|closed|alert|EOF"):
        connect(AmqpAddress.parse(with_password, files), 5, "test")


def test_celery_finds_each_nodes_own_name_in_its_certificate(address: AmqpAddress, port: int) -> None:
    [nobody] = free_ports(1)
    [url] = address.urls
    # The first does not answer; a name that stayed with it would be looked for in the second's certificate.
    urls = [url.replace(f"127.0.0.1:{port}", f"127.0.0.2:{nobody}"), url]

    options = TlsOptions(address.tls_options(host=None))
    with Connection(urls, ssl=options, login_method=address.login_method, connect_timeout=10) as connection:
        connection.connect()

        assert connection.connected
