"""``type = "sns"`` keeps the contract of every provider, and reads every answer of both APIs as their tables say."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import ClassVar

import pytest

from tests import peers
from tests.contract.answer_contract import AnswerContract, AnswerRow
from tests.contract.provider_contract import HttpProviderContract, Way, http_scripts, sent, started
from tests.peers import Received
from wavecom.core.job import Outcome, Reason, Scope
from wavecom.core.lanes import Channel

# A deadline that is not held would hang a test for ever: this is what then fails it.
pytestmark = pytest.mark.timeout(60)


def row(body: bytes, code: str, outcome: Outcome = Outcome.UNAVAILABLE, status: int = 400) -> AnswerRow:
    return AnswerRow(status, body, outcome, f"sns_{code}")


def account(body: bytes, code: str, reason: Reason = Reason.CREDENTIALS, status: int = 403) -> AnswerRow:
    return AnswerRow(status, body, Outcome.UNAVAILABLE, f"sns_{code}", reason, Scope.PROVIDER)


def recipient(body: bytes, code: str, reason: Reason) -> AnswerRow:
    return AnswerRow(400, body, Outcome.REJECTED, f"sns_{code}", reason, Scope.RECIPIENT)


def elsewhere(body: bytes, code: str) -> AnswerRow:
    return AnswerRow(400, body, Outcome.UNAVAILABLE, f"sns_{code}", scope=Scope.MESSAGE)


STATUSES = [
    AnswerRow(400, b"", Outcome.UNAVAILABLE),
    AnswerRow(403, b"", Outcome.UNAVAILABLE, reason=Reason.CREDENTIALS, scope=Scope.PROVIDER),
    AnswerRow(429, b"", Outcome.UNAVAILABLE),
    AnswerRow(500, b"", Outcome.UNAVAILABLE),
    AnswerRow(503, b"", Outcome.UNAVAILABLE),
    AnswerRow(504, b"", Outcome.UNKNOWN),
]


def exception(type_name: str, reason: str | None = None, field: str | None = None) -> bytes:
    """An error of the JSON protocol 1.0 of AWS."""
    content: dict[str, object] = {
        "__type": f"com.amazonaws.pinpointsmsvoicev2#{type_name}",
        "Message": "+12025550143 can't be sent to",
    }
    if reason is not None:
        content["Reason"] = reason
    if field is not None:
        content["Fields"] = [{"Name": field, "Message": "not right: +12025550143"}]
    return json.dumps(content).encode()


class TestEndUserMessaging(AnswerContract, HttpProviderContract):
    table = """
        type = "sns"
        region = "eu-west-1"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "$SECRET"
        sender = "Bank"
        api = "end_user_messaging"
        configuration_set = "wavecom"
        topic_arns = ["arn:aws:sns:eu-west-1:123456789012:sms-events"]
        base_url = "{base_url}"
    """
    accepted_body = b'{"MessageId": "862a8790-60c0-4430-9b2b-658bd0000000"}'
    expects_receipts = True
    #: AWS says by a code that it rejects a message, and not by a status alone.
    outcomes: ClassVar[Mapping[str, Outcome]] = {
        "refuses it with nonsense": Outcome.UNAVAILABLE,
    }
    rows: ClassVar[Sequence[AnswerRow]] = [
        AnswerRow(200, accepted_body, Outcome.ACCEPTED),
        account(exception("AccessDeniedException"), "AccessDenied", status=400),
        account(exception("AccessDeniedException", "ACCOUNT_DISABLED"), "AccountDisabled", Reason.BALANCE, 400),
        elsewhere(exception("ConflictException", "RESOURCE_NOT_ACTIVE"), "Conflict"),
        elsewhere(exception("ValidationException", "COUNTRY_NOT_ENABLED"), "CountryBlocked"),
        account(exception("ExpiredTokenException"), "ExpiredToken", status=400),
        row(exception("InternalServerException"), "InternalServer", status=500),
        recipient(
            exception("ValidationException", "FIELD_VALIDATION_FAILED", "DestinationPhoneNumber"),
            "InvalidNumber",
            Reason.RECIPIENT_INVALID,
        ),
        account(exception("InvalidSignatureException"), "InvalidSignature", status=400),
        elsewhere(exception("ConflictException", "DESTINATION_PHONE_NUMBER_NOT_VERIFIED"), "NotVerified"),
        recipient(
            exception("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"), "OptedOut", Reason.RECIPIENT_OPTED_OUT
        ),
        account(exception("ResourceNotFoundException"), "ResourceNotFound", Reason.SENDER, 400),
        account(exception("ValidationException", "SENDER_ID_NOT_REGISTERED"), "Sender", Reason.SENDER, 400),
        account(
            exception("ValidationException", "FIELD_VALIDATION_FAILED", "OriginationIdentity"),
            "Sender",
            Reason.SENDER,
            400,
        ),
        account(exception("ServiceQuotaExceededException"), "ServiceQuotaExceeded", Reason.QUOTA, 400),
        account(
            exception("ServiceQuotaExceededException", "MONTHLY_SPEND_LIMIT_REACHED_FOR_TEXT"),
            "SpendLimit",
            Reason.QUOTA,
            400,
        ),
        row(exception("ThrottlingException"), "Throttling"),
        account(exception("UnrecognizedClientException"), "UnrecognizedClient", status=400),
        elsewhere(exception("ValidationException", "FIELD_VALIDATION_FAILED"), "Validation"),
        AnswerRow(400, exception("SomethingNewException"), Outcome.UNAVAILABLE),
        *STATUSES,
    ]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.SMS

    def scripts(self) -> Mapping[str, peers.Behaviour]:
        refuses = peers.reply(400, exception("ConflictException", "DESTINATION_PHONE_NUMBER_OPTED_OUT"))
        # AWS has no 401.
        refuses_us = peers.reply(400, exception("UnrecognizedClientException"))
        return {**http_scripts(self.accepted_body), "refuses it": refuses, "refuses us": refuses_us}

    def delivery_key(self, received: Received) -> str:
        return str(json.loads(received.body)["Context"]["jobId"])


def xml_error(code: str, text: str = "+12025550143 is not right") -> bytes:
    return (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{text}</Message></Error>"
        "<RequestId>9dd01905-5012-5f99-8663-4b3ecd0dfaef</RequestId></ErrorResponse>"
    ).encode()


class TestPublish(AnswerContract):
    """SNS has no place for our id, so the tests that look for it are those of the other API."""

    table = """
        type = "sns"
        region = "eu-west-1"
        access_key_id = "AKIDEXAMPLE"
        secret_access_key = "$SECRET"
        base_url = "{base_url}"
    """
    receipts_url = None
    accepted_body = (
        b'<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>567910cd-659e-'
        b"55d4-8ccb-5aaf14679dc0</MessageId></PublishResult><ResponseMetadata><RequestId>d74b8436-ae13-5ab4-a9ff-"
        b"ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>"
    )
    rows: ClassVar[Sequence[AnswerRow]] = [
        AnswerRow(200, accepted_body, Outcome.ACCEPTED),
        account(xml_error("AuthorizationError"), "AuthorizationError"),
        account(xml_error("IncompleteSignature"), "IncompleteSignature", status=400),
        row(xml_error("InternalError"), "InternalError", status=500),
        account(xml_error("InvalidClientTokenId"), "InvalidClientTokenId"),
        recipient(
            xml_error("InvalidParameter", "Invalid parameter: PhoneNumber Reason: +1202 is not valid to publish to"),
            "InvalidNumber",
            Reason.RECIPIENT_INVALID,
        ),
        elsewhere(xml_error("InvalidParameter", "Invalid parameter: Message too long"), "InvalidParameter"),
        account(xml_error("InvalidSecurity"), "InvalidSecurity"),
        recipient(
            xml_error("InvalidParameter", "Invalid parameter: PhoneNumber Reason: phone number is opted out"),
            "OptedOut",
            Reason.RECIPIENT_OPTED_OUT,
        ),
        account(xml_error("OptInRequired"), "OptInRequired"),
        elsewhere(xml_error("ParameterValueInvalid"), "ParameterValueInvalid"),
        account(xml_error("SignatureDoesNotMatch"), "SignatureDoesNotMatch"),
        row(xml_error("Throttled"), "Throttled", status=429),
        row(xml_error("Throttling"), "Throttling"),
        AnswerRow(400, xml_error("SomethingNew"), Outcome.UNAVAILABLE),
        *STATUSES,
    ]

    @pytest.fixture
    def channel(self) -> Channel:
        return Channel.SMS

    @pytest.fixture(params=[sent, started])
    def way(self, request: pytest.FixtureRequest) -> Way:
        chosen: Way = request.param
        return chosen
