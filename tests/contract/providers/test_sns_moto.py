"""``type = "sns"`` before moto, a stand-in for AWS that this project didn't write."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.contract.provider_contract import Outbox, Way, built, sent, started
from tests.contract.provider_contract import ProviderSetup as Setup
from wavecom.core.job import Outcome, Reason
from wavecom.core.lanes import Channel
from wavecom.providers.account import AccountAspect
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.base import BaseProvider
from wavecom.providers.transport.curl import CurlTransport

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of a server of moto."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def setup(moto: str) -> Iterator[Setup]:
    table = f"""
        type = "sns"
        region = "eu-west-1"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "$SECRET"
        sender = "Bank"
        base_url = "{moto}"
    """
    transport = CurlTransport()
    provider = built(table, Channel.SMS, 10, transport, Outbox())
    yield Setup(provider, Channel.SMS, list, {"phone": "+12025550143"})
    transport.close()


@pytest.mark.parametrize("way", [sent, started])
def test_moto_takes_a_message(setup: Setup, way: Way) -> None:
    result = way(setup.provider, setup.message(payload={"text": "Grüße & mehr = 1"}))

    assert result.outcome is Outcome.ACCEPTED
    assert result.message_id


@pytest.mark.parametrize("way", [sent, started])
def test_moto_refuses_a_number_that_is_none(setup: Setup, way: Way) -> None:
    result = way(setup.provider, setup.message(to={"phone": "NAA+15551234567"}))

    assert (result.outcome, result.code) == (Outcome.REJECTED, "sns_InvalidNumber")
    assert result.reason is Reason.RECIPIENT_INVALID


def test_moto_answers_what_is_asked_of_an_account(setup: Setup) -> None:
    assert isinstance(setup.provider, BaseProvider)
    client = HttpAccountClient()

    findings = setup.provider.check_account(client)
    client.close()

    assert (findings[0].aspect, findings[0].is_good is not False) == (AccountAspect.CREDENTIALS, True)
