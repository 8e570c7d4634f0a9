"""``type = "sendgrid"`` keeps the contract of every provider, and reads every answer of SendGrid as its table says."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract, http_scripts
from tests.peers import Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

NAMED = {"X-Message-Id": "14c5d75ce93.dfd.64b469"}


def errors(message: str, field: str | None = None) -> bytes:
    return json.dumps({"errors": [{"message": message, "field": field, "help": None}]}).encode()


def account(status: int, message: str, reason: Reason, field: str | None = None, code: str | None = None) -> AnswerRow:
    return AnswerRow(status, errors(message, field), Outcome.UNAVAILABLE, code, reason=reason, scope=Scope.PROVIDER)


NOT_VERIFIED = "The from address does not match a verified Sender Identity. Mail cannot be sent until this is resolved."


class TestSendgridProvider(AnswerContract, HttpProviderContract):
    table = 'type = "sendgrid"\napi_key = "$SECRET"\nsender = "Bank <bank@example.org>"\nbase_url = "{base_url}"'
    accepted_body = b""
    rows = (
        AnswerRow(202, b"", Outcome.ACCEPTED, headers=NAMED),
        AnswerRow(400, errors("Invalid replacement size", "subject"), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(
            400,
            errors("Does not contain a valid address.", "personalizations.0.to.0.email"),
            Outcome.REJECTED,
            "sendgrid_recipient",
            reason=Reason.RECIPIENT_INVALID,
            scope=Scope.RECIPIENT,
        ),
        account(401, "The provided authorization grant is invalid, expired, or revoked", Reason.CREDENTIALS),
        account(401, "Maximum credits exceeded", Reason.QUOTA, code="sendgrid_credits"),
        account(403, "access forbidden", Reason.CREDENTIALS),
        account(403, NOT_VERIFIED, Reason.SENDER, "from", "sendgrid_from"),
        account(400, "The from object must be provided", Reason.SENDER, "from.email", "sendgrid_from"),
        account(404, "not found", Reason.CREDENTIALS),
        account(405, "method not allowed", Reason.CREDENTIALS),
        AnswerRow(413, errors("payload too large"), Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(422, errors("unprocessable"), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, errors("too many requests"), Outcome.UNAVAILABLE),
        AnswerRow(500, errors("Internal error."), Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE, headers={"Retry-After": "9"}, retry_after_seconds=9),
        AnswerRow(504, b"", Outcome.UNKNOWN),
    )

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL

    def scripts(self) -> Mapping[str, peers.Behaviour]:
        return {
            **http_scripts(b""),
            "takes it": peers.reply(202, headers=NAMED),
            "takes it and says no more": peers.begin(202, {"Content-Length": "5000", **NAMED}),
        }

    def delivery_key(self, received: Received) -> str:
        return str(json.loads(received.body)["personalizations"][0]["custom_args"]["wavecom_job_id"])
