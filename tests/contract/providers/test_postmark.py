"""``type = "postmark"`` keeps the contract of every provider, and reads every answer of Postmark as its table says."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
        "To": "ada@example.org",
        "SubmittedAt": "2026-11-22T12:00:00.1Z",
        "MessageID": "0a129aee-e1cd-480d-b08d-4f48548ff48d",
        "ErrorCode": 0,
        "Message": "OK",
    }
).encode()


def error(code: int, message: str = "ada@example.org") -> bytes:
    return json.dumps({"ErrorCode": code, "Message": message}).encode()


def account(code: int, reason: Reason, status: int = 422) -> AnswerRow:
    return AnswerRow(status, error(code), Outcome.UNAVAILABLE, f"postmark_{code}", reason=reason, scope=Scope.PROVIDER)


class TestPostmarkProvider(AnswerContract, HttpProviderContract):
    table = 'type = "postmark"\nserver_token = "$SECRET"\nsender = "Bank <bank@example.org>"\nbase_url = "{base_url}"'
    accepted_body = ACCEPTED
    #: Only a whole body with ErrorCode 0 is a success.
    outcomes: ClassVar[Mapping[str, Outcome]] = {"takes it and says no more": Outcome.UNKNOWN}
    unreadable_success = Outcome.UNKNOWN
    rows = (
        AnswerRow(200, ACCEPTED, Outcome.ACCEPTED),
        # As in a batch: refused, with the status of a success.
        AnswerRow(
            200,
            error(406),
            Outcome.REJECTED,
            "postmark_406",
            reason=Reason.RECIPIENT_INVALID,
            scope=Scope.RECIPIENT,
        ),
        AnswerRow(200, error(999), Outcome.UNKNOWN),
        account(10, Reason.CREDENTIALS, 401),
        AnswerRow(503, error(100), Outcome.UNAVAILABLE, "postmark_100"),
        AnswerRow(422, error(300), Outcome.REJECTED, "postmark_300", scope=Scope.MESSAGE),
        account(400, Reason.SENDER),
        account(401, Reason.SENDER),
        account(405, Reason.BALANCE),
        AnswerRow(
            422,
            error(406, "You tried to send to a recipient that has been marked as inactive."),
            Outcome.REJECTED,
            "postmark_406",
            reason=Reason.RECIPIENT_INVALID,
            scope=Scope.RECIPIENT,
        ),
        AnswerRow(422, error(411), Outcome.UNAVAILABLE, "postmark_411", scope=Scope.MESSAGE),
        account(412, Reason.BALANCE),
        account(413, Reason.BALANCE),
        account(1235, Reason.SENDER),
        AnswerRow(401, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(403, b"<html>", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(404, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(413, b"", Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(415, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
        AnswerRow(422, error(402), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, b"", Outcome.UNAVAILABLE),
        AnswerRow(500, b"", Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE),
    )

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL

    def delivery_key(self, received: Received) -> str:
        return str(json.loads(received.body)["Metadata"]["wavecom_job_id"])
