"""``type = "resend"`` keeps the contract of every provider, and reads every answer of Resend as its table says."""

from __future__ import annotations

import json

import pytest

from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED = b'{"id": "49a3999c-0ce1-4ea6-ab68-afcd6dc2e794"}'


def error(status: int, name: str, message: str = "Something about ada@example.org") -> bytes:
    return json.dumps({"statusCode": status, "name": name, "message": message}).encode()


def account(status: int, name: str, reason: Reason, message: str = "no", code: str | None = None) -> AnswerRow:
    return AnswerRow(
        status, error(status, name, message), Outcome.UNAVAILABLE, code, reason=reason, scope=Scope.PROVIDER
    )


class TestResendProvider(AnswerContract, HttpProviderContract):
    table = 'type = "resend"\napi_key = "$SECRET"\nsender = "Bank <bank@example.org>"\nbase_url = "{base_url}"'
    accepted_body = ACCEPTED
    rows = (
        AnswerRow(200, ACCEPTED, Outcome.ACCEPTED),
        AnswerRow(400, error(400, "validation_error"), Outcome.REJECTED, scope=Scope.MESSAGE),
        account(400, "validation_error", Reason.CREDENTIALS, "API key is invalid", "resend_invalid_api_key"),
        account(403, "invalid_api_key", Reason.CREDENTIALS, code="resend_invalid_api_key"),
        account(401, "missing_api_key", Reason.CREDENTIALS),
        account(403, "validation_error", Reason.SENDER, "The bank.example domain is not verified."),
        account(422, "invalid_from_address", Reason.SENDER, code="resend_invalid_from_address"),
        account(404, "not_found", Reason.CREDENTIALS),
        account(405, "method_not_allowed", Reason.CREDENTIALS),
        AnswerRow(409, error(409, "concurrent_idempotent_requests"), Outcome.UNKNOWN, scope=Scope.MESSAGE),
        AnswerRow(409, error(409, "invalid_idempotent_request"), Outcome.UNKNOWN, scope=Scope.MESSAGE),
        AnswerRow(413, b"", Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(422, error(422, "missing_required_field"), Outcome.REJECTED, scope=Scope.MESSAGE),
        AnswerRow(429, error(429, "rate_limit_exceeded"), Outcome.UNAVAILABLE),
        AnswerRow(
            429,
            error(429, "rate_limit_exceeded"),
            Outcome.UNAVAILABLE,
            headers={"retry-after": "1"},
            retry_after_seconds=1,
        ),
        account(429, "daily_quota_exceeded", Reason.QUOTA, code="resend_daily_quota_exceeded"),
        account(429, "monthly_quota_exceeded", Reason.QUOTA, code="resend_monthly_quota_exceeded"),
        AnswerRow(451, error(451, "security_error"), Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        AnswerRow(500, error(500, "application_error"), Outcome.UNAVAILABLE),
        AnswerRow(503, b"", Outcome.UNAVAILABLE),
    )

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL
