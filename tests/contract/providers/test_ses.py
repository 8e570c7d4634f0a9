"""``type = "ses"`` keeps the contract of every provider, and reads every answer of SES as its table says."""

from __future__ import annotations

import json

import pytest

from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract
from tests.peers import Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)

ACCEPTED = b'{"MessageId": "0102018f-0000-4000-8000-000000000001-000000"}'


def row(
    status: int,
    kind: str,
    message: str,
    outcome: Outcome,
    code: str | None = None,
    reason: Reason | None = None,
    scope: Scope | None = None,
) -> AnswerRow:
    """An error as SES answers it: its type in a header, what it says in the body."""
    body = json.dumps({"message": message}).encode()
    headers = {"x-amzn-ErrorType": f"{kind}:http://internal.amazon.com/coral/com.amazonaws.ses/"}
    return AnswerRow(status, body, outcome, code, reason=reason, scope=scope, headers=headers)


def account(status: int, kind: str, message: str, reason: Reason, code: str | None = None) -> AnswerRow:
    return row(status, kind, message, Outcome.UNAVAILABLE, code, reason, Scope.PROVIDER)


NOT_VERIFIED = "Email address is not verified. The following identities failed the check in region EU-WEST-1: ada@x.org"


class TestSesProvider(AnswerContract, HttpProviderContract):
    table = """
        type = "ses"
        region = "eu-west-1"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "$SECRET"
        sender = "Bank <bank@example.org>"
        base_url = "{base_url}"
    """
    accepted_body = ACCEPTED
    rows = (
        AnswerRow(200, ACCEPTED, Outcome.ACCEPTED),
        row(400, "BadRequestException", "Invalid header", Outcome.REJECTED, scope=Scope.MESSAGE),
        row(400, "MessageRejected", "Message contains a virus", Outcome.REJECTED, scope=Scope.MESSAGE),
        account(400, "MessageRejected", NOT_VERIFIED, Reason.SENDER, "ses_NotVerified"),
        account(
            400,
            "MailFromDomainNotVerifiedException",
            "The MAIL FROM domain is not verified",
            Reason.SENDER,
            "ses_MailFromDomainNotVerified",
        ),
        account(400, "AccountSuspendedException", "Suspended", Reason.BALANCE, "ses_AccountSuspended"),
        account(400, "SendingPausedException", "Paused", Reason.BALANCE, "ses_SendingPaused"),
        account(400, "LimitExceededException", "Too many", Reason.QUOTA, "ses_LimitExceeded"),
        account(429, "TooManyRequestsException", "Daily message quota exceeded.", Reason.QUOTA, "ses_DailyQuota"),
        row(429, "TooManyRequestsException", "Maximum sending rate exceeded.", Outcome.UNAVAILABLE),
        account(400, "ThrottlingException", "Daily message quota exceeded.", Reason.QUOTA, "ses_DailyQuota"),
        row(400, "ThrottlingException", "Maximum sending rate exceeded.", Outcome.UNAVAILABLE, "ses_Throttling"),
        row(400, "RequestAbortedException", "", Outcome.UNAVAILABLE, "ses_RequestAborted"),
        *(
            account(400, kind, "", Reason.CREDENTIALS, f"ses_{kind}")
            for kind in ("AccessDenied", "IncompleteSignature", "NotAuthorized", "RequestExpired")
        ),
        account(401, "UnrecognizedClientException", "The token is invalid", Reason.CREDENTIALS),
        account(403, "InvalidSignatureException", "The signature does not match", Reason.CREDENTIALS),
        account(404, "NotFoundException", "Configuration set <x> does not exist.", Reason.CREDENTIALS),
        row(413, "RequestEntityTooLarge", "Too large", Outcome.UNAVAILABLE, scope=Scope.MESSAGE),
        row(422, "Odd", "no", Outcome.REJECTED, scope=Scope.MESSAGE),
        row(500, "InternalFailure", "", Outcome.UNAVAILABLE),
        row(503, "ServiceUnavailable", "", Outcome.UNAVAILABLE),
        AnswerRow(
            400,
            b'{"__type": "com.amazonaws.ses#SendingPausedException", "message": "Paused"}',
            Outcome.UNAVAILABLE,
            "ses_SendingPaused",
            reason=Reason.BALANCE,
            scope=Scope.PROVIDER,
        ),
    )

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.EMAIL

    def delivery_key(self, received: Received) -> str:
        [tag] = json.loads(received.body)["EmailTags"]
        return str(tag["Value"])
