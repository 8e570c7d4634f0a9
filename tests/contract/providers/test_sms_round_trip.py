"""A text message goes out to a real server, and the provider calls the address that went with it: the job has ended.

What calls back is signed by the providers' own libraries.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import jwt
import pytest
from flask.testing import FlaskClient
from twilio.request_validator import RequestValidator
from vonage_http_client.auth import Auth
from werkzeug.test import TestResponse

from tests import peers
from tests.contract.provider_contract import Outbox, ProviderSetup, built, table_at
from tests.factories import make_job
from tests.peers import HttpPeer
from tests.receipt_requests import sms_reader
from tests.unit.web.conftest import NOW, make_environment
from wavecom.core.job import parse_receipt_reference, receipt_reference
from wavecom.core.lanes import Channel
from wavecom.core.states import Status
from wavecom.providers.transport.curl import CurlTransport
from wavecom.settings import Settings

pytestmark = pytest.mark.timeout(60)

PUBLIC_URL = "https://notify.bank.example"
KEY = "36efdd1aace2e26cd490f0d951138253bef2f7c6d34d18981da781555cc4cebb"

TABLES = {
    "messagebird": f'type = "messagebird"\naccess_key = "a"\nsender = "Bank"\nsigning_key = "{KEY}"\n',
    "twilio": 'type = "twilio"\naccount_sid = "AC1"\nauth_token = "t0ken"\nsender = "+15005550006"\n',
    "vonage": f'type = "vonage"\napi_key = "abcd1234"\napi_secret = "s"\nsender = "Bank"\nsignature_secret = "{KEY}"\n',
}
ACCEPTED = {
    "messagebird": b'{"id": "m-1"}',
    "twilio": b'{"sid": "m-1"}',
    "vonage": b'{"messages": [{"status": "0", "message-id": "m-1"}]}',
}
#: Sends what the provider sends when the message has arrived, given the body of the request that it took.
Call = Callable[[FlaskClient, bytes], TestResponse]


def path_of(url: str) -> str:
    """What is asked of this deployment by calling ``url``."""
    assert url.startswith(f"{PUBLIC_URL}/receipts/it")
    return url.removeprefix(PUBLIC_URL)


def twilio(client: FlaskClient, taken: bytes) -> TestResponse:
    url = parse_qs(taken.decode())["StatusCallback"][0]
    fields = {"MessageSid": "m-1", "MessageStatus": "delivered", "To": "+12025550143"}
    signature = RequestValidator("t0ken").compute_signature(url, fields)
    return client.post(path_of(url), data=fields, headers={"X-Twilio-Signature": signature})


def vonage(client: FlaskClient, taken: bytes) -> TestResponse:
    sent = parse_qs(taken.decode())
    fields: dict[str, Any] = {
        "messageId": "m-1",
        "status": "delivered",
        "err-code": "0",
        "client-ref": sent["client-ref"][0],
        "timestamp": str(int(NOW.timestamp())),
    }
    auth = Auth(api_key="abcd1234", signature_secret=KEY, signature_method="sha256")
    return client.post(path_of(sent["callback"][0]), json=fields | {"sig": auth.sign_params(dict(fields))})


def messagebird(client: FlaskClient, taken: bytes) -> TestResponse:
    sent = json.loads(taken)
    query = urlencode({"id": "m-1", "reference": sent["reference"], "status": "delivered", "recipient": "12025550143"})
    url = f"{sent['reportUrl']}?{query}"
    now = int(NOW.timestamp())
    claims = {"iss": "MessageBird", "nbf": now, "exp": now + 60, "url_hash": hashlib.sha256(url.encode()).hexdigest()}
    return client.get(path_of(url), headers={"MessageBird-Signature-JWT": jwt.encode(claims, KEY, "HS256")})


CALLS: dict[str, Call] = {"messagebird": messagebird, "twilio": twilio, "vonage": vonage}


@pytest.fixture
def transport() -> Iterator[CurlTransport]:
    made = CurlTransport()
    yield made
    made.close()


@pytest.mark.parametrize("type_name", TABLES)
def test_the_address_that_goes_with_a_message_ends_its_job(type_name: str, transport: CurlTransport) -> None:
    settings = Settings(public_url=PUBLIC_URL)
    environment = make_environment(settings, readers={"it": sms_reader(TABLES[type_name])})
    job = make_job(status=Status.SENT, provider="it", type=Channel.SMS, created_at=NOW)
    environment.jobs.insert([job])
    with HttpPeer(peers.reply(200, ACCEPTED[type_name])) as peer:
        table = table_at(TABLES[type_name] + 'base_url = "{base_url}"', peer.url)
        provider = built(table, Channel.SMS, 5, transport, Outbox(), f"{PUBLIC_URL}/receipts")
        setup = ProviderSetup(provider, Channel.SMS, list, {"phone": "+12025550143"})
        result = provider.send(setup.message(job_id=job.job_id))

    response = CALLS[type_name](environment.app.test_client(), peer.requests[0].body)

    assert (result.message_id, provider.expects_receipts) == ("m-1", True)
    assert response.status_code == 200
    ended = environment.jobs.get(job.job_id)
    assert ended is not None
    assert ended.status is Status.DELIVERED


@pytest.mark.parametrize("replays", [0, 2])
@pytest.mark.parametrize("type_name", TABLES)
def test_what_goes_out_names_the_life_of_the_job(type_name: str, replays: int, transport: CurlTransport) -> None:
    with HttpPeer(peers.reply(200, ACCEPTED[type_name])) as peer:
        table = table_at(TABLES[type_name] + 'base_url = "{base_url}"', peer.url)
        provider = built(table, Channel.SMS, 5, transport, Outbox(), f"{PUBLIC_URL}/receipts")
        setup = ProviderSetup(provider, Channel.SMS, list, {"phone": "+12025550143"})

        provider.send(setup.message(replays=replays))

    reference = receipt_reference(setup.message().job_id, replays)
    assert parse_receipt_reference(reference) == (setup.message().job_id, replays)
    assert re.search(rf"{reference}\b", unquote(peer.requests[0].body.decode()))
