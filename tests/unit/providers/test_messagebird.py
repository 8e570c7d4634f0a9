"""What is sent to MessageBird: what its own library sends for the same message, within the bounds of its API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from messagebird import Client
from messagebird.http_client import HttpClient

from tests.unit.providers.conftest import Environment
from tests.unit.providers.sms import RECEIPTS_URL, sent_request, sms, sms_provider
from wavecom.core.job import Outcome, Scope

TABLE = 'type = "messagebird"\naccess_key = "k3y"\nsender = "+15005550006"'
SIGNED = TABLE + '\nsigning_key = "s"'


class Recorder(HttpClient):
    """Keeps what MessageBird's library would send, and sends nothing."""

    def __init__(self) -> None:
        super().__init__("https://rest.messagebird.com", "k3y", "test")
        self.last: tuple[str, str, dict[str, Any]] | None = None

    def request(self, path: str, method: str = "GET", params: dict[str, Any] | None = None) -> str:
        self.last = (method, f"{self.endpoint}/{path}", dict(params or {}))
        return "{}"


def fields_for(
    environment: Environment, table: str = SIGNED, receipts_url: str | None = RECEIPTS_URL, **named: Any
) -> Any:
    request = sent_request(environment, sms_provider(environment, table, receipts_url), sms(**named))
    return json.loads(request.body)


def test_a_message_is_sent_as_messagebirds_library_sends_it(environment: Environment) -> None:
    request = sent_request(environment, sms_provider(environment, SIGNED, RECEIPTS_URL), sms(seconds=600))

    recorder = Recorder()
    Client("k3y", http_client=recorder).message_create(
        "15005550006",
        ["12025550143"],
        "Ihr Code: 123456",
        {"datacoding": "plain", "reference": "job-1", "reportUrl": f"{RECEIPTS_URL}/it", "validity": 600},
    )
    assert recorder.last is not None
    method, url, fields = recorder.last
    # It joins the recipients by commas; the API takes both.
    assert (request.method, request.url) == (method, url)
    assert json.loads(request.body) == fields | {"recipients": ["12025550143"]}
    assert request.headers["Authorization"] == "AccessKey k3y"


@pytest.mark.parametrize(("text", "coding"), [("Grüße {€}", "plain"), ("Привет", "unicode"), ("😀", "unicode")])
def test_what_is_not_in_the_gsm_alphabet_goes_as_unicode(environment: Environment, text: str, coding: str) -> None:
    fields = fields_for(environment, text=text)

    assert (fields["body"], fields["datacoding"]) == (text, coding)


@pytest.mark.parametrize(("seconds", "validity"), [(None, None), (-5, 1), (0.5, 1), (600, 600)])
def test_messagebird_is_told_how_long_a_message_is_worth_sending(
    environment: Environment, seconds: float | None, validity: int | None
) -> None:
    assert fields_for(environment, seconds=seconds).get("validity") == validity


@pytest.mark.parametrize(
    ("text", "fits"), [("a" * 1377, True), ("a" * 1378, False), ("я" * 603, True), ("я" * 604, False)]
)
def test_a_text_of_more_parts_than_messagebird_takes_is_left_to_the_next_provider(
    environment: Environment, text: str, fits: bool
) -> None:
    result = sms_provider(environment, TABLE).send(sms(text))

    assert len(environment.transport.requests) == int(fits)
    if not fits:
        assert (result.outcome, result.scope, result.is_final_here) == (Outcome.UNAVAILABLE, Scope.MESSAGE, True)
        assert result.message == "payload.text: MessageBird takes at most 9 parts"


def test_a_message_may_choose_its_sender(environment: Environment) -> None:
    assert fields_for(environment, senderId="Bank")["originator"] == "Bank"


def test_receipts_are_expected_where_they_can_be_verified_alone(environment: Environment) -> None:
    assert "reportUrl" not in fields_for(environment, TABLE)
    assert "reportUrl" not in fields_for(environment, receipts_url=None)
    assert sms_provider(environment, SIGNED).expects_receipts
    assert not sms_provider(environment, TABLE, RECEIPTS_URL).expects_receipts
