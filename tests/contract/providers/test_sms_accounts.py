"""What providers of text messages say of our account, asked over real HTTP: found, refused, busy, or nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import pytest

from tests import peers
from tests.contract.provider_contract import Outbox, built, table_at
from tests.peers import HttpPeer, Received
from wavecom.core.lanes import Channel
from wavecom.providers.account import AccountAspect, AccountCallError
from wavecom.providers.account.client import HttpAccountClient
from wavecom.providers.base import BaseProvider
from wavecom.providers.transport.requests import RequestsTransport

pytestmark = pytest.mark.timeout(60)

CREDENTIALS, SENDER, QUOTA = AccountAspect.CREDENTIALS, AccountAspect.SENDER, AccountAspect.QUOTA

TWILIO = 'type = "twilio"\naccount_sid = "AC1"\nauth_token = "$SECRET"\nsender = "+15005550006"\n'
SERVICE = TWILIO.replace('sender = "+15005550006"', 'messaging_service_sid = "MG1"')
VONAGE = 'type = "vonage"\napi_key = "abcd1234"\napi_secret = "$SECRET"\nsender = "Bank"\n'
MESSAGEBIRD = 'type = "messagebird"\naccess_key = "$SECRET"\nsender = "Bank"\n'
INFOBIP = 'type = "infobip"\napi_key = "$SECRET"\nsender = "Bank"\n'
SNS = 'type = "sns"\nregion = "eu-west-1"\naccess_key_id = "AKID"\nsecret_access_key = "$SECRET"\n'
MESSAGING = SNS + 'api = "end_user_messaging"\n'
ALL = {
    "twilio": TWILIO,
    "vonage": VONAGE,
    "messagebird": MESSAGEBIRD,
    "infobip": INFOBIP,
    "sns": SNS,
    "end_user_messaging": MESSAGING,
}


@pytest.fixture
def client() -> Iterator[HttpAccountClient]:
    made = HttpAccountClient(deadline_seconds=5)
    yield made
    made.close()


def found(
    client: HttpAccountClient, table: str, *answers: tuple[int, bytes]
) -> tuple[list[tuple[AccountAspect, bool | None, str]], Sequence[Received]]:
    """Aspect, verdict and text of each finding, and what the provider was asked."""
    with HttpPeer(*(peers.reply(status, body) for status, body in answers)) as peer:
        transport = RequestsTransport()
        provider = built(table_at(table + 'base_url = "{base_url}"', peer.url), Channel.SMS, 5, transport, Outbox())
        assert isinstance(provider, BaseProvider)
        findings = provider.check_account(client)
        transport.close()
    assert not [finding for finding in findings if "s3cret" in finding.text]
    return [(each.aspect, each.is_good, each.text) for each in findings], peer.requests


def as_json(**content: object) -> bytes:
    return json.dumps(content).encode()


@pytest.mark.parametrize(("balance", "is_good"), [(47.79, True), (0, False)])
def test_infobip_tells_the_balance(client: HttpAccountClient, balance: float, is_good: bool) -> None:
    findings, [request] = found(client, INFOBIP, (200, as_json(balance=balance, currency="EUR")))

    assert findings[1] == (QUOTA, is_good, f"balance: {balance} EUR")
    assert (request.line.split()[1], request.headers["authorization"]) == ("/account/1/balance", "App s3cret")


def test_twilio_tells_the_account_its_balance_and_whether_the_number_is_ours(client: HttpAccountClient) -> None:
    findings, requests = found(
        client,
        TWILIO,
        (200, as_json(sid="AC1", status="active")),
        (200, as_json(account_sid="AC1", balance="12.50", currency="USD")),
        (200, as_json(incoming_phone_numbers=[{"phone_number": "+15005550006"}])),
    )

    assert findings == [
        (CREDENTIALS, True, "accepted"),
        (QUOTA, True, "balance: 12.50 USD"),
        (SENDER, True, "a number of this account"),
    ]
    assert [request.line.split()[:2] for request in requests] == [
        ["GET", "/2010-04-01/Accounts/AC1.json"],
        ["GET", "/2010-04-01/Accounts/AC1/Balance.json"],
        ["GET", "/2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json?PhoneNumber=%2B15005550006"],
    ]
    assert {request.headers["authorization"] for request in requests} == {"Basic QUMxOnMzY3JldA=="}


def test_twilio_tells_what_is_wrong(client: HttpAccountClient) -> None:
    findings, _ = found(
        client,
        TWILIO,
        (200, as_json(status="suspended")),
        (200, as_json(balance="-0.10", currency="USD")),
        (200, as_json(incoming_phone_numbers=[])),
    )

    assert findings == [
        (CREDENTIALS, True, "accepted"),
        (QUOTA, False, "the account is suspended"),
        (QUOTA, False, "balance: -0.10 USD"),
        (SENDER, False, "no number of this account"),
    ]


def test_of_a_messaging_service_twilio_tells_nothing(client: HttpAccountClient) -> None:
    findings, requests = found(client, SERVICE, (200, as_json(status="active")), (404, b""))

    assert findings[1:] == [
        (QUOTA, None, "the balance is not told"),
        (SENDER, None, "names, short codes and messaging services can't be asked about"),
    ]
    assert len(requests) == 2


@pytest.mark.parametrize(("value", "is_good"), [(10.28, True), (0, False), (-1.5, False), (None, None)])
def test_vonage_tells_the_balance(client: HttpAccountClient, value: float | None, is_good: bool | None) -> None:
    findings, [request] = found(client, VONAGE, (200, as_json(value=value, autoReload=False)))

    assert (findings[0], findings[1][:2]) == ((CREDENTIALS, True, "accepted"), (QUOTA, is_good))
    assert request.line.split()[1] == "/account/get-balance"
    assert request.headers["authorization"] == "Basic YWJjZDEyMzQ6czNjcmV0"


@pytest.mark.parametrize(("amount", "is_good"), [(9.2, True), (0, False)])
def test_messagebird_tells_the_balance(client: HttpAccountClient, amount: float, is_good: bool) -> None:
    findings, [request] = found(client, MESSAGEBIRD, (200, as_json(payment="prepaid", type="credits", amount=amount)))

    assert findings[1] == (QUOTA, is_good, f"balance: {amount} credits")
    assert (request.line.split()[1], request.headers["authorization"]) == ("/balance", "AccessKey s3cret")


ATTRIBUTES = (
    b"<GetSMSAttributesResponse><GetSMSAttributesResult><attributes><entry><key>MonthlySpendLimit</key>"
    b"<value>1</value></entry></attributes></GetSMSAttributesResult></GetSMSAttributesResponse>"
)


@pytest.mark.parametrize(("is_in_sandbox", "is_good"), [(b"true", False), (b"false", True)])
def test_sns_tells_the_sandbox_and_the_spend_limit(
    client: HttpAccountClient, is_in_sandbox: bytes, is_good: bool
) -> None:
    status = b"<GetSMSSandboxAccountStatusResult><IsInSandbox>%b</IsInSandbox></GetSMSSandboxAccountStatusResult>"

    findings, requests = found(client, SNS, (200, status % is_in_sandbox), (200, ATTRIBUTES))

    assert findings[0] == (CREDENTIALS, True, "accepted")
    assert findings[1][:2] == (QUOTA, is_good)
    assert findings[2] == (QUOTA, True, "monthly spend limit: 1 USD")
    assert [request.body for request in requests] == [
        b"Action=GetSMSSandboxAccountStatus&Version=2010-03-31",
        b"Action=GetSMSAttributes&Version=2010-03-31",
    ]
    assert all("Signature=" in request.headers["authorization"] for request in requests)


@pytest.mark.parametrize(("tier", "is_good"), [("SANDBOX", False), ("PRODUCTION", True)])
def test_end_user_messaging_tells_the_sandbox(client: HttpAccountClient, tier: str, is_good: bool) -> None:
    body = as_json(AccountAttributes=[{"Name": "ACCOUNT_TIER", "Value": tier}])

    findings, [request] = found(client, MESSAGING, (200, body))

    assert findings[1][:2] == (QUOTA, is_good)
    assert request.headers["x-amz-target"] == "PinpointSMSVoiceV2.DescribeAccountAttributes"


@pytest.mark.parametrize("table", ALL.values(), ids=ALL)
@pytest.mark.parametrize(("status", "is_good"), [(401, False), (403, False), (404, False), (429, None)])
def test_who_is_not_known_is_asked_no_further(
    client: HttpAccountClient, table: str, status: int, is_good: bool | None
) -> None:
    findings, requests = found(client, table, (status, b"<html>s3cret"))

    assert [each[:2] for each in findings] == [(CREDENTIALS, is_good)]
    assert len(requests) == 1


@pytest.mark.parametrize("table", ALL.values(), ids=ALL)
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b'"x"'])
def test_nonsense_from_who_accepts_us_is_no_verdict_about_money(
    client: HttpAccountClient, table: str, body: bytes
) -> None:
    findings, _ = found(client, table, (200, body))

    assert findings[0] == (CREDENTIALS, True, "accepted")
    assert not [finding for finding in findings[1:] if finding[1] is True]


@pytest.mark.parametrize("table", ALL.values(), ids=ALL)
def test_where_nobody_answers_it_says_so(client: HttpAccountClient, table: str) -> None:
    url = f"http://127.0.0.1:{peers.free_port()}/"
    transport = RequestsTransport()
    provider = built(table_at(table + 'base_url = "{base_url}"', url), Channel.SMS, 5, transport, Outbox())
    assert isinstance(provider, BaseProvider)

    with pytest.raises(AccountCallError):
        provider.check_account(client)
    transport.close()
