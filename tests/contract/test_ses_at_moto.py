"""Amazon SES as moto plays it: mails that are sent arrive there, and what it says of a sender is understood."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default

import botocore.session
import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses import ses_backends
from moto.ses.models import SESBackend

from tests.contract.provider_contract import Outbox, built
from tests.mail_apis import EVERYTHING, PDF, mail
from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.core.ports import Provider
from wavecom.providers.transport.curl import CurlTransport


@pytest.fixture
def moto() -> Iterator[str]:
    """The address of a server of AWS's APIs with nothing in it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        backend().reset()
        server.stop()


def backend() -> SESBackend:
    found: SESBackend = ses_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"]
    return found


def verify(url: str, identity: str) -> None:
    """By AWS's own client."""
    client = botocore.session.get_session().create_client(
        "sesv2",
        region_name="eu-west-1",
        endpoint_url=url,
        aws_access_key_id="AKID",
        aws_secret_access_key="s3cret",
    )
    client.create_email_identity(EmailIdentity=identity)
    client.close()


@pytest.fixture
def ses(moto: str) -> Iterator[Provider]:
    transport = CurlTransport()
    table = f"""
        type = "ses"
        region = "eu-west-1"
        access_key_id = "AKID"
        secret_access_key = "$SECRET"
        sender = "Bank <bank@example.org>"
        base_url = "{moto}"
    """
    yield built(table, Channel.EMAIL, 10, transport, Outbox())
    transport.close()


def test_a_mail_of_text_arrives(moto: str, ses: Provider) -> None:
    verify(moto, "bank@example.org")

    answer = ses.send(mail({"subject": "Grüße", "text": "Ihr Code: 123456"}))

    assert answer.outcome is Outcome.ACCEPTED
    [sent] = backend().sent_messages
    assert (sent.id, sent.subject, sent.body) == (answer.message_id, "Grüße", "Ihr Code: 123456")


def test_a_mail_with_files_arrives_as_it_was_made(moto: str, ses: Provider) -> None:
    verify(moto, "shop@example.org")

    answer = ses.send(mail(EVERYTHING))

    assert answer.outcome is Outcome.ACCEPTED
    [sent] = backend().sent_messages
    assert sent.id == answer.message_id
    read = message_from_bytes(sent.raw_data.encode(), policy=default)
    assert PDF in [part.get_payload(decode=True) for part in read.walk() if not part.is_multipart()]


def test_a_sender_that_is_not_verified_is_the_accounts_trouble(ses: Provider) -> None:
    answer = ses.send(mail({"subject": "S", "text": "T"}))

    assert (answer.outcome, answer.reason, answer.code) == (Outcome.UNAVAILABLE, Reason.SENDER, "ses_NotVerified")
    assert backend().sent_messages == []
