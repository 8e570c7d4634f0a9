"""The certificate that a message of SNS names is fetched over real TLS, from a host whose authority is trusted."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests import peers
from tests.peers import HttpPeer
from tests.receipt_requests import NOW, posted, reader_of
from tests.sns_signer import TOPIC, SnsSigner
from wavecom.providers.account.client import HttpAccountClient

SIGNER = SnsSigner(NOW)


@pytest.fixture
def ca_file(tmp_path: Path, ca: trustme.CA) -> Path:
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def sns(ca: trustme.CA) -> Iterator[HttpPeer]:
    """A host that hands out the signer's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    with HttpPeer(peers.reply(200, SIGNER.pem), context=context) as peer:
        yield peer


@pytest.fixture
def client() -> Iterator[HttpAccountClient]:
    made = HttpAccountClient(deadline_seconds=5)
    yield made
    made.close()


def table(sns: HttpPeer, more: str = "") -> str:
    return f"""
        type = "ses"
        region = "eu-west-1"
        access_key_id = "AKID"
        secret_access_key = "s"
        sender = "bank@example.org"
        topic_arns = ["{TOPIC}"]
        base_url = "https://127.0.0.1:{sns.port}"
        {more}
    """


def test_a_certificate_is_fetched_once_from_a_host_with_a_trusted_authority(
    sns: HttpPeer, client: HttpAccountClient, ca_file: Path
) -> None:
    reader = reader_of(table(sns, f'ca_file = "{ca_file}"'), fetch=client.fetch)
    url = f"https://127.0.0.1:{sns.port}/SimpleNotificationService-0.pem"

    for text in ("one", "two"):
        reader.verify(posted(SIGNER.body(text, SigningCertURL=url)))

    assert [received.line for received in sns.requests] == ["GET /SimpleNotificationService-0.pem HTTP/1.1"]


def test_a_host_with_another_authority_is_not_believed(sns: HttpPeer, client: HttpAccountClient) -> None:
    reader = reader_of(table(sns), fetch=client.fetch)
    url = f"https://127.0.0.1:{sns.port}/SimpleNotificationService-0.pem"

    # To be sent again: SNS gives up after a 401, and whose certificate this is can't be told now.
    with pytest.raises(OSError):
        reader.verify(posted(SIGNER.body("x", SigningCertURL=url)))
    assert sns.requests == []
