"""``type = "twilio"`` keeps the contract of every provider, and reads every answer of Twilio as its table says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract, http_scripts
from tests.peers import Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED = json.dumps(
    {
        "account_sid": "AC" + "0" * 32,
        "api_version": "2010-04-01",
        "body": "Ihr Code: 123456",
        "date_created": "Sun, 22 Nov 2026 12:00:00 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "num_segments": "1",
        "sid": "SM" + "1" * 32,
        "status": "queued",
        "to": "+12025550143",
    }
).encode()


def error(code: int, status: int, message: str = "The 'To' number +12025550143 is not right.") -> bytes:
    """An error in Twilio's words, which may repeat the recipient."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return json.dumps({"code": code, "message": message, "more_info": more, "status": status}).encode()


def account(code: int, status: int, reason: Reason) -> AnswerRow:
    return AnswerRow(
        status, error(code, status), Outcome.UNAVAILABLE, f"twilio_{code}", reason=reason, scope=Scope.PROVIDER
    )


def recipient(code: int, reason: Reason) -> AnswerRow:
    return AnswerRow(400, error(code, 400), Outcome.REJECTED, f"twilio_{code}", reason=reason, scope=Scope.RECIPIENT)


def elsewhere(code: int) -> AnswerRow:
    return AnswerRow(400, error(code, 400), Outcome.UNAVAILABLE, f"twilio_{code}", scope=Scope.MESSAGE)


class TestTwilioProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "twilio"
        account_sid = "AC00000000000000000000000000000000"
        auth_token = "$SECRET"
        sender = "+15005550006"
        base_url = "{base_url}"
    """
    accepted_body = ACCEPTED
    receipts_url = "https://notify.bank.example/receipts"
    expects_receipts = True
    #: Twilio says by a code that it rejects a message, and not by a status alone.
    outcomes: ClassVar[Mapping[str, Outcome]] = {"refuses it with nonsense": Outcome.UNAVAILABLE}
    rows: ClassVar[Sequence[AnswerRow]] = [
        AnswerRow(201, ACCEPTED, Outcome.ACCEPTED),
        account(10001, 403, Reason.BALANCE),
        account(20003, 401, Reason.CREDENTIALS),
        account(20005, 401, Reason.BALANCE),
        AnswerRow(429, error(20429, 429), Outcome.UNAVAILABLE, "twilio_20429"),
        AnswerRow(
            429,
            error(20429, 429),
            Outcome.UNAVAILABLE,
            "twilio_20429",
            headers={"Retry-After": "3"},
            retry_after_seconds=3,
        ),
        recipient(21211, Reason.RECIPIENT_INVALID),
        account(21212, 400, Reason.SENDER),
        elsewhere(21408),
        *(account(code, 400, Reason.SENDER) for code in (21601, 21603, 21606)),
        elsewhere(21608),
        recipient(21610, Reason.RECIPIENT_OPTED_OUT),
        elsewhere(21612),
        recipient(21614, Reason.RECIPIENT_INVALID),
        elsewhere(21617),
        recipient(21635, Reason.RECIPIENT_INVALID),
        *(account(code, 400, Reason.SENDER) for code in (21659, 21660, 21661, 21703, 21705)),
        account(90010, 401, Reason.BALANCE),
        # Codes that the table doesn't name: nothing is lost to a guess.
        AnswerRow(400, error(39999, 400), Outcome.UNAVAILABLE),
        AnswerRow(401, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(403, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(404, error(20404, 404), Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(429, b"", Outcome.UNAVAILABLE),
        AnswerRow(500, error(20500, 500), Outcome.UNAVAILABLE),
        AnswerRow(503, error(20503, 503), Outcome.UNAVAILABLE),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    ]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.SMS

    def scripts(self) -> Mapping[str, peers.Behaviour]:
        refuses = peers.reply(400, error(21211, 400))
        return {**http_scripts(self.accepted_body), "refuses it": refuses}

    def delivery_key(self, received: Received) -> str:
        callback = parse_qs(received.body.decode())["StatusCallback"][0]
        return parse_qs(urlsplit(callback).query)["job"][0]
