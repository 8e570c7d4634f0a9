"""What is sent to Twilio: the same as Twilio's own library sends for the same message."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.base.exceptions import TwilioException
from twilio.http import HttpClient
from twilio.http.response import Response as TwilioResponse
from twilio.rest import Client

from tests.unit.providers.conftest import Environment
from tests.unit.providers.sms import RECEIPTS_URL, form, sent_request, sms, sms_provider
from wavecom.errors import ProvidersFileError

SID = "AC" + "0" * 32
TABLE = f'type = "twilio"\naccount_sid = "{SID}"\nauth_token = ["t0ken", "old"]\nsender = "+15005550006"'
SERVICE = TABLE.replace('sender = "+15005550006"', f'messaging_service_sid = "MG{"1" * 32}"')


class Recorder(HttpClient):
    """Keeps what Twilio's library would send, and sends nothing."""

    def request(self, method: str, url: str, **named: Any) -> TwilioResponse:
        self.last = (method, url, named["auth"], named["data"])
        return TwilioResponse(500, "{}")


def by_twilios_library(**arguments: Any) -> tuple[str, str, tuple[str, str], dict[str, str]]:
    recorder = Recorder(None, None, None)
    with pytest.raises(TwilioException):
        Client(SID, "t0ken", http_client=recorder).messages.create(**arguments)
    method, url, auth, data = recorder.last
    return method, url, auth, {name: str(value) for name, value in data.items()}


def test_a_message_is_sent_as_twilios_library_sends_it(environment: Environment) -> None:
    request = sent_request(
        environment, sms_provider(environment, TABLE, RECEIPTS_URL), sms("Grüße & mehr", seconds=600)
    )

    method, url, _, data = by_twilios_library(
        to="+12025550143",
        body="Grüße & mehr",
        from_="+15005550006",
        validity_period=600,
        status_callback=f"{RECEIPTS_URL}/it?job=job-1",
    )
    assert (request.method, request.url, form(request)) == (method, url, data)
    assert request.headers["Authorization"] == "Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDp0MGtlbg=="


def test_a_messaging_service_chooses_the_sender_unless_the_message_does(environment: Environment) -> None:
    provider = sms_provider(environment, SERVICE)

    plain, chosen = (form(sent_request(environment, provider, each)) for each in (sms(), sms(senderId="Bank")))

    assert (
        plain
        == by_twilios_library(to="+12025550143", body="Ihr Code: 123456", messaging_service_sid="MG" + "1" * 32)[3]
    )
    assert (chosen["From"], chosen["MessagingServiceSid"]) == ("Bank", "MG" + "1" * 32)


@pytest.mark.parametrize(
    ("seconds", "validity"), [(None, None), (-5, "1"), (0.4, "1"), (14_399, "14399"), (14_400, None), (86_400, None)]
)
def test_twilio_is_told_how_long_a_message_is_worth_sending_within_its_bounds(
    environment: Environment, seconds: float | None, validity: str | None
) -> None:
    request = sent_request(environment, sms_provider(environment, TABLE), sms(seconds=seconds))

    assert form(request).get("ValidityPeriod") == validity


def test_without_an_address_for_receipts_none_are_expected_and_none_is_told(environment: Environment) -> None:
    told, untold = sms_provider(environment, TABLE, RECEIPTS_URL), sms_provider(environment, TABLE)

    assert (told.expects_receipts, untold.expects_receipts) == (True, False)
    assert "StatusCallback" not in form(sent_request(environment, untold, sms()))


@pytest.mark.parametrize(
    ("table", "mistake"),
    [
        (TABLE + f'\nmessaging_service_sid = "MG{"1" * 32}"', "either sender or messaging_service_sid"),
        (TABLE.replace('sender = "+15005550006"', ""), "either sender or messaging_service_sid"),
        (TABLE + '\nbase_url = "http://api.twilio.com"', "use https"),
        (TABLE + '\nbase_url = "https://api.twilio.com/2010-04-01"', "the path is the provider's own"),
    ],
)
def test_a_table_that_can_not_be_right_is_refused(environment: Environment, table: str, mistake: str) -> None:
    with pytest.raises(ProvidersFileError, match=mistake):
        sms_provider(environment, table)
