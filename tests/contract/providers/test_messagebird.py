"""``type = "messagebird"`` keeps the contract of every provider, and reads every answer as its table says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

import pytest

from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract
from tests.peers import Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED = json.dumps(
    {
        "id": "e8077d803532c0b5937c639b60216938",
        "href": "https://rest.messagebird.com/messages/e8077d803532c0b5937c639b60216938",
        "direction": "mt",
        "type": "sms",
        "originator": "Bank",
        "body": "Ihr Code: 123456",
        "reference": "job-1",
        "validity": None,
        "typeDetails": {},
        "datacoding": "plain",
        "mclass": 1,
        "createdDatetime": "2026-11-22T12:00:00+00:00",
        "recipients": {
            "totalCount": 1,
            "totalSentCount": 1,
            "totalDeliveredCount": 0,
            "totalDeliveryFailedCount": 0,
            "items": [{"recipient": 12025550143, "status": "sent", "statusDatetime": "2026-11-22T12:00:00+00:00"}],
        },
    }
).encode()


def error(code: int, parameter: str | None = None) -> bytes:
    description = f"{parameter} is invalid: 12025550143"
    return json.dumps({"errors": [{"code": code, "description": description, "parameter": parameter}]}).encode()


def account(status: int, code: int, reason: Reason, parameter: str | None = None) -> AnswerRow:
    named = f"messagebird_{code}_{parameter}" if parameter == "originator" else f"messagebird_{code}"
    return AnswerRow(status, error(code, parameter), Outcome.UNAVAILABLE, named, reason, Scope.PROVIDER)


def recipient(parameter: str) -> AnswerRow:
    reason = Reason.RECIPIENT_INVALID
    body, code = error(10, parameter), f"messagebird_10_{parameter}"
    return AnswerRow(422, body, Outcome.REJECTED, code, reason, Scope.RECIPIENT)


class TestMessagebirdProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "messagebird"
        access_key = "$SECRET"
        sender = "Bank"
        signing_key = "$SECRET"
        base_url = "{base_url}"
    """
    accepted_body = ACCEPTED
    expects_receipts = True
    rows: ClassVar[Sequence[AnswerRow]] = [
        AnswerRow(201, ACCEPTED, Outcome.ACCEPTED),
        account(401, 2, Reason.CREDENTIALS, "access_key"),
        AnswerRow(422, error(9, "body"), Outcome.UNAVAILABLE, "messagebird_9"),
        AnswerRow(422, error(10, "body"), Outcome.REJECTED, "messagebird_10", scope=Scope.MESSAGE),
        account(422, 10, Reason.SENDER, "originator"),
        recipient("recipient"),
        recipient("recipients"),
        account(404, 20, Reason.CREDENTIALS),
        account(402, 25, Reason.BALANCE),
        AnswerRow(401, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(402, b"", Outcome.UNAVAILABLE, reason=Reason.BALANCE, scope=Scope.PROVIDER),
        AnswerRow(403, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(405, error(98), Outcome.UNAVAILABLE),
        AnswerRow(422, error(77), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, b"", Outcome.UNAVAILABLE),
        AnswerRow(500, error(99), Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    ]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.SMS

    def delivery_key(self, received: Received) -> str:
        return str(json.loads(received.body)["reference"])
